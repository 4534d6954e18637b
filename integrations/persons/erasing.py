"""Makes a person's account one that names nobody. What they did stays, under the new name."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from knox.models import AuthToken

from changes.models import Look, Preferences, SavedFilter, SecurityEvent, SecurityMail
from changes.security_log.recording import Subject, record, unrecorded
from integrations.models import SmaxAddress, SmaxToken
from integrations.models.accounts import is_partner_account

from .tries import tries_of

# What belongs to the account alone.
OWN = (
    EmailAddress,
    Authenticator,
    SocialAccount,
    AuthToken,
    SmaxToken,
    SmaxAddress,
    Preferences,
    SavedFilter,
    Look,
    SecurityMail,
)


class NotErasable(Exception):  # noqa: N818 - as in changes.exceptions
    """Why the account stays as it is."""


def erase(user: User) -> int:
    """Returns how many entries of the security log name the person: these cannot be altered. Raises NotErasable."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)
        _check(user)
        former = user.get_username()
        with unrecorded():  # it would write the name into the log once more
            for session in UserSession.objects.filter(user=user):
                session.end()
            for model in OWN:
                model._default_manager.filter(user=user).delete()
            _forget_name(user, former)
        record("person_erased", Subject.of(user))
    return SecurityEvent.objects.filter(actor_id=user.pk).exclude(actor_name=user.get_username()).count()


def _check(user: User) -> None:
    if is_partner_account(user) or user.authorized_systems.exists():
        raise NotErasable(f"{user.get_username()} is the account of a partner, not of a person.")
    others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    if user.is_superuser and user.is_active and not others.exists():
        raise NotErasable(f"{user.get_username()} is the last superuser. Make another one first.")


def _forget_name(user: User, former: str) -> None:
    user.username = f"erased-{user.pk}"
    user.first_name = user.last_name = user.email = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.last_login = None
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()
    user.support_groups.clear()  # type: ignore[attr-defined]
    account = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(content_type=account, object_id=str(user.pk)).update(object_repr=user.username)
    for tries in tries_of(former):
        tries.delete()
