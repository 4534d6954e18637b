"""What the exchange adds to the desk: the state of each system, what needs attention, and the traffic of the last day.

Every open desk polls these parts, so they must be cheap: rows are read from partial indexes in their order, and counts
stop at a cap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import router
from django.db.models import CharField, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Cast
from django.utils import timezone

from changes.pages.desk import charts
from changes.queries.subqueries import CappedCount, Count, Joined, capped
from integrations.choices import DeliveryStatus
from integrations.models import (
    Acknowledgement,
    Exchange,
    ExternalSystem,
    IncomingOperation,
    OutgoingOperation,
)
from integrations.querysets import SECRETS
from integrations.standing import acknowledged, attention, status
from integrations.standing.flow import Condition
from integrations.watch.absence import Absence, absences

from .change_panel import IncomingRow, OutgoingRow, incoming_row, outgoing_row

SHOWN, COUNTED = 5, 50
SHOWN_ACKNOWLEDGED = 20
# Only the latest rejected exchanges are checked for a change that still is with the partner's group.
LATEST_REJECTED = 500
HOURS, HOUR, HOUR_COUNTED = 24, timedelta(hours=1), 5000
# An operation's key is made before its transaction commits. So the count of an hour is final only after this time.
HOUR_IS_OVER = timedelta(minutes=10)


@dataclass(frozen=True)
class Part:
    """One kind of thing that needs attention: the first rows and the capped count of all."""

    rows: list[Any]
    count: Count


@dataclass(frozen=True)
class Present:
    """The exchange at the moment `at`."""

    at: datetime
    systems: list[status.SystemStatus]
    refused: Part
    waiting: Part
    failed: Part
    rejected: Part
    acknowledged: list[Acknowledgement]
    # The parts in the background that are not at work, for those who can do something about it.
    absences: list[Absence]
    # Whether all refused incoming operations are among `failed`, for this user.
    has_all_failed: bool

    @property
    def paused(self) -> list[status.SystemStatus]:
        """The systems to which nothing is sent until a person resumes it.

        Those of which somebody decided that, only once something waits for them.
        """
        by_hand = [each for each in self.systems if each.waiting and each.flow.condition == Condition.HELD]
        return [each for each in self.systems if each.flow.condition == Condition.PAUSED] + by_hand

    @property
    def uncollected(self) -> list[status.SystemStatus]:
        """The systems that do not collect their operations, and of which nobody knows."""
        return [each for each in status.uncollected(self.systems) if not _known(each)]

    @property
    def is_untried(self) -> bool:
        """Whether the exchange has not begun: nothing was tried with any system."""
        return all(each.flow.is_untried for each in self.systems)

    @property
    def has_begun(self) -> bool:
        """Whether a system has taken an operation."""
        return not all(each.flow.has_taken_nothing for each in self.systems)

    @property
    def late(self) -> list[status.SystemStatus]:
        """The systems whose operations are due, and nobody sends them."""
        return [each for each in self.systems if each.flow.condition == Condition.SLOW]

    @property
    def needs_nobody(self) -> bool:
        parts = (self.refused, self.waiting, self.failed, self.rejected)
        stopped = self.uncollected or self.paused or self.late or self.absences
        return not stopped and not any(part.rows for part in parts)


def present(user: User, now: datetime | None = None) -> Present:
    """Reads the exchange as it is now, with five queries for any number of systems, operations and changes.

    One more for who can start what is not at work. Incoming operations that were refused are shown only to somebody who
    can do something about them.
    """
    now = now or timezone.now()
    stuck: list[Any] = list(_with_stuck(status.with_traffic(ExternalSystem.objects.order_by("system_id"), now), now))
    refused = [key for system in stuck for key in _keys(system.first_refused)]
    waiting = [key for system in stuck for key in _keys(system.first_waiting)]
    rows = _rows([*refused, *waiting], now)
    systems = [status.status_of(system, now) for system in stuck]
    return Present(
        at=now,
        systems=systems,
        refused=_part(rows, refused, sum(system.unknown_refused for system in stuck)),
        waiting=_part(rows, waiting, sum(system.long_waiting for system in stuck)),
        failed=_failed(user, now),
        rejected=_rejected(),
        has_all_failed=user.has_perm("integrations.change_externalsystem"),
        acknowledged=_acknowledged(user, now, systems),
        absences=absences(user, systems, now),
    )


def _with_stuck(systems: QuerySet[ExternalSystem], now: datetime) -> QuerySet[ExternalSystem]:
    """Adds to each system the keys of its oldest refused and long-waiting operations, and who knows what of it."""
    own = OutgoingOperation.objects.filter(system=OuterRef("pk"))
    refused = own.filter(status=DeliveryStatus.REFUSED).exclude(Exists(acknowledged.REFUSED))
    waiting = status.long_waiting(now).filter(system=OuterRef("pk")).exclude(Exists(acknowledged.WAITING))
    key = Cast("pk", CharField())
    return systems.select_related("acknowledgement__user").annotate(
        first_refused=Joined(refused.order_by("created_at"), key, SHOWN),
        first_waiting=Joined(waiting.order_by("created_at"), key, SHOWN),
        unknown_refused=CappedCount(refused, COUNTED),
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
    """The oldest rows over all systems, from those that were read for each."""
    found = sorted((rows[key] for key in keys if key in rows), key=lambda row: row.operation.created_at)
    return Part(found[:SHOWN], capped(count, COUNTED))


def _failed(user: User, now: datetime) -> Part:
    """The latest failed incoming operations that this user can do something about."""
    shown = (
        attention.failed(now)
        .filter(attention.incoming_shown_to(user))
        .exclude(Exists(acknowledged.FAILED))
        .with_system("user", "change")
        .defer("payload", "result", "change__description")
        .order_by("-received_at")
    )
    rows: list[IncomingRow] = [incoming_row(operation) for operation in shown[: COUNTED + 1]]
    return Part(rows[:SHOWN], capped(len(rows), COUNTED))


def _rejected() -> Part:
    """Open changes that a partner rejected but whose owning group still belongs to that partner."""
    latest = Exchange.objects.filter(rejected_at_sequence__isnull=False).order_by("-pk").values("pk")
    rejected = (
        attention.rejected()
        .filter(pk__in=latest[:LATEST_REJECTED])
        .exclude(Exists(acknowledged.REJECTED))
        .with_system("change__owning_group")
        .defer("change__description")
        .order_by("-pk")
    )
    rows = list(rejected[: COUNTED + 1])
    return Part(rows[:SHOWN], capped(len(rows), COUNTED))


def _known(uncollected: status.SystemStatus) -> Acknowledgement | None:
    """The acknowledgement that this system does not collect its operations, if it holds."""
    known: Acknowledgement | None = getattr(uncollected.system, "acknowledgement", None)
    return known if known and acknowledged.knows(known, uncollected.flow) else None


def _acknowledged(user: User, now: datetime, systems: list[status.SystemStatus]) -> list[Acknowledgement]:
    """The latest acknowledgements that keep something off this user's desk."""
    related = (
        "user",
        "outgoing__system",
        "outgoing__change",
        "incoming__system",
        "exchange__system",
        "exchange__change",
    )
    current = Acknowledgement.objects.filter(acknowledged.CURRENT)
    current = current.filter(Q(incoming=None) | attention.incoming_shown_to(user, "incoming__"))
    current = current.exclude(incoming__received_at__lt=now - attention.FAILED_WITHIN)
    big = ("outgoing__payload", "incoming__payload", "incoming__result")
    secret = [f"{way}__system__{name}" for way in ("outgoing", "incoming", "exchange") for name in SECRETS]
    latest = current.select_related(*related).defer(*big, *secret).order_by("-at")[:SHOWN_ACKNOWLEDGED]
    of_systems = filter(None, map(_known, status.uncollected(systems)))
    return sorted([*latest, *of_systems], key=lambda known: known.at, reverse=True)[:SHOWN_ACKNOWLEDGED]


# --- The traffic of the last day ---


def traffic(user: User, now: datetime | None = None) -> charts.HourChart:
    """The operations recorded (out) and received (in) in each of the last 24 hours. One query.

    Counts of past hours are cached, since they do not change any more.
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
    """The counts (out, in) of each hour. Uses ranges of primary keys, since UUIDv7 keys sort by time."""
    columns: dict[str, CappedCount] = {}
    for place, hour in enumerate(hours):
        within = Q(pk__gte=first_key(hour), pk__lt=first_key(hour + HOUR))
        columns[f"out_{place}"] = CappedCount(OutgoingOperation.objects.filter(within), HOUR_COUNTED)
        columns[f"in_{place}"] = CappedCount(IncomingOperation.objects.filter(within), HOUR_COUNTED)
    # A query needs a row to attach its subqueries to; the user's row serves, in the database that has the operations.
    people = get_user_model()._default_manager.using(router.db_for_read(OutgoingOperation))
    row: Any = people.filter(pk=user.pk).values("pk").annotate(**columns).get()
    return {hour: (row[f"out_{place}"], row[f"in_{place}"]) for place, hour in enumerate(hours)}


def first_key(moment: datetime) -> UUID:
    """The smallest UUIDv7 of this moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)


def _cache_key(hour: datetime) -> str:
    return f"desk-traffic-{hour:%Y%m%d%H}"
