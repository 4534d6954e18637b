"""What the exchange adds to the desk: how each system does, what needs a person, and the traffic of the last day.

The parts that update by themselves are polled by every open desk, so each costs what it shows: the rows come from
partial indexes in their order, and what is counted is counted up to a cap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Cast
from django.utils import timezone

from changes.choices import FINAL_PHASES
from changes.pages.desk import charts
from changes.subqueries import CappedCount, Count, Joined, capped
from integrations.choices import DeliveryStatus, IncomingStatus
from integrations.models import Exchange, ExternalSystem, IncomingOperation, OutgoingOperation
from integrations.standing import status

from .change_panel import IncomingRow, OutgoingRow, incoming_row, outgoing_row

SHOWN, COUNTED = 5, 50
# An operation that waits for longer needs somebody's eyes; a retry or two have passed by then.
LONG = timedelta(minutes=15)
# A partner sends again what failed, or tells somebody: what failed longer ago is history.
FAILED_WITHIN = timedelta(days=3)
# Of so many rejected exchanges, the latest, it is asked whether their change is still where it was.
LATEST_REJECTED = 500
HOURS, HOUR, HOUR_COUNTED = 24, timedelta(hours=1), 5000
# An operation's key is as old as its transaction: an hour is over once those that began in it are.
HOUR_IS_OVER = timedelta(minutes=10)


@dataclass(frozen=True)
class Part:
    """The first of something that needs a person, and how many there are."""

    rows: list[Any]
    count: Count


@dataclass(frozen=True)
class Present:
    """The exchange at this moment."""

    at: datetime
    systems: list[status.SystemStatus]
    refused: Part
    waiting: Part
    failed: Part
    rejected: Part

    @property
    def needs_nobody(self) -> bool:
        return not any(part.rows for part in (self.refused, self.waiting, self.failed, self.rejected))


def present(now: datetime | None = None) -> Present:
    """Four queries, whatever the number of systems, operations and changes."""
    now = now or timezone.now()
    systems: list[Any] = list(_with_stuck(status.with_traffic(ExternalSystem.objects.order_by("system_id"), now), now))
    refused = [key for system in systems for key in _keys(system.first_refused)]
    waiting = [key for system in systems for key in _keys(system.first_waiting)]
    rows = _rows([*refused, *waiting], now)
    return Present(
        at=now,
        systems=[status.status_of(system, now) for system in systems],
        refused=_part(rows, refused, sum(system.refused_count for system in systems)),
        waiting=_part(rows, waiting, sum(system.long_waiting for system in systems)),
        failed=_failed(now),
        rejected=_rejected(),
    )


def _with_stuck(systems: QuerySet[ExternalSystem], now: datetime) -> QuerySet[ExternalSystem]:
    """Adds to each system the keys of its oldest operations that were refused, and that have waited for long."""
    own = OutgoingOperation.objects.filter(system=OuterRef("pk"))
    refused = own.filter(status=DeliveryStatus.REFUSED)
    waiting = own.filter(status=DeliveryStatus.WAITING, is_next=True, created_at__lt=now - LONG)
    key = Cast("pk", CharField())
    return systems.annotate(
        first_refused=Joined(refused.order_by("created_at"), key, SHOWN),
        first_waiting=Joined(waiting.order_by("created_at"), key, SHOWN),
        long_waiting=CappedCount(waiting, COUNTED),
    )


def _keys(joined: str | None) -> list[UUID]:
    return [UUID(key) for key in joined.split(",")] if joined else []


def _rows(keys: list[UUID], now: datetime) -> dict[UUID, OutgoingRow]:
    if not keys:
        return {}
    operations = OutgoingOperation.objects.filter(pk__in=keys).with_neighbours().select_related("change")
    shown = operations.defer("payload", "change__description")
    return {operation.pk: outgoing_row(operation, now) for operation in shown}


def _part(rows: dict[UUID, OutgoingRow], keys: list[UUID], count: int) -> Part:
    """Of what was read, the oldest of all systems."""
    found = sorted((rows[key] for key in keys if key in rows), key=lambda row: row.operation.created_at)
    return Part(found[:SHOWN], capped(count, COUNTED))


def _failed(now: datetime) -> Part:
    """The latest failed incoming operations that were not sent again with success."""
    repeated = IncomingOperation.objects.filter(
        system=OuterRef("system"), idempotency_key=OuterRef("idempotency_key")
    ).exclude(status=IncomingStatus.FAILED)
    failed = (
        IncomingOperation.objects.filter(status=IncomingStatus.FAILED, received_at__gte=now - FAILED_WITHIN)
        .exclude(Exists(repeated))
        .with_system("user", "change")
        .defer("payload", "result", "change__description")
        .order_by("-received_at")
    )
    rows: list[IncomingRow] = [incoming_row(operation) for operation in failed[: COUNTED + 1]]
    return Part(rows[:SHOWN], capped(len(rows), COUNTED))


def _rejected() -> Part:
    """Open changes that a partner has rejected, and whose owning group is still one of that partner's."""
    latest = Exchange.objects.filter(rejected_at_sequence__isnull=False).order_by("-pk").values("pk")
    rejected = (
        Exchange.objects.filter(pk__in=latest[:LATEST_REJECTED])
        .filter(Q(assigned_sequence=None) | Q(assigned_sequence__lte=F("rejected_at_sequence")))
        .filter(change__owning_group__external_group__system=F("system"))
        .exclude(change__phase__in=FINAL_PHASES)
        .with_system("change__owning_group")
        .defer("change__description")
        .order_by("-pk")
    )
    rows = list(rejected[: COUNTED + 1])
    return Part(rows[:SHOWN], capped(len(rows), COUNTED))


# --- The traffic of the last day ---


def traffic(user: User, now: datetime | None = None) -> charts.HourChart:
    """The operations recorded (out) and received (in) in each of the last 24 hours, in one query.

    The count of an hour that is over is kept: nothing is added to it.
    """
    now = now or timezone.now()
    present_hour = now.replace(minute=0, second=0, microsecond=0)
    hours = [present_hour - HOUR * back for back in reversed(range(HOURS))]
    kept = cache.get_many([_cache_key(hour) for hour in hours])
    counts = {hour: kept[_cache_key(hour)] for hour in hours if _cache_key(hour) in kept}
    missing = [hour for hour in hours if hour not in counts]
    counts |= _count(user, missing)
    over = {_cache_key(hour): counts[hour] for hour in missing if hour + HOUR + HOUR_IS_OVER < now}
    if over:
        cache.set_many(over, timeout=HOURS * 3600)
    return charts.hour_chart(
        [(hour, *(capped(number, HOUR_COUNTED) for number in counts[hour])) for hour in hours]  # type: ignore[misc]
    )


def _count(user: User, hours: list[datetime]) -> dict[datetime, tuple[int, int]]:
    """How much went out and came in within each hour, told by the keys, which sort by time: on the primary index."""
    columns: dict[str, CappedCount] = {}
    for place, hour in enumerate(hours):
        within = Q(pk__gte=first_key(hour), pk__lt=first_key(hour + HOUR))
        columns[f"out_{place}"] = CappedCount(OutgoingOperation.objects.filter(within), HOUR_COUNTED)
        columns[f"in_{place}"] = CappedCount(IncomingOperation.objects.filter(within), HOUR_COUNTED)
    # All are subqueries of one row, which is the person's.
    row: Any = get_user_model()._default_manager.filter(pk=user.pk).values("pk").annotate(**columns).get()
    return {hour: (row[f"out_{place}"], row[f"in_{place}"]) for place, hour in enumerate(hours)}


def first_key(moment: datetime) -> UUID:
    """No UUIDv7 of this moment or later is less."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)


def _cache_key(hour: datetime) -> str:
    return f"desk-traffic-{hour:%Y%m%d%H}"
