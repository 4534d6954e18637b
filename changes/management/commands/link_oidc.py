from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from changes.pages.sign_in.provider import link


class Command(BaseCommand):
    help = "Lets an account of the OpenID provider sign in as an existing user."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("subject", help="The claim `sub` of the account at the provider.")

    def handle(self, *args: Any, username: str, subject: str, **options: Any) -> None:
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user named {username}.")
        try:
            link(user, subject)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"{subject} at {settings.OIDC_NAME} now signs in as {username}.")
