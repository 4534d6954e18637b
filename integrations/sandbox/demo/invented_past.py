"""Dates what was really recorded and delivered at the demo's first start back to the past that the demo invents."""

from __future__ import annotations

from datetime import timedelta
from operator import attrgetter
from uuid import UUID

from django.db.models import F

from integrations.choices import DeliveryStatus
from integrations.models import DeliveryAttempt, OutgoingOperation


def identify_when_recorded() -> None:
    """Gives each operation an id of the time that it tells: the desk counts operations by their ids.

    Call it in the transaction that records them, before any is sent.
    """
    for key, at in OutgoingOperation.objects.values_list("pk", "created_at"):
        dated = UUID(int=int(at.timestamp() * 1000) << 80 | key.int % 2**80)  # A UUIDv7 begins with milliseconds.
        OutgoingOperation.objects.filter(snapshot_of=key).update(snapshot_of=dated)
        OutgoingOperation.objects.filter(pk=key).update(id=dated)


def deliver_when_recorded() -> None:
    """Otherwise the deliveries would seem to have taken hours and days."""
    late = F("created_at") + timedelta(minutes=1)
    delivered = OutgoingOperation.objects.filter(status=DeliveryStatus.DELIVERED, settled_at__gt=late)
    for operation in delivered.prefetch_related("attempts"):
        tries = sorted(operation.attempts.all(), key=attrgetter("started_at"))
        if tries and operation.settled_at:
            waited = tries[0].started_at - operation.created_at
            DeliveryAttempt.objects.filter(operation=operation).update(started_at=F("started_at") - waited)
            OutgoingOperation.objects.filter(pk=operation.pk).update(settled_at=operation.settled_at - waited)
