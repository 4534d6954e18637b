"""Takes a snapshot of the database, and dumps exactly this snapshot to a file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.backends.utils import CursorWrapper

from . import programs
from .manifest import BackupRefused

ALIAS = "backup"


@dataclass(frozen=True)
class Snapshot:
    """`alias`: the database to read; it has exactly what `dump` has."""

    alias: str
    dump: Path
    version: str

    def counts(self) -> dict[str, int]:
        """The number of rows of each table."""
        with connections[self.alias].cursor() as cursor:
            return counts(cursor, self.alias)


def counts(cursor: CursorWrapper, alias: str = DEFAULT_DB_ALIAS) -> dict[str, int]:
    found = {}
    for table in sorted(connections[alias].introspection.table_names(cursor)):
        cursor.execute(f"SELECT COUNT(*) FROM {connections[alias].ops.quote_name(table)}")  # noqa: S608 - our own names  # nosec
        found[table] = cursor.fetchone()[0]
    return found


@contextmanager
def snapshot(dump: Path) -> Iterator[Snapshot]:
    """Dumps the database to the new file `dump`. Only its owner can read it."""
    os.close(os.open(dump, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    take = _of_postgresql if connection.vendor == "postgresql" else _of_sqlite
    with take(dump) as taken:
        yield taken


@contextmanager
def _of_postgresql(dump: Path) -> Iterator[Snapshot]:
    version = programs.server_version()
    pg_dump = programs.program("pg_dump", version)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # It stays open as long as the dump takes, and does nothing meanwhile.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        name = cursor.fetchone()[0]
        # Large objects, of which we have none, would be restored in transactions of their own.
        command = [pg_dump, "--format=custom", "--no-owner", "--no-privileges", "--no-blobs"]
        command += [f"--snapshot={name}", f"--file={dump}"]
        done = subprocess.run(command, env=programs.environment(), capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            raise programs.failed("pg_dump", done.returncode, done.stderr)
        yield Snapshot(DEFAULT_DB_ALIAS, dump, str(version))


@contextmanager
def _of_sqlite(dump: Path) -> Iterator[Snapshot]:
    source = Path(connection.settings_dict["NAME"])
    if not source.is_file():
        raise BackupRefused(f"There is no database at {source}.")
    original, copy = sqlite3.connect(source), sqlite3.connect(dump)
    try:
        original.backup(copy)
        # Of one file, so that nothing of it is left in another beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupRefused(f"The database could not be copied: {error}.") from error
    finally:
        original.close()
        copy.close()
    connections.databases[ALIAS] = {**connection.settings_dict, "NAME": str(dump), "OPTIONS": {}}
    try:
        yield Snapshot(ALIAS, dump, sqlite3.sqlite_version)
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.databases[ALIAS]


def check(dump: IO[bytes]) -> None:
    """Raises BackupRefused if PostgreSQL's own program cannot read the dump. Does not look at one of SQLite."""
    if connection.vendor != "postgresql":
        return
    command = [programs.program("pg_restore", programs.server_version()), "--file=/dev/null"]
    with TemporaryFile() as said:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said) as reading:  # noqa: S603
            end = cast(IO[bytes], reading.stdin)
            with suppress(BrokenPipeError):  # it found a fault, or needs no more
                shutil.copyfileobj(dump, end)
            with suppress(BrokenPipeError):
                end.close()
        if reading.returncode:
            said.seek(0)
            raise programs.failed(
                "The dump of the database cannot be used: pg_restore", reading.returncode, said.read()
            )
