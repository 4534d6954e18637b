"""python manage.py doctor"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from integrations.setup.doctor import Verdict, findings

STYLES = {Verdict.OK: "SUCCESS", Verdict.LOOK: "WARNING", Verdict.WRONG: "ERROR"}


class Command(BaseCommand):
    help = "Looks at the installation, and says what is wrong and how to mend it. Changes nothing."
    requires_system_checks: list[str] = []  # it shows them itself

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        for finding in findings():
            wrong += finding.verdict == Verdict.WRONG
            style = getattr(self.style, STYLES[finding.verdict])
            self.stdout.write(f"{style(f'{finding.verdict:5}')} {finding.subject}: {finding.said}")
            if finding.mend:
                self.stdout.write(f"      {finding.mend}")
        if wrong:
            raise CommandError(f"{wrong} wrong. Each has its mend below it.")
