"""python manage.py deliver"""

from __future__ import annotations

import logging
import signal
import threading
import time

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, close_old_connections

from changes.bulk import running
from changes.conflicts import is_unavailable
from integrations.outgoing import delivery, outbox
from integrations.tasks import BULK_SECONDS, retain, tend_tokens
from integrations.workers import shutdown

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Sends the operations that are due and works on bulk jobs, without a broker or a worker."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forever",
            action="store_true",
            help=f"Look again every {settings.DISPATCH_INTERVAL:g} s (DISPATCH_INTERVAL), until SIGTERM or Ctrl-C. "
            "Without it, ends when nothing is due.",
        )

    def handle(self, *args: object, forever: bool = False, **options: object) -> None:
        asked = threading.Event()

        def ask(*_: object) -> None:
            # Finishes what is under way and takes nothing new.
            shutdown.ask()
            asked.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ask)
        tries = self._once(forever)
        tended_at = float("-inf")
        while forever and not asked.wait(settings.DISPATCH_INTERVAL):
            tries += self._once(forever)
            if time.monotonic() - tended_at >= settings.TOKEN_SWEEP_SECONDS:
                tended_at = time.monotonic()
                tend_tokens()
                retain()
        self.stdout.write(f"Tried to send {tries} operation{'' if tries == 1 else 's'}.")

    def _once(self, forever: bool) -> int:
        try:
            return self._all()
        except Error as error:
            if not is_unavailable(error):
                raise
            if not forever:
                raise CommandError(f"The database is unavailable or busy: {error}") from error
            logger.warning("The database is unavailable or busy; the next sweep tries again: %s", error)
            return 0
        finally:
            close_old_connections()

    def _all(self) -> int:
        outbox.release_stale()
        outbox.note_missed()
        running.clear_drafts()
        tries, is_more = 0, True
        while is_more:
            # Bulk jobs and deliveries take turns, so that what a bulk job sends need not wait for its end.
            is_more = running.run(BULK_SECONDS, shutdown.is_asked) and not shutdown.is_asked()
            tries += delivery.drain()
        return tries
