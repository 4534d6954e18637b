"""How long a token lives: the default, and the days before its end in which pages and a mail warn of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from knox.models import AuthToken

from .naming import token_name

DAY = timedelta(days=1)
WARNED_BEFORE = timedelta(days=14)
# The longest life that the command takes, in days.
LONGEST = 36_500


def default_expiry() -> datetime:
    """When a token that is made now expires, unless its maker says otherwise."""
    return timezone.now() + timedelta(days=settings.API_TOKEN_DAYS)


def is_expired(token: AuthToken) -> bool:
    return token.expiry is not None and token.expiry <= timezone.now()


def is_to_be_told(token: AuthToken) -> bool:
    """Whether its users are told now that it ends. A token that was made for a few days is not announced at once."""
    left = token.expiry - timezone.now()
    return timedelta(0) < left <= min(WARNED_BEFORE, (token.expiry - token.created) / 2)


def what_ends(token: AuthToken) -> str:
    """`Expired`, `Expires in 9 days`, or "" for a token whose end is further away."""
    if token.expiry is None:
        return ""
    left = token.expiry - timezone.now()
    if left <= timedelta(0):
        return gettext("Expired")
    if left > WARNED_BEFORE:
        return ""
    if left < DAY:
        return gettext("Expires in less than a day")
    days = left // DAY
    return ngettext("Expires in %(days)s day", "Expires in %(days)s days", days) % {"days": days}


def end_of(token: AuthToken) -> str:
    """`what_ends` with the token's name, for pages about something else."""
    return gettext("Token %(token)s: %(end)s") % {"token": token_name(token), "end": what_ends(token)}
