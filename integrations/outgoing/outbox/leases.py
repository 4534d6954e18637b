"""Freeing operations whose claim or hand-out ran out: they wait again, with the same id."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from integrations.choices import COLLECTING, DeliveryStatus, Failure
from integrations.models import DeliveryAttempt, OutgoingOperation

# Attempts of one operation that end so. A partner that never acknowledges would make us store more and more.
MOST_KEPT = 20
NOT_ACKNOWLEDGED = "not acknowledged within {:g} s"


def lapsed(now: datetime, tolerance: timedelta) -> QuerySet[OutgoingOperation]:
    """The operations whose lease ran out, or ends impossibly late, which happens when the clock was set back."""
    lease = timedelta(seconds=settings.DELIVERY_LEASE)
    stale = Q(claimed_until__lt=now) | Q(claimed_until__gt=now + 2 * lease + tolerance)
    return OutgoingOperation.objects.filter(stale, status=DeliveryStatus.SENDING)


def free(operations: QuerySet[OutgoingOperation], now: datetime) -> int:
    """Makes these operations wait again. Returns how many.

    One that a partner collected and did not acknowledge gets an attempt that says so.
    """
    with transaction.atomic():
        keys = unlocked(operations)
        if not keys:
            return 0
        collected = OutgoingOperation.objects.filter(
            pk__in=keys, system__delivery__in=COLLECTING, handed_out_at__isnull=False
        )
        attempts = [_unacknowledged(operation, now) for operation in collected.defer("payload")]
        DeliveryAttempt.objects.bulk_create([each for each in attempts if each.operation.tries < MOST_KEPT])
        OutgoingOperation.objects.filter(pk__in=[attempt.operation_id for attempt in attempts]).update(
            tries=F("tries") + 1,
            last_failure=Failure.NOT_ACKNOWLEDGED,
            last_http_status=None,
            last_error=_told(),
            handed_out_at=None,
            hand_out=None,
            collector=None,
        )
        return OutgoingOperation.objects.filter(pk__in=keys).update(status=DeliveryStatus.WAITING, claimed_until=None)


def unlocked(operations: QuerySet[OutgoingOperation]) -> list[UUID]:
    """Locks these operations, except those locked elsewhere, whose result is just being written. Returns their keys."""
    operations = operations.select_for_update(skip_locked=True, no_key=True, of=("self",))
    return list(operations.order_by("pk").values_list("pk", flat=True))


def _told() -> str:
    return NOT_ACKNOWLEDGED.format(settings.DELIVERY_LEASE)


def _unacknowledged(operation: OutgoingOperation, now: datetime) -> DeliveryAttempt:
    handed_out = operation.handed_out_at or now
    return DeliveryAttempt(
        operation=operation,
        claim=operation.claim,
        started_at=handed_out,
        duration=max(0.0, (now - handed_out).total_seconds()),
        failure=Failure.NOT_ACKNOWLEDGED,
        error=_told(),
    )
