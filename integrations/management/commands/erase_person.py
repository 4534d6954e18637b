"""python manage.py erase_person USERNAME [--yes]"""

import sys
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.persons import erasing


class Command(BaseCommand):
    help = (
        "Makes a person's account one that names nobody: erased-NUMBER, without names, address, roles, sessions, "
        "tokens and second factors. What they did stays under that name. It cannot be undone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *args: object, username: str, yes: bool, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user named {username}.")
        if not yes and not self._is_confirmed(username):
            raise CommandError("Nothing was changed. Give --yes, or answer with yes.")
        try:
            events = erasing.erase(user)
        except erasing.NotErasable as refusal:
            raise CommandError(f"Nothing was changed. {refusal}") from refusal
        self.stdout.write(f"{username} is erased-{user.pk} from now on.")
        self.stdout.write("This still has the name, and cannot be erased:")
        self.stdout.write(f"- {events} entries of the security log, whose chain would break;")
        self.stdout.write("- texts that people wrote: search for the name on the pages;")
        self.stdout.write("- what was sent to partners, here until RETENTION_DELIVERED_DAYS, and at the partners;")
        self.stdout.write("- backups and archives, until you delete them. After a restore, erase the person once more;")
        self.stdout.write("- configuration files: `load_exchange` would make an account of that name again.")

    def _is_confirmed(self, username: str) -> bool:
        return sys.stdin.isatty() and input(f"Erase {username} for good? [yes/no] ").strip().lower() == "yes"
