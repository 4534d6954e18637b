"""python manage.py create_api_token USERNAME"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import NoReverseMatch, reverse
from knox.models import AuthToken

from integrations.tokens.life import LONGEST


class Command(BaseCommand):
    help = "Creates a token for the REST API. Prints only the token to stdout, and notes to stderr."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        life = parser.add_mutually_exclusive_group()
        life.add_argument(
            "--days",
            type=int,
            help=f"Days until the token expires. Default: {settings.API_TOKEN_DAYS} (API_TOKEN_DAYS).",
        )
        life.add_argument("--no-expiry", action="store_true", help="The token is valid until it is revoked.")

    def handle(self, *args: object, **options: Any) -> None:
        username, days = options["username"], options["days"]
        if days is None:
            days = settings.API_TOKEN_DAYS
        elif not 1 <= days <= LONGEST:
            raise CommandError(f"--days: give a number from 1 to {LONGEST}.")
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        if not user.is_active:
            raise CommandError(f"{username} is not active, so a token would not work.")
        row, token = AuthToken.objects.create(user, expiry=None if options["no_expiry"] else timedelta(days=days))
        expiry = f"It expires on {row.expiry:%Y-%m-%d at %H:%M} UTC." if row.expiry else "It does not expire."
        systems = ", ".join(str(system) for system in user.authorized_systems.all())
        acts = f"speaks for {systems}" if systems else f"acts with the permissions of {username}"
        self.stderr.write(f"This token {acts}. It is shown only once. {expiry}")
        self.stderr.write(f"Revoke it in the admin, {_admin_address()}, where it begins with {row.token_key}.")
        self.stdout.write(token)


def _admin_address() -> str:
    try:
        return reverse("admin:knox_authtoken_changelist")
    except NoReverseMatch:
        return reverse("admin:index")
