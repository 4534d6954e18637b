"""Claiming: which operations may be sent now, taken by one worker at a time with a lease."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import chain, zip_longest
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, TextField, prefetch_related_objects
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from .. import flow_control
from ..choices import Breaker, Delivery, DeliveryStatus
from ..models import DeliveryControl, ExternalSystem, OutgoingOperation
from .settling import LONGEST_RETRY_AFTER

# What sending needs none of. The payload is sent as the text that it is in the database.
NOT_SENT = ("payload", "last_error", "skip_reason", "settled_at", "skipped_by", "comment", "attachment", "is_next")
# An operation that was never tried is due at once: one that is due later comes from a clock that was set back since.
CLOCK_TOLERANCE = timedelta(seconds=5)
OLDEST_OF_SYSTEM = """
    SELECT id, system_id, next_try_at FROM (
        SELECT id, system_id, next_try_at FROM integrations_outgoingoperation
        WHERE system_id = %s AND status = 'Waiting' AND is_next AND next_try_at <= %s
        ORDER BY next_try_at LIMIT %s
    ) AS oldest"""


def due(now: datetime) -> QuerySet[OutgoingOperation]:
    """The next ones of their exchanges whose time has come."""
    return OutgoingOperation.objects.filter(status=DeliveryStatus.WAITING, is_next=True, next_try_at__lte=now)


def claim(limit: int) -> list[OutgoingOperation]:
    """Takes up to `limit` operations that may be sent now for `DELIVERY_LEASE` seconds, of each system the oldest.

    No more of a system than its limits and its circuit breaker let through, over all workers; and where `limit` is too
    small for all, each system gets its share.
    """
    now = timezone.now()
    if limit <= 0:
        return []
    with transaction.atomic():
        controls = {control.pk: control for control in _controls_of_due(now)}
        if not controls:
            return []
        chosen = _in_turns(_oldest_due(_allowances(controls, now), now), limit)
        if not chosen:
            return []
        ids = [pk for pk, _ in chosen]
        lease = now + timedelta(seconds=settings.DELIVERY_LEASE)
        OutgoingOperation.objects.filter(pk__in=ids, status=DeliveryStatus.WAITING).update(
            status=DeliveryStatus.SENDING, claim=F("claim") + 1, claimed_until=lease
        )
        _note_claims(controls, [system for _, system in chosen], now)
        operations: list[OutgoingOperation] = list(
            OutgoingOperation.objects.filter(pk__in=ids, status=DeliveryStatus.SENDING)
            .annotate(recorded=Cast("payload", TextField()))
            .defer(*NOT_SENT)
            .order_by("created_at", "id")
        )
    for operation in operations:
        operation.system = controls[operation.system_id].system
    if any(operation.cause_id for operation in operations):
        prefetch_related_objects(operations, "cause__system")
    return operations


def is_more_due() -> bool:
    """Whether something is due that a claim may take any moment: for now the rate limit holds it back, or another
    worker claims of the same system. Asked when a claim took nothing."""
    sending = OutgoingOperation.objects.filter(status=DeliveryStatus.SENDING, system=OuterRef("system")).order_by()
    count = sending.values("system").annotate(n=Count("pk")).values("n")
    return (
        _of_due(timezone.now())
        .filter(breaker=Breaker.CLOSED, system__max_in_flight__gt=Coalesce(Subquery(count), 0))
        .exists()
    )


def _of_due(now: datetime) -> QuerySet[DeliveryControl]:
    """Those of the systems that flow and have something due."""
    return DeliveryControl.objects.filter(
        Exists(due(now).filter(system=OuterRef("system"))),
        system__enabled=True,
        system__paused_at=None,
        system__delivery=Delivery.PUSH,
    )


def _controls_of_due(now: datetime) -> QuerySet[DeliveryControl]:
    """The same, locked. What another worker claims from now is its own."""
    return (
        _of_due(now)
        .select_related("system")
        .order_by("pk")
        .select_for_update(of=("self",), skip_locked=True, no_key=True)
    )


def _allowances(controls: dict[int, DeliveryControl], now: datetime) -> dict[int, int]:
    """How many of each system may be claimed. Counted under the locks, so it holds over all workers."""
    sending = dict(
        OutgoingOperation.objects.filter(status=DeliveryStatus.SENDING, system__in=controls)
        .order_by()
        .values_list("system")
        .annotate(n=Count("pk"))
    )
    return {pk: flow_control.allowance(control, sending.get(pk, 0), now) for pk, control in controls.items()}


def _oldest_due(allowances: dict[int, int], now: datetime) -> list[tuple[Any, int]]:
    """Keys of operation and system: the oldest of each system, as many as it may have, in one query.

    In SQL, since the ORM takes longer to compose a UNION of sorted and limited parts than the database to run it. Each
    part reads the index of the next operations from the front, so the cost does not grow with what waits.
    """
    systems = {system: count for system, count in allowances.items() if count > 0}
    if not systems:
        return []
    moment = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join([OLDEST_OF_SYSTEM] * len(systems)),
            [value for system, count in systems.items() for value in (system, moment, count)],
        )
        rows = cursor.fetchall()
    return [(pk, system) for pk, system, _ in sorted(rows, key=lambda row: (row[2], row[0]))]


def _in_turns(found: list[tuple[Any, int]], limit: int) -> list[tuple[Any, int]]:
    """The first `limit`, a system at a time, so that no system's many leave others without."""
    if len(found) <= limit:
        return found
    by_system: dict[int, list[tuple[Any, int]]] = defaultdict(list)
    for row in found:
        by_system[row[1]].append(row)
    turns = chain.from_iterable(zip_longest(*by_system.values()))
    return [row for row in turns if row is not None][:limit]


def _note_claims(controls: dict[int, DeliveryControl], systems: list[int], now: datetime) -> None:
    for pk in {*systems}:
        if flow_control.claimed(controls[pk], systems.count(pk), now):
            controls[pk].save()


def release_stale() -> int:
    """Frees what a worker claimed and did not finish in time, and what waits for a time that only a clock that was set
    back makes far. Returns how many it freed."""
    now = timezone.now()
    _complete_controls()
    lease = timedelta(seconds=settings.DELIVERY_LEASE)
    longest = timedelta(seconds=1.2 * max(LONGEST_RETRY_AFTER, *settings.DELIVERY_RETRY_SCHEDULE)) + CLOCK_TOLERANCE
    stale = Q(claimed_until__lt=now) | Q(claimed_until__gt=now + 2 * lease + CLOCK_TOLERANCE)
    too_far = Q(tries=0, next_try_at__gt=now + CLOCK_TOLERANCE) | Q(next_try_at__gt=now + longest)
    breaker_too_long = now + timedelta(seconds=settings.BREAKER_OPEN_SECONDS) + CLOCK_TOLERANCE
    waiting = OutgoingOperation.objects.filter(too_far, status=DeliveryStatus.WAITING, is_next=True)
    claimed = OutgoingOperation.objects.filter(stale, status=DeliveryStatus.SENDING)
    DeliveryControl.objects.filter(breaker=Breaker.OPEN, breaker_until__gt=breaker_too_long).update(breaker_until=now)
    with transaction.atomic():
        OutgoingOperation.objects.filter(pk__in=_unlocked(waiting)).update(next_try_at=now)
        return OutgoingOperation.objects.filter(pk__in=_unlocked(claimed)).update(
            status=DeliveryStatus.WAITING, claimed_until=None
        )


def _unlocked(operations: QuerySet[OutgoingOperation]) -> list[UUID]:
    """Those that nobody is writing now, locked: a result that is being written is no longer stale."""
    operations = operations.select_for_update(skip_locked=True, no_key=True)
    return list(operations.order_by("pk").values_list("pk", flat=True))


def _complete_controls() -> None:
    """For systems that were made without save()."""
    without = ExternalSystem.objects.filter(control=None).values_list("pk", flat=True)
    if missing := [DeliveryControl(system_id=pk) for pk in without]:
        DeliveryControl.objects.bulk_create(missing, ignore_conflicts=True)
