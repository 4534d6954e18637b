"""Loads a dump into the empty database, together with what makes it a restored copy: all or nothing.

No worker ever sees the rows without the hold, and a restore that is killed leaves an empty database.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from django.db import Error, connection

from changes.models import RestoredCopy

from . import archive, programs
from .ending import Ending
from .manifest import BackupRefused

_UNSURE = (
    "The connection was lost during the COMMIT, and the database does not answer. When it does, and it is empty: empty "
    "MEDIA_ROOT and restore again. Otherwise all is restored, and held."
)


class OutcomeUnknown(Exception):  # noqa: N818 - as in changes.exceptions
    """The connection was lost during COMMIT. The text says what to do."""


def load(dump: Path, marks: Sequence[str], ending: Ending, committed: Callable[[bool], None]) -> None:
    """Loads the dump and carries out `marks`, statements without a semicolon, in one transaction.

    Calls `committed` as soon as that is so, with True, or may be so, with False. Raises BackupRefused if the database
    is as it was, OutcomeUnknown if that cannot be told.
    """
    into = _into_postgresql if connection.vendor == "postgresql" else _into_sqlite
    into(dump, marks, ending, committed)


def _into_postgresql(dump: Path, marks: Sequence[str], ending: Ending, committed: Callable[[bool], None]) -> None:
    """The COMMIT is the last line that psql reads. If its input ends earlier, the server rolls back.

    psql's own --single-transaction would commit then.
    """
    version = programs.server_version()
    connection.close()
    reading = [programs.program("pg_restore", version), "--no-owner", "--no-privileges", "--file=-", str(dump)]
    writing = [programs.program("psql", version), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    writing += ["--output=/dev/null", "--file=-"]
    its_environment = programs.environment()
    # Messages go to files: a full pipe would stop the programs. They have sessions of their own, so that Ctrl-C reaches
    # only this process, which knows whether the COMMIT is on its way.
    with (
        dump.with_name("pg_restore.log").open("w+b") as said,
        dump.with_name("psql.log").open("w+b") as written,
        subprocess.Popen(  # noqa: S603
            reading, env=its_environment, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        ) as source,
        subprocess.Popen(  # noqa: S603
            writing,
            env=its_environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=written,
            start_new_session=True,
        ) as target,
    ):
        pipe, end = cast(IO[bytes], source.stdout), cast(IO[bytes], target.stdin)
        try:
            end.write(b"BEGIN;\n")
            shutil.copyfileobj(pipe, end, archive.CHUNK)
            if source.wait():
                raise programs.failed("pg_restore", source.returncode, _read(said))
            end.write("".join(f"{line};\n" for line in ("RESET search_path", *marks)).encode())
            end.write(b"\\echo done\n")
            end.flush()
            # The COMMIT is sent when nothing is left to do before it: until then this process can be ended.
            if not cast(IO[bytes], target.stdout).readline():
                raise programs.failed("psql", target.wait(), _read(written))
            with ending.held_off():
                _commit(target, written, committed)
        except BrokenPipeError as error:  # psql has ended, and says why
            raise programs.failed("psql", target.wait(), _read(written)) from error
        finally:
            for program in (target, source):
                program.kill()
            with suppress(BrokenPipeError):  # what was not written yet
                end.close()


def _commit(target: subprocess.Popen[bytes], written: IO[bytes], committed: Callable[[bool], None]) -> None:
    cast(IO[bytes], target.stdin).write(b"COMMIT;\n")
    cast(IO[bytes], target.stdin).close()
    if target.wait():
        try:
            is_restored = RestoredCopy._meta.db_table in connection.introspection.table_names()
        except Error as error:
            committed(False)
            raise OutcomeUnknown(_UNSURE) from error
        if not is_restored:
            raise programs.failed("psql", target.returncode, _read(written))
    committed(True)


def _read(log: IO[bytes]) -> bytes:
    log.seek(0)
    return log.read()


def _into_sqlite(dump: Path, marks: Sequence[str], ending: Ending, committed: Callable[[bool], None]) -> None:
    """The file gets its name when it is whole and held."""
    connection.close()
    target = Path(connection.settings_dict["NAME"])
    part = target.with_name(f"{target.name}.restore-part")
    try:
        shutil.copyfile(dump, part)
        part.chmod(0o600)
        copy = sqlite3.connect(part)
        try:
            said = copy.execute("PRAGMA integrity_check").fetchone()[0]
            if said != "ok":
                raise BackupRefused(f"The database of the backup is damaged: {said}")
            copy.executescript("".join(f"{line};\n" for line in marks))
        finally:
            copy.close()
        with ending.held_off():
            part.replace(target)
            committed(True)
            archive.sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)
