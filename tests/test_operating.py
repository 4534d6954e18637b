"""The runbooks Install, Upgrade, Watch and Mend of docs/operations.md, run on a server as they stand there.

Only systemd is played, since a container has none: it starts and stops the commands of the units that we ship.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from . import services
from .exchange import ROOT
from .processes import Process, free_port, start, until

PASSWORD = "not-used-anywhere-else-9"
# What the commands ask for, and how it is given without a terminal.
ASKED = {"createsuperuser": "createsuperuser --noinput --username root --email root@example.com"}
NOTHING_TO_DO = "alice has no second factor."
EXCHANGE = """
groups: [{name: Network, members: [alice]}, {name: ACME Networks, external_system: ACME}]
users: [{username: alice, roles: [Service desk agent]}]
external_systems: [{system_id: ACME, authorized_user: acme-integration, delivery: pull}]
"""


def commands(section: str) -> list[str]:
    """The lines of the shell blocks of a section."""
    page = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(rf"^(#+) {re.escape(section)}\n(.*?)(?=^#{{1,2}} |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, section
    text = found[2].partition("\n### With containers\n")[0]
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


class Server:
    """A server with a folder of its own in place of /etc, /var and port 8000."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.running: dict[str, Process] = {}
        self.database = f"operating_{services.worker_number()}"
        services.create_postgresql_database(self.database)
        self._here = {
            "/etc/casexchange.env": str(folder / "casexchange.env"),
            "/etc/systemd/system/": f"{folder}/units/",
            "/var/backups/casexchange": str(folder),
            "/opt/casexchange/.venv/bin": str(Path(sys.executable).parent),
            "/opt/casexchange": str(ROOT),
            "127.0.0.1:8000": f"127.0.0.1:{self.port}",
            "--port 8000": f"--port {self.port}",
            ".venv/bin/python": sys.executable,
            **ASKED,
        }
        (folder / "units").mkdir()
        (folder / "var").mkdir(mode=0o700)
        kept = ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "CELERY_BROKER_URL", "REQUIRE_SECOND_FACTOR_FOR")
        lines = [f"{name}={shlex.quote(os.environ[name])}" for name in kept]
        lines += [f"DATABASE_URL='postgres://postgres@/{self.database}?host={services.run_dir()}/postgresql'"]
        lines += [
            f"VAR_DIR={folder}/var",
            f"BASE_URL=http://127.0.0.1:{self.port}",
            "METRICS_TOKEN=",
        ]
        (folder / "casexchange.env").write_text("\n".join(lines) + "\n")
        self._environment = {
            name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")
        }
        self._loads = ":"

    def run(self, line: str) -> str:
        """What the line prints. It must end well."""
        if line.startswith("systemctl "):
            self._systemctl(line)
            return ""
        if line.startswith("journalctl "):
            unit = shlex.split(line)[2]
            return (self.folder / f"{unit}.log").read_text()
        here = self._of(line)
        if line.startswith("set -a;"):
            self._loads = here
        done = subprocess.run(
            ["sh", "-ec", f"{self._loads}\n{here}"],
            cwd=ROOT,
            env={**self._environment, "DJANGO_SUPERUSER_PASSWORD": PASSWORD},
            input=f"{PASSWORD}\n{PASSWORD}\n",  # for `changepassword`
            capture_output=True,
            text=True,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0 or NOTHING_TO_DO in printed, f"{line}\n{printed}"
        return printed

    def _systemctl(self, line: str) -> None:
        action, *units = [word for word in shlex.split(line)[1:] if not word.startswith("--")]
        assert action in ("enable", "restart"), line
        stopped = [self.running.pop(unit) for unit in units if unit in self.running]
        for process in stopped:
            process.ask_to_stop()
        for process in stopped:
            process.stop(60)
        for unit in units:
            text = (self.folder / "units" / f"{unit}.service").read_text()
            command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
            assert command, unit
            loaded = self._here["/etc/casexchange.env"]
            self.running[unit] = start(
                ["sh", "-c", f"set -a; . {loaded}; set +a; exec {self._of(command[1])}"],
                log=self.folder / f"{unit}.log",
                environment=self._environment,
                cwd=ROOT,
            )
        until("all is well", self.is_ready, pause=0.3)

    def _of(self, command: str) -> str:
        for there, here in self._here.items():
            command = command.replace(there, here)
        return command

    def is_ready(self) -> bool:
        for process in self.running.values():
            process.check_running()
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        for process in self.running.values():
            process.ask_to_stop()
        for process in self.running.values():
            process.stop(60)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


def test_the_runbooks_from_the_installation_to_the_mend(server: Server, tmp_path: Path) -> None:
    said = {line: server.run(line) for line in commands("Install")}
    assert "Superuser created successfully." in "".join(said.values())
    assert "wrong" not in said[".venv/bin/python manage.py doctor"]

    (tmp_path / "exchange.yaml").write_text(EXCHANGE)
    server.run(f".venv/bin/python manage.py load_exchange {tmp_path}/exchange.yaml")
    before = {name: process.child.pid for name, process in server.running.items()}
    said = {line: server.run(line) for line in commands("Upgrade")}
    assert "No migrations to apply." in said[".venv/bin/python manage.py migrate"]
    assert "wrong" not in said[".venv/bin/python manage.py doctor"]
    assert not {*before.values()} & {process.child.pid for process in server.running.values()}

    (asked,) = (line for line in commands("Watch") if line.startswith("curl"))
    assert '"status": "ready"' in server.run(asked)

    said = {line: server.run(line) for line in commands("Mend")}
    told = "\n".join(said.values())
    for text in (
        "ACME",  # exchange_status
        " ready.",  # the log of the worker
        "wait_event_type",
        "Password changed successfully for user 'alice'",
        NOTHING_TO_DO,
    ):
        assert text in told, f"{text}\n{told}"
    token = said[".venv/bin/python manage.py create_api_token acme-integration"].split()[0]
    operations = f"http://127.0.0.1:{server.port}/api/v1/outbox/"
    assert requests.get(operations, headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code == 200
