"""python manage.py migrate: Django's, which goes on with a migration that found a table locked."""

import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError
from psycopg.errors import LockNotAvailable

# Seconds between two tries, and the longest time for all of them.
PAUSE, PATIENCE = 5.0, 600.0


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                # What was migrated so far stays, and this migration was rolled back.
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
                if time.monotonic() > ends:
                    raise CommandError(
                        f"A table is still locked after {PATIENCE / 60:.0f} minutes, such as by a backup. What was "
                        "migrated stays. Run migrate again when the other session has ended."
                    ) from error
                self.stderr.write(
                    "A table is locked by another session, such as a backup. Nobody else is kept waiting for it. "
                    f"Trying again in {PAUSE:g} seconds."
                )
                time.sleep(PAUSE)
            else:
                return
