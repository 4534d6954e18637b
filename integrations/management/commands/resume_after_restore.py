"""python manage.py resume_after_restore [--skip SYSTEM_ID] [--cancel-bulk] [--yes]"""

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
not, skip all that waits for it: --skip SYSTEM_ID."""
JOBS = """The original may have carried them out to their end. What they do here is sent with new ids, which partners
cannot tell from what they got before. To stop them: --cancel-bulk. Who started them can start them anew."""


class Command(BaseCommand):
    help = "Lets a restored copy exchange with its partners. First says what would be sent, and asks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--skip",
            action="append",
            default=[],
            metavar="SYSTEM_ID",
            help="Skip all that waits for this system: from before the backup, and what people did in the copy. Can be "
            "given several times.",
        )
        parser.add_argument(
            "--cancel-bulk", action="store_true", help="Stop the unfinished bulk jobs. Without it they go on."
        )
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *args: object, skip: list[str], cancel_bulk: bool, yes: bool, **options: Any) -> None:
        copy = restored_copy()
        if copy is None:
            raise CommandError("This is no restored copy that waits: nothing is held, and nothing was changed.")
        skipped = [self._system(system_id) for system_id in skip]
        self.stdout.write(resuming.told(copy))
        self._tell([*resuming.waiting(copy)], {system.pk for system in skipped})
        self._tell_jobs(cancel_bulk)
        if not yes and not self._is_confirmed():
            raise CommandError("Nothing was changed. Give --yes, or answer with yes.")
        done = resuming.resume(copy, skipped, cancel_bulk)
        self.stdout.write(f"Resumed. Skipped: {done.skipped}. Bulk jobs cancelled: {done.cancelled}.")
        if done.dropped:
            self.stdout.write(f"Mails about security events from before the backup, not sent again: {done.dropped}.")

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
                line += f" All are skipped, {each.count - each.before} of which people did in this copy."
            self.stdout.write(f"{line} {each.detail}".strip())
        if not found:
            self.stdout.write("No external system is registered.")
        self.stdout.write(REPEATS)

    def _tell_jobs(self, are_cancelled: bool) -> None:
        jobs = resuming.unfinished_jobs()
        for job in jobs:
            self.stdout.write(f"Unfinished bulk job: {job}. It {'is stopped' if are_cancelled else 'goes on'}.")
        if jobs and not are_cancelled:
            self.stdout.write(JOBS)

    def _is_confirmed(self) -> bool:
        if not sys.stdin.isatty():
            return False
        return (
            input("Send to partners from here on? Is the original ended for good? [yes/no] ").strip().lower() == "yes"
        )
