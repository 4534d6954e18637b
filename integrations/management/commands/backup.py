"""python manage.py backup FILE"""

from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from integrations.backup import archive, taking
from integrations.backup.ending import Ending
from integrations.backup.manifest import BackupRefused
from integrations.workers import last_runs


class Command(BaseCommand):
    help = "Writes a backup of the database and the attachments to one file, while the system is in use."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="A new file, such as backup.tar; .tar.gz or .tgz is compressed.")

    def handle(self, *args: object, **options: Any) -> None:
        file: Path = options["file"].absolute()
        try:
            with Ending():
                manifest = taking.take(file, self.stdout.write)
        except (BackupRefused, Error) as error:
            raise CommandError(f"No backup was taken. {error}") from error
        except OSError as error:
            raise CommandError(f"No backup was taken. {error.filename or file}: {error.strerror}.") from error
        try:
            last_runs.note(last_runs.BACKUP, datetime.fromisoformat(manifest.taken_at), str(file))
        except OSError as error:
            self.stderr.write(f"Attention: it could not be noted that this backup was taken: {error}.")
        unread = [what for what, key in manifest.secrets.items() if not key]
        for names, told in (
            (manifest.missing, "attachments have no file in MEDIA_ROOT, so it is not in the backup"),
            (manifest.altered, "attachments have another content than when they were stored"),
            (unread, "secrets cannot be read with the keys of this environment"),
        ):
            if names:
                self.stderr.write(f"Attention: {len(names)} {told}: {archive.named(names)}.")
        self.stdout.write(f"{file}: {file.stat().st_size} bytes. The keys are not in it: keep FIELD_ENCRYPTION_KEYS")
        self.stdout.write("and SECRET_KEY elsewhere.")
