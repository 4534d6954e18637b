from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q


class Command(BaseCommand):
    help = "Lets an account of the OpenID provider sign in as an existing user."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("subject", help="The claim `sub` of the account at the provider.")

    def handle(self, *args: Any, username: str, subject: str, **options: Any) -> None:
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user named {username}.")
        linked = SocialAccount.objects.filter(provider=settings.OIDC_PROVIDER).select_related("user")
        for other in linked.filter(Q(uid=subject) | Q(user=user)):
            raise CommandError(f"{other.uid} is linked with {other.user.get_username()} already.")
        SocialAccount.objects.create(user=user, provider=settings.OIDC_PROVIDER, uid=subject)
        self.stdout.write(f"{subject} at {settings.OIDC_NAME} now signs in as {username}.")
