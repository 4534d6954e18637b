"""Makes a person's account one that names nobody. What they did stays, under the new name."""

from __future__ import annotations

import re

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from knox.models import AuthToken

from changes.models import Look, Preferences, SavedFilter, SecurityEvent, SecurityMail
from changes.security_log.recording import Subject, record, unrecorded
from integrations.models import SmaxAddress, SmaxToken
from integrations.models.accounts import is_partner_account
from integrations.outgoing import breaker

from .tries import names_of, tries_of

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
        former, names = user.get_username(), names_of(user)
        with unrecorded():  # it would write the name into the log once more
            for session in UserSession.objects.filter(user=user):
                session.end()
            for model in OWN:
                model._default_manager.filter(user=user).delete()
            _forget_name(user, former)
            for tries in tries_of(names):
                tries.delete()
        record("person_erased", Subject.of(user))
    return _events(user, former).count()


def _events(user: User, former: str) -> QuerySet[SecurityEvent]:
    """The entries that have the name: of what the person did, of what was done to the account, and of its tokens."""
    texts = SecurityEvent.objects.annotate(in_details=Cast("details", TextField()))
    return texts.filter(
        (Q(actor_id=user.pk) & ~Q(actor_name=user.get_username()))
        | (Q(object_type="auth.user", object_id=str(user.pk)) & ~Q(object_text=user.get_username()))
        | Q(object_text__endswith=f" of {former}")
        | Q(in_details__contains=f'"{former}"')
        | Q(in_details__contains=f"({former})")
    )


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
    name = re.compile(rf"(?<![\w.@+-]){re.escape(former)}(?![\w.@+-])")
    # The account itself, and what is named after it, such as a token.
    for entry in LogEntry.objects.filter(Q(object_repr__contains=former) | Q(change_message__contains=former)):
        entry.object_repr = name.sub(user.username, entry.object_repr)
        entry.change_message = name.sub(user.username, entry.change_message)
        entry.save(update_fields=["object_repr", "change_message"])
    breaker.rename_who_opened(former, user.username)
