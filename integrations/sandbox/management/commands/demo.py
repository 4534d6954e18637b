"""python manage.py demo"""

from django.core.management.base import BaseCommand

from integrations.sandbox.demo.demonstration import demonstrate


class Command(BaseCommand):
    help = "Runs every operation with real processes on temporary data, and checks what the partners receive."
    requires_system_checks = []

    def handle(self, *args: object, **options: object) -> None:
        def say(text: str) -> None:
            self.stdout.write(text)
            self.stdout.flush()

        demonstrate(say)
