"""python manage.py hold_after_restore [--taken-at TIME] [--yes]"""

import sys
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from changes.models import restored_copy
from integrations.backup import marks, resuming


class Command(BaseCommand):
    help = (
        "Marks this database as a restored copy, of which nothing is sent until resume_after_restore. `restore` does "
        "so itself. Run it after any other way of restoring, before workers and web servers start."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--taken-at", default="", metavar="TIME", help="To when it was restored: 2026-01-31T12:00Z."
        )
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *args: object, taken_at: str, yes: bool, **options: Any) -> None:
        moment = self._moment(taken_at) if taken_at else None
        if restored_copy():
            raise CommandError("It is marked already.")
        self.stdout.write(
            f"{connection.settings_dict['NAME']}: from now on nothing is sent, no partner is polled, no bulk job is "
            "carried out, and each call of a partner is answered 503."
        )
        if not yes and not self._is_confirmed():
            raise CommandError("Nothing was changed. Give --yes, or answer with yes.")
        copy = resuming.hold(moment)
        if copy is None:
            raise CommandError("It is marked already.")
        self.stdout.write(f"{resuming.told(copy)} {marks.TOLD}")

    def _is_confirmed(self) -> bool:
        return sys.stdin.isatty() and input("Is this a restored copy? [yes/no] ").strip().lower() == "yes"

    def _moment(self, text: str) -> datetime:
        try:
            moment = parse_datetime(text)
        except ValueError:
            moment = None
        if moment is None:
            raise CommandError(f"--taken-at: {text} is no time. Write it as 2026-01-31T12:00Z.")
        return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
