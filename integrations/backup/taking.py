"""Takes a backup. The attachments are copied after the snapshot of the database, so each of its rows has its file."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from django.apps import apps
from django.conf import settings
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import FileField
from django.utils import timezone

from . import archive, dumping, encrypted
from .manifest import BackupRefused, Manifest


def take(file: Path, tell: Callable[[str], None]) -> Manifest:
    """Writes a backup to `file`. Raises BackupRefused; OSError if the disk is full or not writable."""
    if not file.parent.is_dir():
        raise BackupRefused(f"There is no folder {file.parent}. Make it first.")
    # The dump lies in a folder of its own beside the file.
    prefix = f".{file.name}.dump-"
    with archive.reserved(file) as output:
        for left in file.parent.glob(f"{glob.escape(prefix)}*/"):
            shutil.rmtree(left)  # of a backup to this name that was killed
        with TemporaryDirectory(dir=file.parent, prefix=prefix) as folder:
            dump = Path(folder) / archive.DATABASE
            taken_at = timezone.now().isoformat()
            with dumping.snapshot(dump) as snapshot:
                manifest = Manifest(
                    version=settings.VERSION,
                    taken_at=taken_at,
                    kind=connection.vendor,
                    database_version=snapshot.version,
                    migrations=migrations_of(snapshot.alias),
                    keys=encrypted.fingerprints(),
                    secrets=encrypted.secrets(snapshot.alias),
                    counts=snapshot.counts(),
                )
                files = list(files_of(snapshot.alias))
            tell(f"Database: {dump.stat().st_size} bytes.")
            with dump.open("rb") as content:
                dumping.check(content)
            with archive.writing(output, file.name.endswith(archive.COMPRESSED), manifest) as backup:
                backup.add(archive.DATABASE, dump)
                _add_files(backup, files)
    tell(f"Attachments: {len(files) - len(manifest.missing)} files.")
    return manifest


def _add_files(backup: archive.Writing, files: list[tuple[str, str]]) -> None:
    for name, digest in files:
        try:
            found = backup.add(f"{archive.FILES}{name}", settings.MEDIA_ROOT / name)
        except FileNotFoundError:
            backup.manifest.missing.append(name)
            continue
        if digest and found != digest:
            backup.manifest.altered.append(name)


def migrations_of(alias: str) -> list[str]:
    applied = MigrationRecorder(connections[alias]).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in applied)


def files_of(alias: str) -> Iterator[tuple[str, str]]:
    """The name of each file that a row has, with the checksum that the row says."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, FileField):
                rows = model._default_manager.using(alias).exclude(**{field.name: ""}).order_by("pk")
                yield from rows.values_list(field.name, "sha256").iterator()
