"""python manage.py check_connection FILE.yaml"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.connections.document import FaultyDocument, connection_of
from integrations.connections.evaluation.connection import Connection


class Command(BaseCommand):
    help = "Checks the document of a connection and prints each fault with its line and column."
    requires_system_checks = []  # it reads one file, and works without a database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="The document, a YAML file: see docs/connections.md.")

    def handle(self, *args: object, **options: Any) -> None:
        file: Path = options["file"]
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{file} is not a UTF-8 text file.") from error
        try:
            connection = connection_of(text)
        except FaultyDocument as error:
            for fault in error.faults:
                self.stdout.write(f"{file}:{fault.line}:{fault.column}: {fault.told}")
            count = len(error.faults)
            raise CommandError(f"{file} has {count} fault{'' if count == 1 else 's'}.") from None
        for line in _found(connection):
            self.stdout.write(line)


def _found(connection: Connection) -> list[str]:
    """What the document has, for people."""
    steps = [
        f"{operation} ({', '.join(step.name for step in steps)})" for operation, steps in connection.outgoing.items()
    ]
    poll = f"every {connection.poll.every} s" if connection.poll else "none"
    inbox = connection.inbox.verify.kind if connection.inbox else "none"
    return [
        "No faults.",
        f"outgoing: {', '.join(steps) or 'none'}",
        f"poll: {poll}",
        f"inbox: {inbox}",
        f"read: {'yes' if connection.read else 'none'}",
        f"secrets: {', '.join(sorted(connection.secret_names)) or 'none'}",
    ]
