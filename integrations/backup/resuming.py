"""Holds the exchange of a restored copy, and lets it go on. What workers send is held by statements/claims.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from changes.models import RestoredCopy
from changes.security_log.recording import record
from changes.texts.timestamps import timestamp
from integrations.choices import DeliveryStatus
from integrations.models import ExternalSystem, OutgoingOperation
from integrations.outgoing import outbox
from integrations.standing import flow

OPEN = (DeliveryStatus.WAITING, DeliveryStatus.SENDING)


@dataclass(frozen=True)
class Waiting:
    """What waits for a system. `before`: how much of it was recorded before the backup, so the original may have sent
    it since. `detail`: why nothing would flow all the same, "" if it would.
    """

    system: ExternalSystem
    count: int
    before: int
    oldest: datetime | None
    detail: str


def hold(taken_at: datetime | None) -> RestoredCopy | None:
    """Holds the exchange. Returns None if it was held already."""
    with transaction.atomic():
        copy, is_new = RestoredCopy.objects.get_or_create(pk=RestoredCopy.KEY, defaults={"taken_at": taken_at})
        if is_new:
            record("exchange_held")
    return copy if is_new else None


def told(copy: RestoredCopy) -> str:
    of = f" of {timestamp(copy.taken_at)}" if copy.taken_at else ""
    return f"This is a restored copy{of}. Nothing is sent to partners before resume_after_restore."


def waiting(copy: RestoredCopy) -> Iterator[Waiting]:
    """What would be sent again, by system."""
    now = timezone.now()
    for system in ExternalSystem.objects.without_secrets().select_related("control").order_by("system_id"):
        operations = outbox.unsettled(system).filter(status__in=OPEN)
        oldest = operations.first()
        flows = flow.flow_of(system, now)
        yield Waiting(
            system,
            operations.count(),
            _before(operations, copy).count(),
            oldest.created_at if oldest else None,
            flows.detail if flows.is_holding else "",
        )


def _before(operations: QuerySet[OutgoingOperation], copy: RestoredCopy) -> QuerySet[OutgoingOperation]:
    return operations.filter(created_at__lte=copy.taken_at or copy.restored_at)


def resume(copy: RestoredCopy, skipped: Sequence[ExternalSystem]) -> int:
    """Lets the exchange go on. Skips what waited for `skipped` when the backup was taken. Returns how much that was."""
    of = timestamp(copy.taken_at or copy.restored_at)
    reason = f"Restored copy of {of}: it may have been delivered after the backup."
    with transaction.atomic():
        # A worker has none in hand: nothing was claimed since. Those that one had at the backup are free again.
        outbox.free(OutgoingOperation.objects.filter(status=DeliveryStatus.SENDING), timezone.now())
        count = 0
        for system in skipped:
            operations = list(_before(outbox.unsettled(system).filter(status__in=OPEN), copy))
            count += outbox.skip_all(operations, None, reason)
        RestoredCopy.objects.filter(pk=copy.pk).delete()
        record("exchange_resumed", details={"of": of, "skipped": count})
        outbox.wake_on_commit()
    return count
