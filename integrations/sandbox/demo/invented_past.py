"""Dates what was really delivered at the demo's first start back to the past that the demo invents."""

from __future__ import annotations

from datetime import timedelta
from operator import attrgetter

from django.db.models import F

from integrations.choices import DeliveryStatus
from integrations.models import DeliveryAttempt, OutgoingOperation


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
