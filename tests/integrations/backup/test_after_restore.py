"""What a restored database has besides the rows of the backup, and what `restore` says of it."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from knox.models import AuthToken

from changes.models import Change
from integrations.backup import programs
from tests.commands import manage
from tests.factories import ChangeFactory
from tests.integrations.smax.conftest import Adapter
from tests.pages import web
from tests.services import run_dir

from .installation import rows_of
from .test_backup import parts, write

pytestmark = pytest.mark.django_db(transaction=True)


def back_up(folder):
    file = folder / "backup.tar"
    done = manage("backup", str(file))
    assert done.returncode == 0, done.stderr
    return file


def run_on(elsewhere, statement):
    if connection.vendor == "postgresql":
        with psycopg.connect(f"host={run_dir() / 'postgresql'} user=postgres dbname={elsewhere.name}") as database:
            database.execute(statement)
        return
    with sqlite3.connect(elsewhere.name) as database:
        database.execute(statement)
    database.close()


def test_numbers_of_changes_that_the_original_may_have_given_are_left_out(change, elsewhere, tmp_path):
    last = Change.objects.latest("pk").pk
    done = elsewhere.manage("restore", str(back_up(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert "At least 10,000 numbers of changes are left out" in done.stdout
    assert elsewhere.manage("migrate").returncode == 0
    made = "from tests.factories import ChangeFactory; ChangeFactory()"
    assert elsewhere.manage("shell", "-c", made).returncode == 0
    first, new = (row[0] for row in elsewhere.rows("(SELECT id FROM changes_change) AS found")[-2:])
    assert (first, new) == (last, (last + 19_999) // 10_000 * 10_000 + 1)
    assert f"CHG{new:07}" in str(elsewhere.rows(f"(SELECT * FROM changes_change WHERE id = {new}) AS found"))  # noqa: S608


def test_so_are_those_of_a_copy_that_is_held_by_hand(change):
    last = Change.objects.latest("pk").pk
    done = manage("hold_after_restore", "--yes")
    assert "At least 10,000 numbers of changes are left out" in done.stdout
    number = int(ChangeFactory().number.removeprefix("CHG"))
    assert number == (last + 19_999) // 10_000 * 10_000 + 1


def test_a_database_without_any_change_has_numbers_left_out_too(elsewhere, transactional_db):
    manage("hold_after_restore", "--yes")
    assert int(ChangeFactory().number.removeprefix("CHG")) > 10_000


def test_nobody_is_signed_in_and_tokens_stay(acme, alice, elsewhere, tmp_path, api):
    acme.delivery, acme.endpoint_url = "smax", ""
    acme.save()
    Adapter(acme)
    web(alice)
    api(alice)
    assert rows_of("integrations_smaxtoken")
    assert rows_of("django_session")
    done = elsewhere.manage("restore", str(back_up(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert "All sessions are ended." in done.stdout
    for table in ("django_session", "usersessions_usersession", "integrations_smaxtoken"):
        assert elsewhere.rows(table) == []
    assert len(elsewhere.rows("knox_authtoken")) == AuthToken.objects.count() >= 1


def test_holding_by_hand_ends_all_sessions(alice):
    client = web(alice)
    assert client.get("/").status_code == 200
    assert manage("hold_after_restore", "--yes").returncode == 0
    assert client.get("/").status_code == 302
    assert not Session.objects.exists()
    assert web(alice).get("/").status_code == 200


def test_the_planner_has_statistics(change, elsewhere, tmp_path):
    if connection.vendor != "postgresql":
        return  # its file has those that the original had
    done = elsewhere.manage("restore", str(back_up(tmp_path)))
    assert done.returncode == 0, done.stderr
    of_changes = "(SELECT reltuples FROM pg_class WHERE relname = 'changes_change') AS found"
    assert elsewhere.rows(of_changes) == [(1.0,)]
    assert elsewhere.rows("(SELECT count(*) FROM pg_stats WHERE schemaname = 'public') AS found") > [(100,)]


def of_an_older_schema(file, elsewhere, tmp_path):
    """Alters the backup to one whose systems had no description yet, as if a migration had come since."""
    assert elsewhere.manage("restore", str(file)).returncode == 0
    run_on(elsewhere, "ALTER TABLE integrations_externalsystem DROP COLUMN description")
    dump = tmp_path / "dump"
    if connection.vendor == "postgresql":
        pg_dump = programs.program("pg_dump", 1)
        where = ["-h", str(run_dir() / "postgresql"), "-U", "postgres", elsewhere.name]
        subprocess.run([pg_dump, "--format=custom", f"--file={dump}", *where], check=True)
        run_on(elsewhere, "DROP SCHEMA public CASCADE")
        run_on(elsewhere, "CREATE SCHEMA public")
    else:
        shutil.move(elsewhere.name, dump)
    shutil.rmtree(elsewhere.media)
    content = parts(file)
    manifest = json.loads(content["manifest.json"])
    manifest["migrations"] = [name for name in manifest["migrations"] if name != "integrations.0025_connections"]
    content["database"] = dump.read_bytes()
    manifest["parts"]["database"] = [len(content["database"]), hashlib.sha256(content["database"]).hexdigest()]
    for table in ("django_session", "usersessions_usersession", "integrations_smaxtoken"):
        manifest["counts"][table] = 0
    manifest["counts"]["changes_restoredcopy"] = 1
    content["manifest.json"] = json.dumps(manifest).encode()
    write(file, content)


def test_a_backup_of_an_older_schema_is_restored_and_nothing_else_is_said(change, elsewhere, tmp_path):
    file = back_up(tmp_path)
    of_an_older_schema(file, elsewhere, tmp_path)
    done = elsewhere.manage("restore", str(file))
    assert "Nothing was restored" not in done.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert "run `migrate` afterwards (1 migrations), and `doctor`" in done.stdout
    assert len(elsewhere.rows("changes_restoredcopy")) == 1


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_a_file_of_sqlite_is_not_restored_beside_what_is_left_of_another(change, elsewhere, tmp_path, end):
    if connection.vendor != "sqlite":
        return
    left = Path(f"{elsewhere.name}{end}")
    left.write_bytes(b"of another")
    done = elsewhere.manage("restore", str(back_up(tmp_path)))
    assert done.returncode == 1
    assert f"{left} is left over from another database" in done.stderr
    assert (elsewhere.files(), Path(elsewhere.name).exists()) == ({}, False)
    left.unlink()
    assert elsewhere.manage("restore", str(tmp_path / "backup.tar")).returncode == 0
