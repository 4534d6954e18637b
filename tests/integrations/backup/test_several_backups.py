"""Several backups to one name, those that are broken off, and dumps that cannot be used."""

import hashlib
import json
import os
import signal

import pytest
from django.db import connection

from tests.commands import manage, start_manage
from tests.processes import until

from .test_backup import parts, write

pytestmark = pytest.mark.django_db(transaction=True)


def backing_up(file, log):
    return start_manage(log, "backup", str(file))


@pytest.fixture
def waiting(change, tmp_path):
    """A file, and the backup to it that stands in its middle: it has to wait for a pipe among the attachments."""
    file, pipe = tmp_path / "to" / "backup.tar", change.attachments.first().file.path
    file.parent.mkdir()
    os.unlink(pipe)
    os.mkfifo(pipe)
    process = backing_up(file, tmp_path / "log")
    until("it has dumped the database", lambda: process.has_printed("Database:"))
    yield file, process, pipe
    process.kill()


def names(file):
    return sorted(path.name for path in file.parent.iterdir())


def test_a_second_backup_to_the_same_name_is_refused_and_spoils_nothing(waiting, elsewhere):
    file, process, pipe = waiting
    second = manage("backup", str(file))
    assert second.returncode == 1
    assert "backup.tar.part is being written by another backup. Wait for its end." in second.stderr
    # The backup goes on when the pipe is opened. It may have closed it before anything could be written.
    os.close(os.open(pipe, os.O_WRONLY))
    assert process.wait() == 0, process.log()
    assert names(file) == ["backup.tar"]
    assert elsewhere.manage("restore", str(file)).returncode == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_what_a_backup_that_was_ended_left_is_not_in_the_way(waiting, how):
    file, process, pipe = waiting
    process.child.send_signal(how)
    process.wait()
    assert names(file) == [] or how == signal.SIGKILL
    os.unlink(pipe)
    assert manage("backup", str(file)).returncode == 0
    assert names(file) == ["backup.tar"]


def cut_off(dump):
    return dump[:-2000]


def zeros_within(dump):
    middle = len(dump) // 2
    return dump[:middle] + bytes(3000) + dump[middle + 3000 :]


@pytest.mark.parametrize("spoil", [cut_off, zeros_within])
def test_a_dump_that_cannot_be_used_is_not_called_whole(change, elsewhere, tmp_path, spoil):
    if connection.vendor != "postgresql":
        return  # restore looks at the whole file of SQLite before it gives it its name
    file = tmp_path / "backup.tar"
    assert manage("backup", str(file)).returncode == 0
    content = parts(file)
    content["database"] = spoil(content["database"])
    manifest = json.loads(content["manifest.json"])
    digest = hashlib.sha256(content["database"]).hexdigest()
    manifest["parts"]["database"] = [len(content["database"]), digest]
    content["manifest.json"] = json.dumps(manifest).encode()
    write(file, content)
    for arguments in (["--check"], []):
        done = elsewhere.manage("restore", str(file), *arguments)
        assert done.returncode == 1
        assert "The dump of the database cannot be used: pg_restore failed" in done.stderr
        assert "whole" not in done.stdout
    assert elsewhere.files() == {}
