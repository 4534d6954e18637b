"""The sweep over tokens, which tells people by mail, once for each token, that it ends soon."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.mail import EmailMessage, get_connection
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from knox.models import AuthToken

from changes.choices import Role
from changes.models import Preferences, restored_copy
from integrations.models import TokenLife

from .life import WARNED_BEFORE, is_to_be_told
from .naming import token_name
from .revoking import revoke_of_inactive

logger = logging.getLogger(__name__)


def tend() -> int:
    """What is due about tokens: revokes those of inactive accounts, and tells people of those that end soon.

    Returns how many tokens that concerned.
    """
    return revoke_of_inactive() + tell()


def tell() -> int:
    """Sends the mails that are due. Returns for how many tokens. Without a mail server, or in a restored
    copy that waits, it does nothing.
    """
    return sum(_tell(token) for token in _due()) if settings.HAS_MAIL and not restored_copy() else 0


def _due() -> list[AuthToken]:
    now = timezone.now()
    ending = AuthToken.objects.filter(expiry__gt=now, expiry__lte=now + WARNED_BEFORE, user__is_active=True)
    tokens = ending.filter(life__warned_at=None).select_related("user", "life").order_by("expiry")
    return [token for token in tokens if is_to_be_told(token)]


def _tell(token: AuthToken) -> bool:
    """Whether somebody was told. If nobody could be, the next sweep tries again."""
    mails = list(_mails(token))
    if not mails or not _claim(token):
        return False
    if _send(mails):
        return True
    TokenLife.objects.filter(token=token).update(warned_at=None)
    return False


def _claim(token: AuthToken) -> bool:
    """Whether this process is the one that tells of `token`. Before the mail: nobody gets it twice."""
    TokenLife.objects.bulk_create([TokenLife(token=token)], ignore_conflicts=True)
    return TokenLife.objects.filter(token=token, warned_at=None).update(warned_at=timezone.now()) == 1


def _mails(token: AuthToken) -> Iterator[EmailMessage]:
    """One mail for each person, so that a partner does not learn the addresses of administrators."""
    administrators = get_user_model().objects.filter(groups__name=Role.INTEGRATION_ADMINISTRATOR.value, is_active=True)
    people = {user.pk: user for user in administrators} | {token.user.pk: token.user}
    are_administrators = {user.pk for user in administrators}
    for user in people.values():
        if user.email:
            yield _mail(token, user, is_administrator=user.pk in are_administrators)


def _mail(token: AuthToken, user: User, is_administrator: bool) -> EmailMessage:
    chosen = Preferences.objects.filter(user=user).first() or Preferences()
    zone = ZoneInfo(chosen.time_zone) if chosen.time_zone else None
    with translation.override(chosen.language or settings.LANGUAGE_CODE), timezone.override(zone):
        values = {"token": token_name(token), "user": token.user.get_username()}
        context = {
            **values,
            "expiry": timezone.localtime(token.expiry),
            "systems": ", ".join(system.system_id for system in token.user.authorized_systems.all()),
            "address": settings.BASE_URL + reverse("admin:knox_authtoken_changelist") if is_administrator else "",
            "life": getattr(token, "life", None),
        }
        subject = _("casexchange: the API token %(token)s of %(user)s expires soon") % values
        body = render_to_string("integrations/email/token_ends.txt", context)
    return EmailMessage(" ".join(subject.split()), body, to=[user.email])


def _send(mails: list[EmailMessage]) -> int:
    """How many of the mails were sent. A mail server that refuses one address may take the others."""
    sent = 0
    try:
        with get_connection() as connection:
            for mail in mails:
                try:
                    sent += connection.send_messages([mail]) or 0
                except (OSError, UnicodeError):  # smtplib's errors too; an address that mail cannot have
                    logger.exception("A mail about a token that ends could not be sent.")
    except (OSError, UnicodeError):
        logger.exception("Mail could not be sent. Check EMAIL_URL.")
    return sent
