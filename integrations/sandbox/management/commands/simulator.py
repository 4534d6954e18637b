"""python manage.py simulator"""

import os
import socket
from pathlib import Path
from typing import Any

from aiohttp import web
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.sandbox.simulator.config import ConfigError, load
from integrations.sandbox.simulator.server import create_app
from integrations.sandbox.simulator.service import Simulator


class Command(BaseCommand):
    help = "Simulates partner service desks, for trying the exchange."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=9911, help="0 means any free port. Default: %(default)s")
        parser.add_argument(
            "--config",
            type=Path,
            default=settings.VAR_DIR / "simulator.yaml",
            help="The file that names the partners. What they receive is stored beside it. Default: %(default)s",
        )

    def handle(self, *args: object, **options: Any) -> None:
        config: Path = options["config"]
        try:
            partners = load(config)
        except ConfigError as error:
            raise CommandError(str(error)) from error
        try:
            listener = socket.create_server((options["host"], options["port"]))
        except OSError as error:
            raise CommandError(
                f"Port {options['port']} of {options['host']} cannot be used: {os.strerror(error.errno or 0)}."
            ) from error
        url = f"http://{options['host']}:{listener.getsockname()[1]}"
        simulator = Simulator(partners, config.with_suffix(".received.jsonl"), url)

        def started(_: str) -> None:
            self.stdout.write(f"The simulator plays {', '.join(partners)} at {url}/")
            self.stdout.flush()

        app = create_app(simulator, options["host"])
        try:
            web.run_app(app, sock=listener, print=started, access_log=None, shutdown_timeout=1)
        except OSError as error:
            raise CommandError(f"A partner's own port or certificate cannot be used: {error}.") from error
