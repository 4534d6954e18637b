"""python manage.py exchange_status [--json]"""

import json

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from integrations.standing import status_report
from integrations.standing.status import all_statuses


class Command(BaseCommand):
    help = (
        "Shows for each external system: how many operations wait and since when, how many are in flight and refused, "
        "its circuit breaker, and the operations delivered in the last minute and per minute over the last five."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Prints JSON for programs, with RFC 3339 times in UTC.")

    def handle(self, *args: object, **options: object) -> None:
        now = timezone.now()
        statuses = all_statuses(now)
        if options["json"]:
            self.stdout.write(json.dumps(status_report.as_json(statuses, now), indent=2, ensure_ascii=False))
        else:
            self.stdout.write(status_report.as_text(statuses, now))
