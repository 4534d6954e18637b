"""python manage.py dump_exchange > FILE.yaml"""

from django.core.management.base import BaseCommand

from integrations.setup.configuration import dump


class Command(BaseCommand):
    help = "Writes external systems, groups and users as YAML, without secrets."

    def handle(self, *args: object, **options: object) -> None:
        self.stdout.write(dump(), ending="")
