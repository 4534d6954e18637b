"""Tokens that partners give for our credentials: kept encrypted, shared by the workers, renewed once for all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from integrations.fields import Undecryptable
from integrations.models import ConnectionToken

# A token that ends within this time counts as ended: a call takes some time too.
MARGIN = timedelta(seconds=10)


@dataclass(frozen=True)
class Token:
    value: str
    number: int


@dataclass(frozen=True)
class Renewal:
    """The right to ask for the next token, until another may. `number`: of the token that it replaces."""

    system: int
    number: int


def token_or_renewal(system: int, refused: int | None = None) -> Token | Renewal | None:
    """The token of the system, other than that with the number `refused`.

    If there is none, the caller gets the right to ask for one. None: another worker is asking already.
    """
    now = timezone.now()
    row = ConnectionToken.objects.filter(pk=system).first()
    if row and (token := _usable(row, refused, now)):
        return token
    with transaction.atomic():
        ConnectionToken.objects.get_or_create(pk=system)
        row = ConnectionToken.objects.select_for_update(no_key=True).get(pk=system)
        if token := _usable(row, refused, now):
            return token
        if row.renewing_until and now < row.renewing_until <= now + _asking():
            return None
        row.renewing_until = now + _asking()
        row.save(update_fields=["renewing_until"])
        return Renewal(system, row.number)


def _usable(row: ConnectionToken, refused: int | None, now: datetime) -> Token | None:
    if not row.value or isinstance(row.value, Undecryptable) or row.number == refused:
        return None
    if row.expires_at and row.expires_at - MARGIN <= now:
        return None
    return Token(row.value, row.number)


def _asking() -> timedelta:
    return timedelta(seconds=settings.DELIVERY_TIMEOUT + 5)


def keep(renewal: Renewal, value: str, expires_in: float | None) -> Token:
    """Keeps the token that the partner gave. `expires_in`: seconds, None if it did not say."""
    expires_at = timezone.now() + timedelta(seconds=expires_in) if expires_in is not None else None
    with transaction.atomic():
        row = ConnectionToken.objects.select_for_update(no_key=True).get(pk=renewal.system)
        if row.number != renewal.number:
            return Token(value, renewal.number)  # the secret or the document is another by now: not for anybody else
        row.number += 1
        row.value, row.expires_at, row.renewing_until = value, expires_at, None
        row.save()
        return Token(value, row.number)


def give_up(renewal: Renewal) -> None:
    """Lets another ask, since this one got no token."""
    ConnectionToken.objects.filter(pk=renewal.system, number=renewal.number).update(renewing_until=None)
