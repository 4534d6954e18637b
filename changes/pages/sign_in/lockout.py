"""Locks an account, or an address, after too many wrong passwords or codes. The pause grows with each further one.

django-axes counts the failures, in the database, so the count holds for all processes. An account is locked from
everywhere: otherwise an attacker with many addresses could go on. The price is that anybody can lock a colleague's
account by guessing, but only for `LONGEST`, and who is signed in goes on working.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.db.models import Max, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from changes.actor import Person

FIRST = timedelta(minutes=1)
LONGEST = timedelta(minutes=15)
Credentials = Mapping[str, Any] | None


class Lockout(AxesDatabaseHandler):
    """The rules by which django-axes locks."""

    def is_locked(self, request: HttpRequest, credentials: Credentials = None) -> bool:
        return locked_until(request, credentials) is not None

    def get_failures(self, request: HttpRequest, credentials: Credentials = None) -> int:
        """At least the limit if the account or the address is locked now. django-axes compares nothing else."""
        return settings.AXES_FAILURE_LIMIT if self.is_locked(request, credentials) else 0

    def reset_user_attempts(self, request: HttpRequest, credentials: Credentials = None) -> int:
        """Forgets the failures of the account that signed in. Those of its address for other accounts stay.

        Otherwise somebody who has an account could guess the passwords of others for ever.
        """
        return AccessAttempt.objects.filter(username=get_client_username(request, credentials)).delete()[0]


def locked_until(request: HttpRequest, credentials: Credentials = None) -> datetime | None:
    """When the account or the address may try again; None if it may now."""
    AxesProxyHandler.update_request(request)
    name = get_client_username(request, credentials)
    address = request.axes_ip_address  # type: ignore[attr-defined]
    ends = [_end(Q(username=name), settings.AXES_FAILURE_LIMIT)] if name else []
    if _tells_callers_apart(address):
        ends.append(_end(Q(ip_address=address), settings.LOCKOUT_ADDRESS_LIMIT))
    now = timezone.now()
    return max((end for end in ends if end and end > now), default=None)


def _end(whose: Q, limit: int) -> datetime | None:
    since = timezone.now() - timedelta(hours=settings.AXES_COOLOFF_TIME)
    attempts = AccessAttempt.objects.filter(whose, attempt_time__gte=since)
    found = attempts.aggregate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
    over = (found["failures"] or 0) - limit
    if over < 0:
        return None
    # 2 ** 10 minutes are more than LONGEST. The bound keeps the number small.
    return found["last"] + min(LONGEST, FIRST * 2 ** min(over, 10))


def _tells_callers_apart(address: str | None) -> bool:
    """False for this machine's own address, and for none: with a proxy on the same machine, all callers have it."""
    if not address:
        return False
    return not ipaddress.ip_address(address).is_loopback


# --- Second factors, which django-axes does not know by itself ---


def refuse_if_locked(request: HttpRequest, user: Person) -> None:
    """Raises ValidationError if `user` or the address is locked. The answer then is `locked_page`."""
    credentials = {"username": user.get_username()}
    if locked_until(request, credentials):
        request.axes_locked_out = True  # type: ignore[attr-defined]
        request.axes_credentials = credentials  # type: ignore[attr-defined]
        raise ValidationError(_("Too many wrong attempts."), code="locked")


def count_failure(request: HttpRequest, user: Person) -> None:
    """Counts a wrong code or key as a wrong password is counted."""
    user_login_failed.send(sender=__name__, credentials={"username": user.get_username()}, request=request)


# --- The answer ---


def locked_page(request: HttpRequest, response: HttpResponse, credentials: Credentials) -> HttpResponse:
    """The page instead of `response`, which django-axes asks for. It is the same for names without an account."""
    now = timezone.now()
    until = locked_until(request, credentials) or now
    seconds = max(1, ceil((until - now).total_seconds()))
    # To the full minute, as times are shown.
    shown = until.replace(second=0, microsecond=0) + timedelta(minutes=1)
    context = {"until": shown, "minutes": ceil(seconds / 60)}
    page = render(request, "registration/locked.html", context, status=429)
    page["Retry-After"] = str(seconds)
    return page
