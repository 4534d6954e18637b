"""Holds the exchange of a restored copy, and lets it go on. What workers send is held by statements/claims.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from changes.bulk import drafts
from changes.bulk.kind import kind_of
from changes.bulk.progress import Progress
from changes.models import BulkJob, RestoredCopy, SecurityEvent
from changes.models.installation.security_event import SecurityMail
from changes.security_log import chain
from changes.security_log.recording import record
from changes.texts.timestamps import timestamp
from integrations.choices import DeliveryStatus
from integrations.models import ExternalSystem, OutgoingOperation
from integrations.outgoing import outbox
from integrations.standing import flow

from . import marks

OPEN = (DeliveryStatus.WAITING, DeliveryStatus.SENDING)


@dataclass(frozen=True)
class Waiting:
    """What waits for a system. `before`: how much of it was recorded before the backup, so the original may have sent
    it since; people recorded the others in the copy. `detail`: why nothing would flow all the same, "" if it would.
    """

    system: ExternalSystem
    count: int
    before: int
    oldest: datetime | None
    detail: str


def hold(taken_at: datetime | None) -> RestoredCopy | None:
    """Holds the exchange, and does what marks.TOLD says. Returns None if it was held already."""
    with transaction.atomic():
        copy, is_new = RestoredCopy.objects.get_or_create(pk=RestoredCopy.KEY, defaults={"taken_at": taken_at})
        if is_new:
            with connection.cursor() as cursor:
                for statement in [*marks.ended_sessions(marks.SESSIONS), *marks.moved_numbers()]:
                    cursor.execute(statement)
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
    return operations.filter(created_at__lte=_moment(copy))


def _moment(copy: RestoredCopy) -> datetime:
    """Before it, the original had all that the copy has."""
    return copy.taken_at or copy.restored_at


@dataclass(frozen=True)
class Resumed:
    """How many operations were skipped, bulk jobs were cancelled, and mails about security events were dropped."""

    skipped: int
    cancelled: int
    dropped: int


def resume(copy: RestoredCopy, skipped: Sequence[ExternalSystem], cancels_bulk: bool) -> Resumed:
    """Lets the exchange go on. Skips all that waits for `skipped`, and stops unfinished bulk jobs if `cancels_bulk`."""
    of = timestamp(_moment(copy))
    reason = f"Restored copy of {of}: skipped when it resumed, so that the partner does nothing twice."
    chain.seal()  # so that mails about all events of before the backup are there to be dropped
    with transaction.atomic():
        # Claims that the backup has have lapsed. One that has not is a worker's at work now, if this was held by hand.
        outbox.release_stale()
        # Of a system that is skipped, nothing may become free later. A late result does no harm.
        now = timezone.now()
        outbox.free(OutgoingOperation.objects.filter(status=DeliveryStatus.SENDING, system__in=skipped), now)
        count = 0
        for system in skipped:
            operations = list(outbox.unsettled(system).filter(status__in=OPEN))
            count += outbox.skip_all(operations, None, reason)
        cancelled = sum(drafts.stop(job.pk) for job in BulkJob.objects.unfinished()) if cancels_bulk else 0
        before = SecurityEvent.objects.filter(at__lte=_moment(copy))
        dropped, _ = SecurityMail.objects.filter(event_id__in=before.values("pk")).delete()
        RestoredCopy.objects.filter(pk=copy.pk).delete()
        details = {"of": of, "skipped": count, "cancelled": cancelled}
        record("exchange_resumed", details=details)
        outbox.wake_on_commit()
    return Resumed(count, cancelled, dropped)


def unfinished_jobs() -> list[str]:
    """Each bulk job that would go on, in words: the original has probably carried it out to its end."""
    jobs = BulkJob.objects.unfinished().select_related("user")
    return [
        f"{kind_of(job).title(job)}, of {job.user}, started {timestamp(job.confirmed_at)}: "
        f"{Progress.of(job).waiting} of {job.total} records are left"
        for job in jobs
    ]
