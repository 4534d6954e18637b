"""python manage.py create_api_token USERNAME"""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import NoReverseMatch, reverse
from knox.models import AuthToken

LONGEST = 36_500


class Command(BaseCommand):
    help = "Creates a token for the REST API. Prints only the token to stdout, and notes to stderr."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--days", type=int, help="Days until the token expires. Default: it never expires.")

    def handle(self, *args: object, **options: Any) -> None:
        username, days = options["username"], options["days"]
        if days is not None and not 1 <= days <= LONGEST:
            raise CommandError(f"--days: give a number from 1 to {LONGEST}.")
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        if not user.is_active:
            raise CommandError(f"{username} is not active, so a token would not work.")
        row, token = AuthToken.objects.create(user, expiry=timedelta(days=days) if days else None)
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
