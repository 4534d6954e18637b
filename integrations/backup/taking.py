"""Takes a backup. The attachments are copied after the snapshot of the database, so each of its rows has its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

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
    if file.exists():
        raise BackupRefused(f"{file} is there already. Give another name, or remove it.")
    if not file.parent.is_dir():
        raise BackupRefused(f"There is no folder {file.parent}. Make it first.")
    taken_at = timezone.now().isoformat()
    with dumping.snapshot(file.with_name(f"{file.name}.database.part")) as snapshot:
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
        tell(f"Database: {snapshot.dump.stat().st_size} bytes.")
        with archive.writing(file, manifest) as backup:
            backup.add(archive.DATABASE, snapshot.dump)
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
