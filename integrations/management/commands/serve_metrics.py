"""python manage.py serve_metrics"""

from __future__ import annotations

import os

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from prometheus_client import start_http_server

from integrations.watch.figures import registry


class Command(BaseCommand):
    help = "Answers Prometheus on METRICS_PORT of METRICS_ADDRESS with the figures of the processes of this host."
    requires_system_checks = []

    def handle(self, *args: object, **options: object) -> None:
        port, address = settings.METRICS_PORT, settings.METRICS_ADDRESS
        if port is None:
            raise CommandError("METRICS_PORT is not set: give a port, such as METRICS_PORT=9464")
        try:
            _, thread = start_http_server(port, address, registry(settings.METRICS_DIR))
        except OSError as error:
            told = os.strerror(error.errno) if error.errno and error.errno > 0 else error
            raise CommandError(f"METRICS_PORT={port} of METRICS_ADDRESS={address} cannot be used: {told}") from error
        self.stdout.write(f"Figures at http://{address}:{port}/metrics")
        self.stdout.flush()
        try:
            thread.join()
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
