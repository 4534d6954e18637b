"""python manage.py resume_after_restore [--skip SYSTEM_ID] [--yes]"""

import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from changes.models import restored_copy
from integrations.backup import resuming
from integrations.backup.resuming import Waiting
from integrations.models import ExternalSystem
from integrations.standing.status_report import duration

REPEATS = """What the original delivered after the backup is not known here. It is sent again, with the same ids:
partners that keep to the contract answer a repeat as the first time, and do nothing twice. For a partner that does
not, skip what waited when the backup was taken: --skip SYSTEM_ID."""


class Command(BaseCommand):
    help = "Lets a restored copy exchange with its partners. First says what would be sent, and asks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--skip",
            action="append",
            default=[],
            metavar="SYSTEM_ID",
            help="Skip what waited for this system when the backup was taken. Can be given several times.",
        )
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *args: object, skip: list[str], yes: bool, **options: Any) -> None:
        copy = restored_copy()
        if copy is None:
            raise CommandError("This is no restored copy that waits: nothing is held, and nothing was changed.")
        skipped = [self._system(system_id) for system_id in skip]
        self.stdout.write(resuming.told(copy))
        self._tell([*resuming.waiting(copy)], {system.pk for system in skipped})
        if not yes and not self._is_confirmed():
            raise CommandError("Nothing was changed. Give --yes, or answer with yes.")
        count = resuming.resume(copy, skipped)
        self.stdout.write(f"Resumed. Skipped: {count}.")

    def _system(self, system_id: str) -> ExternalSystem:
        system = ExternalSystem.objects.filter(system_id=system_id).first()
        if system is None:
            known = ", ".join(ExternalSystem.objects.values_list("system_id", flat=True)) or "none"
            raise CommandError(f"--skip: there is no system {system_id}. Registered: {known}.")
        return system

    def _tell(self, found: Sequence[Waiting], skipped: set[int]) -> None:
        now = timezone.now()
        for each in found:
            age = duration(int((now - each.oldest).total_seconds())) if each.oldest else "-"
            line = f"{each.system}: {each.count} would be sent, {each.before} from before the backup; oldest {age}."
            if each.system.pk in skipped:
                line += f" {each.before} are skipped."
            self.stdout.write(f"{line} {each.detail}".strip())
        if not found:
            self.stdout.write("No external system is registered.")
        self.stdout.write(REPEATS)

    def _is_confirmed(self) -> bool:
        if not sys.stdin.isatty():
            return False
        return (
            input("Send to partners from here on? Is the original ended for good? [yes/no] ").strip().lower() == "yes"
        )
