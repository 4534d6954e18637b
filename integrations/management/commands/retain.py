"""python manage.py retain [--dry-run]"""

import os
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from changes.models import restored_copy
from integrations.retention import sweeping
from integrations.workers import shutdown

CANNOT = "RETENTION_ARCHIVE cannot be written to"
TOLD = {
    "changes": "finished changes",
    "delivered": "contents of delivered operations",
    "attempts": "attempts of delivered operations",
    "incoming": "bodies of incoming operations",
}


class Command(BaseCommand):
    help = (
        "Archives and removes what is older than the settings RETENTION_... allow, in small batches, as beat does. "
        "Ctrl-C ends it after the batch under way; the next run goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def handle(self, *args: object, dry_run: bool, **options: Any) -> None:
        if not sweeping.is_wanted():
            names = ", ".join(sorted(sweeping.SETTINGS.values()))
            raise CommandError(f"Everything is kept for ever. Set one of {names}.")
        if restored_copy():
            raise CommandError("This is a restored copy that waits for resume_after_restore: nothing is removed.")
        if dry_run:
            found = sweeping.count()
        else:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: shutdown.ask())
            try:
                found = sweeping.sweep(shutdown.is_asked)
            except OSError as error:
                raise CommandError(f"{CANNOT}: {error}. What was not archived was not removed.") from error
        for name, setting in sweeping.SETTINGS.items():
            days = getattr(settings, setting)
            if not days:
                said = "kept for ever"
            elif dry_run and name == "attempts":
                said = f"those of {found[name]} operations would be removed"
            else:
                said = f"{found[name]} {'would be ' if dry_run else ''}removed"
            self.stdout.write(f"{TOLD[name]} ({setting}={days or ''}): {said}")
        if not settings.RETENTION_ARCHIVE:
            self.stdout.write("Without an archive: RETENTION_ARCHIVE is not set.")
        elif dry_run and not os.access(settings.RETENTION_ARCHIVE, os.W_OK):
            raise CommandError(f"{CANNOT}: {settings.RETENTION_ARCHIVE} is not there, or is not for this user.")
        else:
            self.stdout.write(f"The archive is {settings.RETENTION_ARCHIVE}.")
