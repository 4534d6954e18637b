"""python manage.py exchange_status [--json]"""

import json

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from changes.models import restored_copy
from integrations.backup import resuming
from integrations.standing import status_report
from integrations.standing.status import all_statuses

# The exit code in a restored copy that waits.
ON_HOLD = 3


class Command(BaseCommand):
    help = (
        "Shows for each external system: how many operations wait and since when, how many are in flight and refused, "
        "its circuit breaker, and the operations delivered in the last minute and per minute over the last five. "
        "Exit code 3 in a restored copy that waits for resume_after_restore."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Prints JSON for programs, with RFC 3339 times in UTC.")

    def handle(self, *args: object, **options: object) -> None:
        now = timezone.now()
        statuses, copy = all_statuses(now), restored_copy()
        if options["json"]:
            self.stdout.write(json.dumps(status_report.as_json(statuses, now, copy), indent=2, ensure_ascii=False))
        else:
            self.stdout.write(status_report.as_text(statuses, now))
        if copy:
            raise CommandError(resuming.told(copy), returncode=ON_HOLD)
