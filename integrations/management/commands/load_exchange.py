"""python manage.py load_exchange FILE.yaml"""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.setup.configuration import ConfigurationError, load


class Command(BaseCommand):
    help = "Creates or updates external systems, groups and users from a YAML file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, help="As dump_exchange writes it; ${NAME} in a secret is read from the environment."
        )

    def handle(self, *args: object, **options: Any) -> None:
        file: Path = options["file"]
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{file} is not a UTF-8 text file.") from error
        try:
            done = load(text, os.environ)
        except ConfigurationError as error:
            raise CommandError(f"{file}: {error}\nNothing was changed.") from error
        for line in done or ["nothing to change"]:
            self.stdout.write(line)
