"""Restores a backup into an empty installation, or checks whether it could be restored."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from changes.models import RestoredCopy

from . import archive, dumping, encrypted, programs
from .manifest import BackupRefused, Manifest

_HOLD = """DELETE FROM {table};
INSERT INTO {table} (id, taken_at, restored_at) VALUES ({key}, '{taken_at}', '{restored_at}');"""


# --- Checks ---


def check(file: Path) -> Manifest:
    """Checks all but whether there is room for it: `check_empty()`. Writes nothing. Raises BackupRefused."""
    if not file.is_file():
        raise BackupRefused(f"There is no file {file}.")
    manifest = archive.read(file)
    _check_kind(manifest)
    if newer := newer_migrations(manifest):
        raise BackupRefused(
            f"The backup is of version {manifest.version}, which is newer than this program ({settings.VERSION}): "
            f"{archive.named(newer)} unknown here. Install that version, then restore."
        )
    _check_keys(manifest)
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
            f"{settings.MEDIA_ROOT} is not empty: it has {len(files)} files. Move it away, or set MEDIA_ROOT."
        )


def _counts_of_target() -> dict[str, int]:
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        return {}
    with connection.cursor() as cursor:
        found = dumping.counts(cursor)
    told = ("changes_change", "integrations_outgoingoperation", "auth_user")
    return {table: count for table, count in found.items() if table in told} or dict.fromkeys(found, 0)


# --- Restoring ---


def restore(file: Path) -> tuple[Manifest, list[str]]:
    """Restores all, and holds the exchange. Returns the manifest, and what is not as it was.

    Raises BackupRefused if nothing was restored.
    """
    manifest = check(file)
    check_empty()
    with _extracted(file) as dump:
        held = _HOLD.format(
            table=RestoredCopy._meta.db_table,
            key=RestoredCopy.KEY,
            taken_at=_as_text(manifest.taken_at),
            restored_at=_as_text(timezone.now().isoformat()),
        )
        if manifest.kind == "postgresql":
            _into_postgresql(dump, held)
        else:
            _into_sqlite(dump, held)
    return manifest, list(_differences(manifest))


def _as_text(moment: str) -> str:
    value = datetime.fromisoformat(moment)
    return str(connection.ops.adapt_datetimefield_value(value)) if connection.vendor == "sqlite" else moment


@contextmanager
def _extracted(file: Path) -> Iterator[Path]:
    """The dump in a file that is removed at the end. The attachments are in MEDIA_ROOT, unless an error is raised."""
    root: Path = settings.MEDIA_ROOT
    was_there = root.exists()
    with TemporaryDirectory(dir=settings.VAR_DIR, prefix="restore-") as folder:
        dump = Path(folder) / "database"

        def take(name: str, content: IO[bytes]) -> None:
            target = dump if name == archive.DATABASE else root / name.removeprefix(archive.FILES)
            for parent in reversed([each for each in target.parents if not each.exists()]):
                parent.mkdir(mode=0o700)
            with open(target, "xb", opener=_for_owner) as output:
                shutil.copyfileobj(content, output, archive.CHUNK)

        try:
            archive.read(file, take)
            yield dump
        except BaseException:
            for path in [*root.iterdir()] if root.exists() else []:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if not was_there and root.exists():
                root.rmdir()
            raise


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _into_postgresql(dump: Path, held: str) -> None:
    """One transaction, in which the copy is also held: no worker ever sees it without."""
    version = programs.server_version()
    connection.close()
    reading = [programs.program("pg_restore", version), "--no-owner", "--no-privileges", "--file=-", str(dump)]
    writing = [programs.program("psql", version), "--no-psqlrc", "--quiet", "--single-transaction"]
    writing += ["--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-"]
    its_environment = programs.environment()
    # Messages go to files: a full pipe would stop the programs.
    with (
        dump.with_name("pg_restore.log").open("w+b") as said,
        dump.with_name("psql.log").open("w+b") as written,
        subprocess.Popen(reading, env=its_environment, stdout=subprocess.PIPE, stderr=said) as source,  # noqa: S603
        subprocess.Popen(writing, env=its_environment, stdin=subprocess.PIPE, stderr=written) as target,  # noqa: S603
    ):
        pipe, end = cast(IO[bytes], source.stdout), cast(IO[bytes], target.stdin)
        try:
            shutil.copyfileobj(pipe, end, archive.CHUNK)
            if source.wait():
                raise programs.failed("pg_restore", source.returncode, _read(said))
            end.write(f"RESET search_path;\n{held}\n".encode())
            end.close()
        except BrokenPipeError:
            source.kill()  # psql has ended, and says why
        except BaseException:
            target.kill()  # an end of its input would commit
            source.kill()
            raise
        if target.wait():
            raise programs.failed("psql", target.returncode, _read(written))


def _read(log: IO[bytes]) -> bytes:
    log.seek(0)
    return log.read()


def _into_sqlite(dump: Path, held: str) -> None:
    """The file gets its name when it is whole and held."""
    connection.close()
    target = Path(connection.settings_dict["NAME"])
    part = target.with_name(f"{target.name}.restore-part")
    shutil.copyfile(dump, part)
    part.chmod(0o600)
    copy = sqlite3.connect(part)
    try:
        said = copy.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            raise BackupRefused(f"The database of the backup is damaged: {said}")
        copy.executescript(held)
    except BaseException:
        part.unlink()
        raise
    finally:
        copy.close()
    part.replace(target)
    archive.sync_folder(target.parent)


def _differences(manifest: Manifest) -> Iterator[str]:
    """What the restored database has otherwise than the backup says."""
    with connection.cursor() as cursor:
        found = dumping.counts(cursor)
    found[RestoredCopy._meta.db_table] = manifest.counts.get(RestoredCopy._meta.db_table, 0)
    for table in sorted({*found, *manifest.counts}):
        if found.get(table) != manifest.counts.get(table):
            yield f"{table} has {found.get(table, 'no')} rows, and had {manifest.counts.get(table, 'no')}."
    for what, key in encrypted.secrets(connection.alias).items():
        if not key and manifest.secrets.get(what):
            yield f"{what} cannot be decrypted."
