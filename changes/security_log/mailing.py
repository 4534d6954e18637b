"""Mail to the other administrators about events that give somebody new rights.

What is to be sent is in the database, in the transaction of the log, so nothing is lost. A worker sends it: a mail
server that hangs holds no page.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from changes.choices import Role
from changes.models import Preferences, restored_copy
from changes.models.installation.security_event import SecurityEvent, SecurityMail

from .wording import kind_of, sentence

logger = logging.getLogger(__name__)

AT_ONCE = 20
# How long a worker has a mail to itself. Longer than the timeout of the mail server.
LEASE = timedelta(minutes=5)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
# Tries until a mail is given up, after more than a day.
MOST_TRIES = 30


def mails_about(events: Sequence[SecurityEvent]) -> list[SecurityMail]:
    """The mails to send about these events. Without a mail server there are none."""
    told = [event for event in events if kind_of(event).is_mailed] if settings.HAS_MAIL else []
    if not told:
        return []
    administrators = Q(is_superuser=True) | Q(groups__name=Role.INTEGRATION_ADMINISTRATOR.value)
    users = get_user_model().objects.filter(administrators, is_active=True).exclude(email="").distinct()
    keys = list(users.order_by("pk").values_list("pk", flat=True))
    return [SecurityMail(event_id=event.id, user_id=key) for event in told for key in keys if key != event.actor_id]


def send_due() -> int:
    """Sends what is due, each mail by one worker. Returns how many were dealt with.

    Ends at the first failure: a mail server that hangs must not hold the worker for each mail.
    """
    if not settings.HAS_MAIL or restored_copy():
        return 0  # what a restored copy would send was sent before
    for count in range(AT_ONCE):
        mail = _claim()
        if mail is None or not _send(mail):
            return count
    return AT_ONCE


def _claim() -> SecurityMail | None:
    now = timezone.now()
    for mail in SecurityMail.objects.filter(next_try_at__lte=now).select_related("user").order_by("next_try_at")[:20]:
        taken = SecurityMail.objects.filter(pk=mail.pk, next_try_at=mail.next_try_at).update(
            next_try_at=now + LEASE, tries=mail.tries + 1
        )
        if taken:
            mail.tries += 1
            return mail
    return None


def _send(mail: SecurityMail) -> bool:
    """Returns False if the mail server did not take it."""
    user = mail.user
    event = SecurityEvent.objects.filter(pk=mail.event_id).first()
    if event is None or not user.is_active or not user.email:
        mail.delete()
        return True
    subject, body = message(event, user)
    try:
        send_mail(subject, body, None, [user.email])
    except (OSError, UnicodeError) as error:  # smtplib's errors too; an address that mail cannot have
        _put_off(mail, error)
        return False
    mail.delete()
    return True


def _put_off(mail: SecurityMail, error: Exception) -> None:
    if mail.tries >= MOST_TRIES:
        logger.error("Mail about the security event %s is given up. Check EMAIL_URL: %s", mail.event_id, error)
        mail.delete()
        return
    logger.warning("Mail about the security event %s could not be sent: %s", mail.event_id, error)
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (mail.tries - 1))
    SecurityMail.objects.filter(pk=mail.pk).update(next_try_at=timezone.now() + pause)


def message(event: SecurityEvent, user: User) -> tuple[str, str]:
    """Subject and text in the language of `user`, with the time in their time zone."""
    preferences = Preferences.objects.filter(user=user).first() or Preferences(user=user)
    with translation.override(preferences.language or "en"), timezone.override(preferences.time_zone or None):
        said = sentence(event)
        at = timezone.localtime(event.at).strftime("%Y-%m-%d %H:%M %Z")
        context = {"said": said, "at": at, "address": event.address, "link": settings.BASE_URL + _page()}
        subject = _("Security of casexchange: %(said)s") % {"said": said}
        return " ".join(subject.split())[:200], render_to_string("changes/email/security_event.txt", context)


def _page() -> str:
    return reverse("changes:security_log")
