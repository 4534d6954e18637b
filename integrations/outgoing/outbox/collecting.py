"""Handing operations out to a partner that collects them by our API, and taking its acknowledgements.

A reader gets operations in order, each with a lease of `DELIVERY_LEASE` seconds; one that is not acknowledged within it
is handed out again, with the same id. Several readers of one system share its operations. While one of them has an
operation of an exchange, no other gets a later one of that exchange. So that a reader itself may get it, readers are
told apart by their cursor: it has the number of the first answer to this reader, and the number of the latest.

A cursor is not a place in a list of operations: it only says what its reader has got. So it cannot step over an
operation whose transaction commits late, and a reader that comes back with an older cursor gets at once what it was
handed since then and has not acknowledged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from integrations.choices import Confirmation, DeliveryStatus, Failure
from integrations.models import DeliveryAttempt, DeliveryControl, ExternalSystem, OutgoingOperation

from . import order
from .leases import free, lapsed, unlocked
from .message import references_of
from .order import in_order, open_to, sizes
from .results import Outcome, Result
from .settling import settle

# How exactly `asked_at` is known. A poll that finds nothing then mostly writes nothing.
ASKED_EXACTLY = timedelta(seconds=15)
ANSWER_KEPT = 2000


class UnknownCursor(ValueError):  # noqa: N818 - says the state, as the changes' exceptions do
    """The cursor is not one that this system was given."""


class Cursor(NamedTuple):
    """`reader`: the number of the first answer to this reader. `got`: the number of the latest answer that it has."""

    reader: int
    got: int

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Raises UnknownCursor for a text that is no cursor."""
        match = re.fullmatch(r"([1-9][0-9]{0,17})-([1-9][0-9]{0,17})", text, re.ASCII)
        if match is None or int(match[1]) > int(match[2]):
            raise UnknownCursor
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.reader}-{self.got}"


@dataclass
class HandOut:
    """What one call gets. `has_more`: another call would get more at once."""

    cursor: Cursor | None
    operations: list[OutgoingOperation] = field(default_factory=list)
    has_more: bool = False


# --- What a reader may get ---


def _for_reader(system: int, cursor: Cursor | None) -> QuerySet[OutgoingOperation]:
    """The operations that this reader may get now: those that wait, and those that it was handed after its cursor.

    None of an exchange of which another reader has an operation.
    """
    own, others = Q(status=DeliveryStatus.WAITING), Q(status=DeliveryStatus.SENDING)
    if cursor:
        own |= Q(status=DeliveryStatus.SENDING, collector=cursor.reader, hand_out__gt=cursor.got)
        others &= ~Q(collector=cursor.reader)
    return open_to(system, own, others)


def has_something(system: int, cursor: Cursor | None) -> bool:
    """Whether a hand-out to this reader of the system with this key would have something. Locks nothing."""
    if _for_reader(system, cursor).exists():
        return True
    return lapsed(timezone.now(), ASKED_EXACTLY).filter(system=system).exists()


def hand_out(system: ExternalSystem, cursor: Cursor | None, limit: int) -> HandOut:
    """Hands up to `limit` operations out to the reader with this cursor, or to a new one.

    Raises UnknownCursor for one that this system was not given.
    """
    _check(system, cursor)
    if not has_something(system.pk, cursor):
        return HandOut(cursor)
    now = timezone.now()
    with transaction.atomic():
        # Serialises the hand-outs of the system. Nothing is waited for after this lock.
        control = DeliveryControl.objects.select_for_update(no_key=True).get(pk=system.pk)
        free(lapsed(now, ASKED_EXACTLY).filter(system=system), now)
        chosen, has_more = _chosen(system, cursor, limit)
        if not chosen:
            return HandOut(cursor)
        control.hand_outs += 1
        control.asked_at = now
        control.save(update_fields=["hand_outs", "asked_at"])
        given = Cursor(cursor.reader if cursor else control.hand_outs, control.hand_outs)
        OutgoingOperation.objects.filter(pk__in=chosen).update(
            status=DeliveryStatus.SENDING,
            claim=F("claim") + 1,
            claimed_until=now + timedelta(seconds=settings.DELIVERY_LEASE),
            handed_out_at=now,
            hand_out=given.got,
            collector=given.reader,
        )
        return HandOut(given, loaded(system, chosen), has_more)


def _check(system: ExternalSystem, cursor: Cursor | None) -> None:
    """Notes that the partner asked. Raises UnknownCursor."""
    control = DeliveryControl.objects.get(pk=system.pk)
    if cursor and cursor.got > control.hand_outs:
        raise UnknownCursor
    note_asked(control, timezone.now())


def note_asked(control: DeliveryControl, now: datetime) -> None:
    """Notes that the partner asked for its operations."""
    if control.asked_at is None or not now - ASKED_EXACTLY < control.asked_at <= now:
        DeliveryControl.objects.filter(pk=control.pk).update(asked_at=now)


def _chosen(system: ExternalSystem, cursor: Cursor | None, limit: int) -> tuple[list[UUID], bool]:
    """Locks what is handed out and returns its keys in order, and whether there is more."""
    places = in_order(_for_reader(system.pk, cursor), 0, limit + 1)
    of_status = OutgoingOperation.objects.filter(pk__in=[place.operation for place in places], status__in=_OPEN)
    # A row that is locked elsewhere is being settled, retried or skipped: it, and what is behind it, comes next time.
    size_of = sizes(unlocked(of_status))
    chosen: list[UUID] = []
    left_out: set[int] = set()
    size = 0
    for place in places:
        if place.operation not in size_of:
            left_out.add(place.exchange)
        if place.exchange in left_out:
            continue
        if len(chosen) == limit or (chosen and size + size_of[place.operation] > order.MOST_BYTES):
            return chosen, True
        chosen.append(place.operation)
        size += size_of[place.operation]
    return chosen, False


_OPEN = (DeliveryStatus.WAITING, DeliveryStatus.SENDING)


def loaded(system: ExternalSystem, keys: Sequence[UUID]) -> list[OutgoingOperation]:
    """These operations in this order, with what their messages are made of."""
    operations = (
        OutgoingOperation.objects.filter(pk__in=keys)
        .annotate(own=Cast("payload", TextField()), first=Cast("snapshot_of__payload", TextField()))
        .select_related("cause__system")
        .defer("payload", "cause__payload", "cause__result", *_SECRETS)
    )
    by_key: dict[UUID, Any] = {operation.pk: operation for operation in operations}
    found: list[OutgoingOperation] = []
    for key in keys:
        operation = by_key[key]
        operation.system, operation.recorded, operation.shared = system, operation.own, operation.first
        found.append(operation)
    references = references_of(found)
    for operation in found:
        operation.reference = references.get((operation.change_id, operation.system_id))
    return found


_SECRETS = ("cause__system__signing_secret", "cause__system__previous_signing_secret")


# --- Acknowledgements ---


@dataclass(frozen=True)
class Acknowledgement:
    """What the partner says of an operation that it collected.

    `answer`: what it says of its record. `refused`: why it refuses the operation; "" if it took it.
    """

    id: UUID
    answer: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""

    @property
    def status(self) -> DeliveryStatus:
        """The status that the operation has then."""
        return DeliveryStatus.REFUSED if self.refused else DeliveryStatus.DELIVERED


def acknowledge(systems: Collection[ExternalSystem], said: Iterable[Acknowledgement]) -> dict[UUID, OutgoingOperation]:
    """Settles the operations of these systems that these acknowledgements name, in one transaction.

    Returns them as they are then, by their keys; what is not of these systems is missing. One counts as long as the
    operation is open, even if its lease ran out, and nothing before it was refused. A repeated one changes nothing.
    """
    said = list(said)
    with transaction.atomic():
        # Shared by both looks at the operations. The lock of their exchanges, in settle(), decides.
        found = {one.pk: one for one in _own(systems, said)}
        now = timezone.now()
        refused = _first_refused(found, said)
        results = [
            _result(found[one.id], one, now)
            for one in said
            if _is_open(found.get(one.id)) and not _is_behind(found[one.id], refused)
        ]
        if results:
            settle(results)
            statuses = OutgoingOperation.objects.filter(pk__in=found).values_list("pk", "status")
            for pk, status in statuses:
                found[pk].status = status
    return found


def _own(systems: Collection[ExternalSystem], said: Sequence[Acknowledgement]) -> list[OutgoingOperation]:
    by_key = {system.pk: system for system in systems}
    operations = OutgoingOperation.objects.filter(pk__in=[one.id for one in said], system__in=by_key).defer("payload")
    found = list(operations)
    for operation in found:
        operation.system = by_key[operation.system_id]
    return found


def _first_refused(found: Mapping[UUID, OutgoingOperation], said: Iterable[Acknowledgement]) -> dict[int, int]:
    """For each exchange of these operations the sequence of the first that was refused, or is refused now."""
    refused = [found[one.id] for one in said if one.refused and _is_open(found.get(one.id))]
    before = OutgoingOperation.objects.filter(
        exchange__in={operation.exchange_id for operation in found.values()}, status=DeliveryStatus.REFUSED
    )
    first: dict[int, int] = {}
    for exchange, sequence in [*before.values_list("exchange_id", "sequence"), *_places(refused)]:
        first[exchange] = min(sequence, first.get(exchange, sequence))
    return first


def _places(operations: Iterable[OutgoingOperation]) -> list[tuple[int, int]]:
    return [(operation.exchange_id, operation.sequence) for operation in operations]


def _is_behind(operation: OutgoingOperation, first_refused: Mapping[int, int]) -> bool:
    return operation.sequence > first_refused.get(operation.exchange_id, operation.sequence)


def _is_open(operation: OutgoingOperation | None) -> bool:
    return operation is not None and operation.claim > 0 and operation.status in _OPEN


def _result(operation: OutgoingOperation, said: Acknowledgement, now: datetime) -> Result:
    handed_out = operation.handed_out_at or now
    answer = {"refused": said.refused} if said.refused else {**said.answer}
    attempt = DeliveryAttempt(
        operation=operation,
        claim=operation.claim,
        started_at=handed_out,
        duration=max(0.0, (now - handed_out).total_seconds()),
        answer=json.dumps(answer, ensure_ascii=False)[:ANSWER_KEPT] if answer else "",
        confirmation=Confirmation.ACKNOWLEDGED,
    )
    if said.refused:
        attempt.failure, attempt.error = Failure.REFUSED, said.refused[:500]
        return Result(operation, attempt, Outcome.REFUSED, said.refused, counts_late=True)
    return Result(operation, attempt, Outcome.DELIVERED, answer=said.answer)
