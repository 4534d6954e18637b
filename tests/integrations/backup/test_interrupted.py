"""A restore that is broken off leaves an empty database: a copy without its hold would send."""

import os
import shutil
import signal
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from integrations.backup import programs
from tests import warm
from tests.commands import manage
from tests.processes import until
from tests.services import run_dir

from .installation import Installation
from .severed import Severed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def backup(change, tmp_path):
    file = tmp_path / "backup.tar"
    done = manage("backup", str(file))
    assert done.returncode == 0, done.stderr
    return file


def server(name, **options):
    return psycopg.connect(f"host={run_dir() / 'postgresql'} user=postgres dbname={name}", **options)


def sessions(name, what=""):
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'psql' {what}"  # noqa: S608
    with server("postgres") as looking:
        return looking.execute(query, [name]).fetchone()[0]


def tables(installation: Installation):
    with server(installation.name) as looking:
        return looking.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()[0]


@pytest.fixture
def slow_programs(tmp_path):
    """PostgreSQL's own, but pg_restore makes a pause when it has written all. Yields the environment."""
    if connection.vendor != "postgresql":
        yield {}
        return
    folder, real = tmp_path / "bin", Path(programs.program("pg_restore", 1)).parent
    folder.mkdir()
    for name in ("pg_dump", "psql"):
        (folder / name).symlink_to(real / name)
    # The comments fill all that is between the programs, so psql has carried out what is before them.
    script = f"""#!/bin/sh
{real}/pg_restore "$@" || exit
case "$*" in *--file=-*) yes -- '-- pause' | head -c 2200000; echo $$ > {folder}/pid; exec sleep 600;; esac
"""
    (folder / "pg_restore").write_text(script)
    (folder / "pg_restore").chmod(0o755)
    yield {"POSTGRESQL_BIN": str(folder)}
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), signal.SIGKILL)


@contextmanager
def running(elsewhere, file, log, **environment):
    process = warm.start(["restore", str(file)], {**os.environ, **elsewhere.environment, **environment}, log)
    try:
        yield process
    finally:
        process.kill()


def check_restored_anew(elsewhere, file, how):
    """Nothing was restored, nothing is in the way but what nobody could remove, and the next one restores."""
    until("psql has ended", lambda: not sessions(elsewhere.name))
    assert tables(elsewhere) == 0
    if how == signal.SIGKILL:
        again = elsewhere.manage("restore", str(file))
        assert (again.returncode, "media is not empty" in again.stderr) == (1, True), again.stderr
        assert not list(elsewhere.folder.glob("restore-*/")), "what the killed one left is gone"
        shutil.rmtree(elsewhere.media)
    assert (elsewhere.files(), list(elsewhere.folder.glob("restore-*/"))) == ({}, [])
    done = elsewhere.manage("restore", str(file))
    assert done.returncode == 0, done.stderr
    assert len(elsewhere.rows("changes_restoredcopy")) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_restore_that_is_ended_in_the_middle_restores_nothing(backup, elsewhere, tmp_path, slow_programs, how):
    if not slow_programs:
        return  # the file of SQLite gets its name when it is held
    with running(elsewhere, backup, tmp_path / "log", **slow_programs) as process:
        until("all is written", (tmp_path / "bin" / "pid").exists)
        until("psql is idle", lambda: sessions(elsewhere.name, "AND state = 'idle in transaction'") == 1)
        process.child.send_signal(how)
        assert process.wait() == (-how if how == signal.SIGKILL else 128 + how)
    check_restored_anew(elsewhere, backup, how)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nor_does_one_that_is_ended_when_all_rows_are_there(backup, elsewhere, tmp_path, how):
    if connection.vendor != "postgresql":
        return
    with server(elsewhere.name) as holding:
        # Foreign keys, which come last, are triggers.
        holding.execute("LOCK TABLE pg_trigger IN SHARE MODE")
        with running(elsewhere, backup, tmp_path / "log") as process:
            until("psql waits", lambda: sessions(elsewhere.name, "AND wait_event_type = 'Lock'") == 1)
            process.child.send_signal(how)
            assert process.wait() == (-how if how == signal.SIGKILL else 128 + how)
    check_restored_anew(elsewhere, backup, how)


def test_two_restores_at_once_are_one(backup, elsewhere, tmp_path):
    if connection.vendor != "postgresql":
        return
    with server(elsewhere.name) as holding:
        holding.execute("LOCK TABLE pg_trigger IN SHARE MODE")
        with running(elsewhere, backup, tmp_path / "log"):
            until("psql waits", lambda: sessions(elsewhere.name, "AND wait_event_type = 'Lock'") == 1)
            second = elsewhere.manage("restore", str(backup))
    assert second.returncode == 1
    assert "Nothing was restored. Another restore is at work in" in second.stderr


@pytest.mark.parametrize("is_restored", [True, False])
def test_a_restore_whose_server_is_lost_during_the_commit_says_that_nobody_knows(backup, elsewhere, is_restored):
    if connection.vendor != "postgresql":
        return  # no server can be lost
    way = Severed(run_dir() / "postgresql" / ".s.PGSQL.5432", passes_commit=is_restored)
    try:
        lost = {"DATABASE_URL": f"postgres://postgres@127.0.0.1:{way.port}/{elsewhere.name}?sslmode=disable"}
        done = manage("restore", str(backup), **{**elsewhere.environment, **lost})
        assert way.is_cut.is_set()
        until("psql's session has ended", lambda: not sessions(elsewhere.name))
    finally:
        way.close()
    assert done.returncode == 1
    assert "The connection was lost during the COMMIT, and the database does not answer." in done.stderr
    assert "Restored." not in done.stdout
    assert "Nothing was restored" not in done.stderr
    assert len(elsewhere.files()) == 2, "they are needed if all was restored"
    if is_restored:
        assert len(elsewhere.rows("changes_restoredcopy")) == 1
        return
    assert tables(elsewhere) == 0
    # As the message says: it is empty, so empty MEDIA_ROOT and restore again.
    shutil.rmtree(elsewhere.media)
    again = elsewhere.manage("restore", str(backup))
    assert again.returncode == 0, again.stderr
