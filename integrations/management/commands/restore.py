"""python manage.py restore FILE [--check]"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from integrations.backup import archive, marks, restoring
from integrations.backup.ending import Ending
from integrations.backup.loading import OutcomeUnknown
from integrations.backup.manifest import BackupRefused, Manifest


class Command(BaseCommand):
    help = (
        "Restores a backup into an empty database and an empty MEDIA_ROOT. The restored copy sends nothing, and takes "
        "nothing from partners, until resume_after_restore."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="A file that `backup` wrote.")
        parser.add_argument(
            "--check",
            action="store_true",
            help="Only check the file, the keys and the version, and write nothing. Exit code 1 if it cannot be used.",
        )

    def handle(self, *args: object, **options: Any) -> None:
        file: Path = options["file"].absolute()
        self._is_restored = False
        try:
            if options["check"]:
                self._check(file)
            else:
                self._restore(file)
        except OutcomeUnknown as unknown:
            raise CommandError(str(unknown)) from unknown
        except (BackupRefused, Error) as error:
            raise CommandError(f"{self._said()} {error}") from error
        except OSError as error:
            raise CommandError(f"{self._said()} {error.filename or file}: {error.strerror}.") from error

    def _said(self) -> str:
        return "All is restored and held. Afterwards this failed:" if self._is_restored else "Nothing was restored."

    def _check(self, file: Path) -> None:
        manifest = restoring.check(file)
        self._tell(manifest)
        try:
            restoring.check_empty()
        except BackupRefused as refusal:
            self.stdout.write(f"Here it would be refused. {refusal}")
        self.stdout.write("The backup is whole, and the keys of this environment read its secrets.")

    def _restore(self, file: Path) -> None:
        with Ending() as ending:
            manifest = restoring.restore(file, ending, self._tell_restored)
        if differences := list(restoring.differences(manifest)):
            raise CommandError(f"Restored, but not as it was: {' '.join(differences)}")

    def _tell_restored(self, manifest: Manifest) -> None:
        self._is_restored = True
        self.stdout.write(f"Restored. Nothing is sent to partners before resume_after_restore. {marks.TOLD}")
        self._tell(manifest)

    def _tell(self, manifest: Manifest) -> None:
        rows = sum(manifest.counts.values())
        files = sum(name.startswith(archive.FILES) for name in manifest.parts)
        self.stdout.write(
            f"Backup of {manifest.taken_at}, version {manifest.version}: {rows} rows, {files} files of attachments, "
            f"{len(manifest.secrets)} secrets."
        )
        if manifest.missing:
            self.stdout.write(f"Attachments whose file was not there: {archive.named(manifest.missing)}.")
        if missing := restoring.missing_migrations(manifest):
            self.stdout.write(
                f"It is older than this program: run `migrate` afterwards ({len(missing)} migrations), "
                "and `doctor`, which says whether the keys read the secrets."
            )
