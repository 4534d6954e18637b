"""The second factor: who needs one, what is stored of it, and how it is taken away from somebody who lost it."""

from __future__ import annotations

from typing import Any

from allauth.mfa import signals
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from changes.actor import Person
from changes.protection import cipher
from changes.security_log.recording import Subject, record

from .provider import PROVIDER_SECOND_FACTOR

# Recovery codes are no factor of their own: they only stand in for one.
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


class SecondFactorAdapter(DefaultMFAAdapter):
    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("This is not right. A code works once, and only for a minute: wait for the next one."),
        "cannot_delete_authenticator": _("Your role needs a second factor: add another one before you remove this."),
    }

    def encrypt(self, text: str) -> str:
        return cipher.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return cipher.decrypt(encrypted_text)
        except cipher.InvalidToken as error:
            # An empty text instead would be a secret that everybody knows.
            said = _("Your second factor cannot be read any more. Ask an administrator to remove it.")
            raise ValidationError(said) from error

    def get_totp_label(self, user: Any) -> str:
        return user.get_username()

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        others = Authenticator.objects.filter(user=authenticator.user, type__in=FACTORS).exclude(pk=authenticator.pk)
        return others.exists() or not _in_need(authenticator.user).exists()


def _in_need(user: Person) -> Any:
    """The queryset of `user`, empty if no second factor is required of them."""
    roles = settings.REQUIRE_SECOND_FACTOR_FOR
    needs = Q(groups__name__in=roles - {settings.SUPERUSER})
    if settings.SUPERUSER in roles:
        needs |= Q(is_superuser=True)
    return get_user_model().objects.filter(needs, pk=user.pk or 0)


def is_missing(request: HttpRequest) -> bool:
    """Whether the person of this session needs a second factor and has none."""
    user = request.user
    if not settings.REQUIRE_SECOND_FACTOR_FOR or not (user.is_staff or user.is_superuser):
        return False
    if request.session.get(PROVIDER_SECOND_FACTOR):
        return False
    have_one = Authenticator.objects.filter(type__in=FACTORS).values("user")
    return _in_need(user).exclude(pk__in=have_one).exists()


def has_one(user: Person) -> bool:
    return Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS).exists()


def take_away(user: Any, request: HttpRequest | None = None) -> int:
    """Removes all second factors of `user` and ends their sessions. Returns how many factors there were."""
    with transaction.atomic():
        factors = list(Authenticator.objects.select_for_update().filter(user=user))
        for factor in factors:
            factor.delete()
        end_sessions(user)
    for factor in factors:
        signals.authenticator_removed.send(sender=Authenticator, request=request, user=user, authenticator=factor)
    return sum(factor.type in FACTORS for factor in factors)


def encrypt_again(pk: int) -> bool:
    """Encrypts what is stored of this second factor with the present key. Returns whether there was a secret in it.

    Raises InvalidToken if none of the keys decrypts it.
    """
    with transaction.atomic():
        factor = Authenticator.objects.select_for_update().filter(pk=pk).first()
        if factor is None:
            return False  # removed meanwhile
        secrets = {name: factor.data[name] for name in ("secret", "seed") if name in factor.data}
        factor.data.update({name: cipher.encrypt(cipher.decrypt(token)) for name, token in secrets.items()})
        factor.save(update_fields=["data"])
    return bool(secrets)


def end_sessions(user: Any) -> None:
    sessions = list(UserSession.objects.filter(user=user))
    for session in sessions:
        session.end()
    note_ended(user, len(sessions))


def note_ended(user: Any, count: int) -> None:
    """Records that sessions of `user` were ended."""
    if count:
        record("sessions_ended", Subject.of(user), {"count": count})
