"""`manage.py backup` and `manage.py restore`, by restoring and comparing."""

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connection

from changes.models import Attachment
from integrations.models import ExternalSystem
from tests.commands import database_url, manage
from tests.exchange import ROOT

from .installation import files_in, rows_of

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = (
    "auth_user",
    "changes_change",
    "changes_comment",
    "changes_attachment",
    "changes_historicalchange",
    "changes_securityevent",
    "integrations_externalsystem",
    "integrations_outgoingoperation",
    "django_migrations",
)


@pytest.fixture
def backup(change, tmp_path):
    file = tmp_path / "backup.tar"
    done = manage("backup", str(file))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return file


def parts(file):
    with tarfile.open(file) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def write(file, content):
    with tarfile.open(file, "w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
def test_what_was_backed_up_is_restored(change, elsewhere, tmp_path, name):
    file = tmp_path / name
    done = manage("backup", str(file))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "elsewhere"], "nothing is left beside it"
    before = {table: rows_of(table) for table in TABLES}

    done = elsewhere.manage("restore", str(file))

    assert done.returncode == 0, done.stderr
    assert {table: elsewhere.rows(table) for table in TABLES} == before
    of_rows = {each.file.name: each.file.read() for each in Attachment.objects.all()}
    assert len(of_rows) == 2
    assert elsewhere.files() == of_rows
    assert {stat.S_IMODE((elsewhere.media / each).stat().st_mode) for each in of_rows} == {0o600}
    assert len(elsewhere.rows("changes_restoredcopy")) == 1, "it is held"
    assert elsewhere.manage("migrate", "--check").returncode == 0
    assert elsewhere.manage("verify_audit").returncode == 0


def test_it_contains_no_key_and_no_secret(backup):
    content = b"".join(part for name, part in parts(backup).items() if name == "manifest.json")
    for secret in (os.environ["FIELD_ENCRYPTION_KEYS"], os.environ["SECRET_KEY"], "whsec_"):
        assert secret.encode() not in content
    assert "the signing secret of ACME" in str(json.loads(content)["secrets"])


def test_check_says_whether_it_can_be_restored_and_writes_nothing(backup, elsewhere):
    done = elsewhere.manage("restore", str(backup), "--check")
    assert done.returncode == 0, done.stderr
    assert "The backup is whole" in done.stdout
    assert elsewhere.files() == {}
    assert elsewhere.manage("restore", str(backup)).returncode == 0, "it is still empty"
    again = elsewhere.manage("restore", str(backup), "--check")
    assert again.returncode == 0
    assert "Here it would be refused. The database is not empty" in again.stdout


def test_keys_that_are_missing_are_said_with_what_would_be_lost(backup, elsewhere):
    for arguments in (["--check"], []):
        done = elsewhere.manage(
            "restore", str(backup), *arguments, FIELD_ENCRYPTION_KEYS=Fernet.generate_key().decode()
        )
        assert done.returncode == 1
        assert "1 secrets could not be read" in done.stderr
        assert "the signing secret of ACME" in done.stderr
    assert elsewhere.files() == {}
    former = os.environ["FIELD_ENCRYPTION_KEYS"]
    done = elsewhere.manage("restore", str(backup), FIELD_ENCRYPTION_KEYS=f"{Fernet.generate_key().decode()},{former}")
    assert done.returncode == 0, done.stderr


def altered(backup, how):
    content = parts(backup)
    manifest = json.loads(content["manifest.json"])
    how(content, manifest)
    if "manifest.json" in content:
        content["manifest.json"] = json.dumps(manifest).encode()
    write(backup, content)


def cut_off(content, manifest):
    del content["manifest.json"]


def damaged(content, manifest):
    name = next(name for name in content if name.startswith("files/"))
    content[name] = content[name][:-1] + b"?"


def without_a_file(content, manifest):
    del content[next(name for name in content if name.startswith("files/"))]


def climbing(content, manifest):
    content["files/../../evil"] = b"x"


def newer(content, manifest):
    manifest["migrations"].append("changes.9999_of_the_future")


def of_another_format(content, manifest):
    manifest["format"] = 99


def of_another_database(content, manifest):
    manifest["kind"] = "mysql"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (cut_off, "is incomplete: it has no manifest.json"),
        (damaged, "is damaged: files/"),
        (without_a_file, "is damaged: files/"),
        (climbing, "has a part named files/../../evil"),
        (newer, "which is newer than this program"),
        (of_another_format, "has the format 99, and this program reads the format 1"),
        (of_another_database, "The backup is of mysql"),
    ],
)
def test_a_backup_that_cannot_be_used_is_refused_before_anything_is_written(backup, elsewhere, how, said):
    altered(backup, how)
    done = elsewhere.manage("restore", str(backup))
    assert done.returncode == 1
    assert "Nothing was restored." in done.stderr
    assert said in done.stderr
    assert elsewhere.files() == {}
    assert not list(elsewhere.folder.glob("restore-*"))


def test_a_file_that_is_no_backup_is_refused(elsewhere, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("Buy milk")
    assert "is damaged, or no backup" in elsewhere.manage("restore", str(file)).stderr
    assert "There is no file" in elsewhere.manage("restore", str(tmp_path / "none.tar")).stderr


def test_only_an_empty_installation_is_restored_into(backup, elsewhere):
    kept = elsewhere.media / "attachments" / "kept"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    done = elsewhere.manage("restore", str(backup))
    assert done.returncode == 1
    assert "media is not empty: it has 1 files" in done.stderr
    assert elsewhere.files() == {"attachments/kept": b"mine"}
    done = manage("restore", str(backup))
    assert "The database is not empty" in done.stderr
    assert "1 in changes_change" in done.stderr


def test_an_older_backup_says_that_it_is_to_be_migrated(backup, elsewhere):
    altered(backup, lambda content, manifest: manifest["migrations"].remove("changes.0027_restored_copy"))
    done = elsewhere.manage("restore", str(backup))
    assert done.returncode == 0, done.stderr
    assert "older than this program: run `migrate` afterwards (1 migrations)" in done.stdout


def test_no_backup_is_written_over_another(backup):
    before = backup.read_bytes()
    done = manage("backup", str(backup))
    assert (done.returncode, "is there already" in done.stderr) == (1, True)
    assert backup.read_bytes() == before
    done = manage("backup", str(backup.parent / "none" / "backup.tar"))
    assert (done.returncode, "There is no folder" in done.stderr) == (1, True)


def test_a_disk_that_takes_no_more_is_said_and_leaves_nothing(change, tmp_path):
    # 8 KiB for each file: the same error as that of a full disk, but for the dump of PostgreSQL, which is ended by it.
    command = f"ulimit -f 16; exec {sys.executable} manage.py backup {tmp_path / 'backup.tar'}"
    environment = {**os.environ, "DATABASE_URL": database_url()}
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No backup was taken." in done.stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("backup")]


def test_an_attachment_whose_file_is_gone_is_said(change, tmp_path):
    attachment, other = Attachment.objects.order_by("pk")
    Path(attachment.file.path).unlink()
    Path(other.file.path).write_text("altered")
    done = manage("backup", str(tmp_path / "backup.tar"))
    assert done.returncode == 0
    assert (
        f"1 attachments have no file in MEDIA_ROOT, so it is not in the backup: {attachment.file.name}" in done.stderr
    )
    assert f"1 attachments have another content than when they were stored: {other.file.name}" in done.stderr


def programs_of(folder, version):
    folder.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        file = folder / name
        file.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        file.chmod(0o755)
    return str(folder)


def test_programs_of_another_version_are_refused(change, tmp_path):
    if connection.vendor != "postgresql":
        assert manage("backup", str(tmp_path / "b.tar"), POSTGRESQL_BIN=str(tmp_path)).returncode == 0
        return
    for folder, said in (
        (str(tmp_path), "pg_dump is missing. Install"),
        (programs_of(tmp_path / "old", "9.6.24"), "is of version 9, the server of"),
    ):
        done = manage("backup", str(tmp_path / "backup.tar"), POSTGRESQL_BIN=folder)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("backup")]


def test_a_secret_that_was_unreadable_before_is_no_reason_to_refuse(change, elsewhere, tmp_path):
    ExternalSystem.objects.filter(system_id="ACME").update(description="same")
    file, other = tmp_path / "backup.tar", Fernet.generate_key().decode()
    done = manage("backup", str(file), FIELD_ENCRYPTION_KEYS=other)
    assert done.returncode == 0
    assert "1 secrets cannot be read with the keys of this environment: the signing secret of ACME" in done.stderr
    assert elsewhere.manage("restore", str(file), FIELD_ENCRYPTION_KEYS=other).returncode == 0
    assert files_in(settings.MEDIA_ROOT)
