"""The only writer of the log: moves pending events to the end of the chain."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import Error, connection, transaction

from changes.conflicts import is_unavailable
from changes.models.installation.security_event import NO_HASH, PendingEvent, SecurityEvent, SecurityMail

from . import mailing

logger = logging.getLogger(__name__)

AT_ONCE = 500
# The key of the advisory lock: any number that nothing else locks.
_LOCK = 0x5EC_106


def seal() -> int:
    """Appends all pending events to the chain, and returns how many. Call it outside of any transaction.

    There is one writer at a time. It takes the chain's lock first and no other one that somebody could hold while
    waiting for the chain, so there is no deadlock; it holds the lock for a few statements.
    """
    sealed = 0
    if not PendingEvent.objects.exists():
        return 0
    while count := _seal_some():
        sealed += count
    return sealed


def seal_after_commit() -> None:
    """Appends what the present transaction recorded, once it has committed. Otherwise at once."""
    waiting = [each[1] for each in connection.run_on_commit]
    if _seal_if_possible not in waiting:
        transaction.on_commit(_seal_if_possible, robust=True)


def _seal_if_possible() -> None:
    """The events are committed, so the caller must not fail. The sweep appends what is left here."""
    try:
        seal()
    except Error as error:
        if not is_unavailable(error):
            raise
        logger.warning("Security events are waiting for the next sweep: %s", error)


def _seal_some() -> int:
    with transaction.atomic():
        _lock()
        pending = list(PendingEvent.objects.order_by("id")[:AT_ONCE])
        if not pending:
            return 0
        events = _chained(pending)
        SecurityEvent.objects.bulk_create(events)
        SecurityMail.objects.bulk_create(mailing.mails_about(events))
        PendingEvent.objects.filter(pk__in=[event.pk for event in pending]).delete()
    return len(pending)


def _lock() -> None:
    if connection.vendor == "postgresql":  # SQLite has one writer at a time anyway
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _chained(pending: Sequence[PendingEvent]) -> list[SecurityEvent]:
    last = SecurityEvent.objects.order_by("-id").first()
    number, previous = (last.id, last.hash) if last else (0, NO_HASH)
    events = []
    for each in pending:
        number += 1
        fields: dict[str, Any] = {**each.fields, "at": datetime.fromisoformat(each.fields["at"])}
        event = SecurityEvent(id=number, previous_hash=previous, **fields)
        event.hash = previous = event.computed_hash()
        events.append(event)
    return events
