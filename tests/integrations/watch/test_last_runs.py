"""When the last good backup was taken, and retention last ran: for Prometheus, and for `manage.py doctor`."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from integrations import tasks
from integrations.models import OutgoingOperation
from integrations.workers import last_runs
from tests.commands import manage

from .prometheus import named, scraped

BACKUP, RETENTION = named("last_backup_timestamp_seconds"), named("last_retention_timestamp_seconds")


@pytest.fixture
def var(watched, tmp_path: Path, settings) -> Path:
    """A `VAR_DIR` of this test's own, for its processes too."""
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.mkdir()
    return settings.VAR_DIR


def backup(var: Path, file: Path):
    return manage("backup", str(file), VAR_DIR=str(var))


def doctor(var: Path, **environment: str) -> list[str]:
    lines = manage("doctor", "--no-color", VAR_DIR=str(var), **environment).stdout.splitlines()
    return [line for line in lines if line[6:].startswith(("last backup", "last retention"))]


def test_a_backup_tells_when_it_was_taken(var, tmp_path):
    assert scraped()[BACKUP] == 0
    assert doctor(var)[0] == "look  last backup: None was taken on this machine."
    before = timezone.now().timestamp()
    file = tmp_path / "desk.tar"
    assert backup(var, file).returncode == 0
    assert before <= scraped()[BACKUP] <= timezone.now().timestamp()
    assert doctor(var) == [f"ok    last backup: {file}, 0 minutes ago"]
    # Whoever takes backups need not be the user of the web server.
    assert last_runs.file_of(last_runs.BACKUP).stat().st_mode & 0o777 == 0o644


def test_a_backup_that_fails_leaves_the_last_good_one(var, tmp_path):
    assert backup(var, tmp_path / "desk.tar").returncode == 0
    good = scraped()[BACKUP]
    assert backup(var, tmp_path / "desk.tar").returncode != 0  # none is written over
    assert backup(var, tmp_path / "nowhere" / "desk.tar").returncode != 0
    assert scraped()[BACKUP] == good


def test_a_restored_database_brings_no_backup_with_it(var, tmp_path, settings):
    """The fact is not in the database."""
    assert backup(var, tmp_path / "first.tar").returncode == 0
    assert backup(var, tmp_path / "second.tar").returncode == 0
    settings.VAR_DIR = tmp_path / "another-host"
    settings.VAR_DIR.mkdir()
    assert scraped()[BACKUP] == 0


def test_an_old_backup_is_looked_at_and_what_cannot_be_read_counts_as_none(var, tmp_path):
    assert backup(var, tmp_path / "desk.tar").returncode == 0
    file = last_runs.file_of(last_runs.BACKUP)
    known = json.loads(file.read_text())
    file.write_text(json.dumps(known | {"at": (timezone.now() - timedelta(hours=50)).isoformat()}))
    assert f"look  last backup: {tmp_path / 'desk.tar'}, 2 days ago" in doctor(var)[0]
    for content in ("", "{}", '{"at": "yesterday"}', "[]"):
        file.write_text(content)
        assert scraped()[BACKUP] == 0
        assert doctor(var)[0] == "look  last backup: None was taken on this machine."


def test_a_backup_that_cannot_be_noted_is_a_backup(var, tmp_path):
    """What is in the way is a folder: the tests' user may write anywhere."""
    last_runs.file_of(last_runs.BACKUP).mkdir()
    done = backup(var, tmp_path / "desk.tar")
    assert done.returncode == 0
    assert (tmp_path / "desk.tar").is_file()
    assert "Attention: it could not be noted that this backup was taken" in done.stderr


def test_retention_tells_when_it_ran_if_anything_is_to_go(var, settings):
    assert RETENTION not in scraped()
    assert tasks.retain() == 0
    assert RETENTION not in scraped()
    settings.RETENTION_ATTEMPT_DAYS = 90
    assert scraped()[RETENTION] == 0
    days = {"RETENTION_ATTEMPT_DAYS": "90"}
    assert "look  last retention: It never ran on this machine." in doctor(var, **days)
    before = timezone.now().timestamp()
    assert tasks.retain() == 0
    assert scraped()[RETENTION] >= before
    assert "ok    last retention: 0 minutes ago" in doctor(var, **days)[-1]
    assert not [line for line in doctor(var) if "last retention" in line]


def test_a_retention_that_fails_did_not_run(var, tmp_path, settings, acme, give):
    give(acme)
    settings.RETENTION_DELIVERED_DAYS = 30
    settings.RETENTION_ARCHIVE = str(tmp_path / "not there")
    long_ago = timezone.now() - timedelta(days=40)
    OutgoingOperation.objects.update(status="Delivered", is_next=False, settled_at=long_ago, created_at=long_ago)
    with pytest.raises(OSError):
        tasks.retain()
    assert scraped()[RETENTION] == 0
