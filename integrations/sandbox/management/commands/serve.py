"""python manage.py serve"""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from integrations.sandbox.local.environment import add_serve_options
from integrations.sandbox.serving import serve


class Command(BaseCommand):
    help = "Starts the web server, a worker, beat and the partner simulator on this machine, with demo data."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_serve_options(parser)

    def handle(self, *args: object, **options: Any) -> None:
        serve(options["port"], options["simulator_port"], self.stdout)
