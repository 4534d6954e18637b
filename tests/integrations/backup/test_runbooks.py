"""The commands of the runbooks in docs/operations.md that are about data, run as they stand there."""

import os
import re
import subprocess

import pytest

from tests.commands import database_url
from tests.exchange import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


def commands(section):
    page = (ROOT / "docs" / "operations.md").read_text()
    part = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [line for block in re.findall(r"```sh\n(.*?)```", part, re.DOTALL) for line in block.splitlines()]


def run(command, folder, environment):
    """What it printed. Each must end well."""
    command = command.replace("/var/backups/casexchange", str(folder))
    done = subprocess.run(
        ["sh", "-ec", command], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_runbooks(change, partner, elsewhere, tmp_path):
    said = run("\n".join(commands("Retention")), tmp_path, {"DATABASE_URL": database_url()})
    assert said.count("attempts of delivered operations (RETENTION_ATTEMPT_DAYS=90)") == 2
    for command in commands("A person's data"):
        said = run(command, tmp_path, {"DATABASE_URL": database_url()})
    assert "This still has the name" in said
    for command in commands("Back up"):
        said = run(command, tmp_path, {"DATABASE_URL": database_url()})
    assert "The backup is whole" in said
    ran = commands("Restore")
    said = [run(command, tmp_path, elsewhere.environment) for command in ran]
    assert [re.search(r"manage.py (\w+)", command)[1] for command in ran] == [
        "restore",
        "migrate",
        "verify_audit",
        "resume_after_restore",
        "exchange_status",
        "hold_after_restore",
    ]
    assert "ACME: 4 would be sent, 4 from before the backup" in said[3]
    assert elsewhere.manage("exchange_status").returncode == 3, "held by hand"
