"""Restores a backup into an empty installation, or checks whether it could be restored."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from changes.models import RestoredCopy

from . import archive, dumping, encrypted, loading, marks, programs
from .ending import Ending
from .manifest import BackupRefused, Manifest

# The folders in VAR_DIR in which a dump lies while it is restored.
PREFIX = "restore-"


# --- Checks ---


def check(file: Path) -> Manifest:
    """Checks all but whether there is room for it: `check_empty()`. Writes nothing. Raises BackupRefused."""
    if not file.is_file():
        raise BackupRefused(f"There is no file {file}.")
    faults: list[BackupRefused] = []

    def take(name: str, content: IO[bytes]) -> None:
        if name == archive.DATABASE:
            try:
                dumping.check(content)
            except BackupRefused as fault:
                faults.append(fault)

    manifest = archive.read(file, take)
    _check_kind(manifest)
    if newer := newer_migrations(manifest):
        raise BackupRefused(
            f"The backup is of version {manifest.version}, which is newer than this program ({settings.VERSION}): "
            f"{archive.named(newer)} unknown here. Install that version, then restore."
        )
    _check_keys(manifest)
    for fault in faults:  # the others say more
        raise fault
    return manifest


def _check_kind(manifest: Manifest) -> None:
    if manifest.kind != connection.vendor:
        raise BackupRefused(
            f"The backup is of {manifest.kind}, and DATABASE_URL names {connection.vendor}. Set DATABASE_URL to a "
            f"database of {manifest.kind}."
        )
    if manifest.kind == "postgresql":
        needed = max(programs.server_version(), int(manifest.database_version))
        for name in ("pg_restore", "psql"):
            programs.program(name, needed)


def _check_keys(manifest: Manifest) -> None:
    known = {*encrypted.fingerprints(), ""}  # what nothing read before is lost already
    lost = [what for what, key in manifest.secrets.items() if key not in known]
    if lost:
        needed = sorted({manifest.secrets[what] for what in lost})
        raise BackupRefused(
            f"{len(lost)} secrets could not be read with the keys of this environment: {'; '.join(lost)}. Add the key "
            f"that encrypted them to FIELD_ENCRYPTION_KEYS (or SECRET_KEY_FALLBACKS): fingerprint {', '.join(needed)}."
        )


def newer_migrations(manifest: Manifest) -> list[str]:
    """The migrations of the backup that this program does not have."""
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    ours = {config.split(".", 1)[0] for config in known}
    return sorted(name for name in manifest.migrations if name not in known and name.split(".", 1)[0] in ours)


def missing_migrations(manifest: Manifest) -> list[str]:
    """The migrations of this program that the backup does not have."""
    loader = MigrationLoader(None)
    return sorted(f"{app}.{name}" for app, name in loader.disk_migrations if f"{app}.{name}" not in manifest.migrations)


def check_empty() -> None:
    """Raises BackupRefused if there is a database, or a file in MEDIA_ROOT."""
    held = _counts_of_target()
    if held:
        rows = ", ".join(f"{count} in {table}" for table, count in held.items() if count)
        raise BackupRefused(
            f"The database is not empty: it has {len(held)} tables ({rows or 'without rows'}). "
            "Restore into a new, empty database: see DATABASE_URL."
        )
    files = [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()] if settings.MEDIA_ROOT.exists() else []
    if files:
        raise BackupRefused(
            f"{settings.MEDIA_ROOT} is not empty: it has {len(files)} files. Move it away, or set MEDIA_ROOT. "
            "A restore that was killed leaves such files."
        )


def _counts_of_target() -> dict[str, int]:
    if connection.vendor == "sqlite" and not _is_written(Path(connection.settings_dict["NAME"])):
        return {}
    with connection.cursor() as cursor:
        found = dumping.counts(cursor)
    told = ("changes_change", "integrations_outgoingoperation", "auth_user")
    return {table: count for table, count in found.items() if table in told} or dict.fromkeys(found, 0)


def _is_written(database: Path) -> bool:
    """Whether there is a file of SQLite with content. Without one, raises BackupRefused if another's log is beside it.

    SQLite would apply that log to the restored file.
    """
    if database.exists() and database.stat().st_size:
        return True
    for left in (database.with_name(f"{database.name}{end}") for end in ("-wal", "-shm", "-journal")):
        if left.exists():
            raise BackupRefused(
                f"{left} is left over from another database, and would spoil the restored one. Move it away: it may "
                "have what was written last."
            )
    return False


# --- Restoring ---


def restore(file: Path, ending: Ending, tell: Callable[[Manifest], None]) -> Manifest:
    """Restores all, and holds the exchange. Calls `tell` as soon as all is there; an error after it changes nothing.

    Raises BackupRefused if nothing was restored, OutcomeUnknown if that cannot be told.
    """
    with _alone():
        manifest = check(file)
        check_empty()
        with _extracted(file) as extracted:

            def committed(is_known: bool) -> None:
                extracted.is_kept = True
                if is_known:
                    tell(manifest)

            statements = marks.of_copy(datetime.fromisoformat(manifest.taken_at), timezone.now(), manifest.counts)
            loading.load(extracted.dump, statements, ending, committed)
    return manifest


@contextmanager
def _alone() -> Iterator[None]:
    """Refuses if another restore is at work in VAR_DIR, and removes what a killed one left there."""
    with (settings.VAR_DIR / "restore.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupRefused(f"Another restore is at work in {settings.VAR_DIR}. Wait for its end.") from error
        for left in settings.VAR_DIR.glob(f"{PREFIX}*/"):
            shutil.rmtree(left)
        yield


@dataclass
class Extracted:
    """`is_kept`: whether the attachments stay, since their rows are in the database."""

    dump: Path
    is_kept: bool = False


@contextmanager
def _extracted(file: Path) -> Iterator[Extracted]:
    """The dump in a file that is removed at the end. The attachments are in MEDIA_ROOT, and stay if `is_kept`."""
    root: Path = settings.MEDIA_ROOT
    was_there = root.exists()
    with TemporaryDirectory(dir=settings.VAR_DIR, prefix=PREFIX) as folder:
        extracted = Extracted(Path(folder) / "database")

        def take(name: str, content: IO[bytes]) -> None:
            target = extracted.dump if name == archive.DATABASE else root / name.removeprefix(archive.FILES)
            for parent in reversed([each for each in target.parents if not each.exists()]):
                parent.mkdir(mode=0o700)
            with open(target, "xb", opener=_for_owner) as output:
                shutil.copyfileobj(content, output, archive.CHUNK)

        try:
            archive.read(file, take)
            yield extracted
        finally:
            if not extracted.is_kept:
                for path in [*root.iterdir()] if root.exists() else []:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                if not was_there and root.exists():
                    root.rmdir()


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def differences(manifest: Manifest) -> Iterator[str]:
    """What the restored database has otherwise than the backup says.

    Looks at secrets only if no migration is missing: they are found by the models.
    """
    with connection.cursor() as cursor:
        found = dumping.counts(cursor)
    expected = {**manifest.counts, **{table: 0 for table in marks.SESSIONS if table in manifest.counts}}
    found[RestoredCopy._meta.db_table] = expected.get(RestoredCopy._meta.db_table, 0)
    for table in sorted({*found, *expected}):
        if found.get(table) != expected.get(table):
            yield f"{table} has {found.get(table, 'no')} rows, and had {expected.get(table, 'no')}."
    if not missing_migrations(manifest):
        for what, key in encrypted.secrets(connection.alias).items():
            if not key and manifest.secrets.get(what):
                yield f"{what} cannot be decrypted."
