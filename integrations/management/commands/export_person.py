"""python manage.py export_person USERNAME FILE"""

import json
import os
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from changes.security_log.recording import Subject, record
from integrations.persons import exporting


class Command(BaseCommand):
    help = "Writes all that names a person to a new JSON file that only its owner can read. It contains no secret."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("file", type=Path)

    def handle(self, *args: object, username: str, file: Path, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user named {username}.")
        data = exporting.data_of(user)
        try:
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
                json.dump(data, output, indent=1, ensure_ascii=False, default=str)
        except FileExistsError as error:
            raise CommandError(f"{file} is there already. Give another name.") from error
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
        record("person_exported", Subject.of(user))
        for name, rows in data.items():
            if isinstance(rows, list):
                self.stdout.write(f"{name}: {len(rows)}")
        self.stdout.write("Texts that others wrote about the person are not in it: search for the name on the pages.")
