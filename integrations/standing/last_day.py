"""The last 24 hours of each system: deliveries and failures by hour, and how long the latest deliveries took.

The cost depends on what was delivered and what failed in this time, not on all that is in the log. All is read from
partial indexes, with the same few queries for any number of systems. The result is kept for half a minute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.core.cache import cache
from django.db.models import Count, DateTimeField, OuterRef, Q, Subquery
from django.db.models.functions import TruncHour

from integrations.choices import NOT_FAILED, DeliveryStatus
from integrations.models import DeliveryAttempt, ExternalSystem, OutgoingOperation

HOUR, HOURS = timedelta(hours=1), 24
# So many of the latest deliveries tell how long they take.
SAMPLED = 200
KEPT_FOR = 30


@dataclass(frozen=True)
class Hour:
    """What was delivered, and how many tries failed, in the hour that begins at `start`."""

    start: datetime
    delivered: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Day:
    """`half` and `most`: seconds from recording to delivery, which half and 95 % of the latest `sampled` kept to."""

    hours: Sequence[Hour]
    sampled: int = 0
    half: float | None = None
    most: float | None = None

    @property
    def delivered(self) -> int:
        return sum(hour.delivered for hour in self.hours)

    @property
    def failed(self) -> int:
        return sum(hour.failed for hour in self.hours)

    @property
    def failure_share(self) -> float | None:
        """Failed tries of all tries, from 0 to 1; None without any."""
        tries = self.delivered + self.failed
        return self.failed / tries if tries else None


def last_days(systems: Iterable[int], now: datetime) -> dict[int, Day]:
    """The last day of each of these systems, by their keys."""
    keys = sorted(systems)
    first = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - (HOURS - 1) * HOUR
    name = f"exchange-last-day:{first:%Y%m%d%H}:{','.join(map(str, keys))}"
    found: dict[int, Day] | None = cache.get(name)
    if found is None:
        found = _read(keys, first)
        cache.set(name, found, KEPT_FOR)
    return found


def _read(keys: Sequence[int], first: datetime) -> dict[int, Day]:
    delivered = _by_hour(_delivered(keys, first), "system", "settled_at")
    failed = _by_hour(
        DeliveryAttempt.objects.filter(started_at__gte=first, operation__system__in=keys).exclude(
            failure__in=NOT_FAILED
        ),
        "operation__system",
        "started_at",
    )
    took = _took([key for key in keys if delivered[key]], first)
    starts = [first + place * HOUR for place in range(HOURS)]
    return {
        key: Day(
            [Hour(start, delivered[key].get(start, 0), failed[key].get(start, 0)) for start in starts],
            len(took[key]),
            _percentile(took[key], 50),
            _percentile(took[key], 95),
        )
        for key in keys
    }


def _delivered(keys: Sequence[int], first: datetime) -> Any:
    return OutgoingOperation.objects.filter(
        system__in=keys, status=DeliveryStatus.DELIVERED, settled_at__gte=first
    ).order_by()


def _by_hour(rows: Any, system: str, moment: str) -> dict[int, dict[datetime, int]]:
    counts: dict[int, dict[datetime, int]] = defaultdict(dict)
    hours = rows.order_by().values(system, hour=TruncHour(moment, tzinfo=UTC)).annotate(count=Count("*"))
    for key, hour, count in hours.values_list(system, "hour", "count"):
        counts[key][hour] = count
    return counts


def _took(keys: Sequence[int], first: datetime) -> dict[int, list[float]]:
    """How many seconds each of the latest deliveries took, in order."""
    found: dict[int, list[float]] = defaultdict(list)
    if not keys:
        return found
    # The moment of the oldest that counts is read from the index, of which the rows follow.
    latest = OutgoingOperation.objects.filter(system=OuterRef("pk"), status=DeliveryStatus.DELIVERED)
    nth = latest.order_by("-settled_at").values("settled_at")[SAMPLED - 1 : SAMPLED]
    since = ExternalSystem.objects.filter(pk__in=keys).values_list("pk", Subquery(nth, DateTimeField()))
    sampled = reduce(or_, (Q(system=key, settled_at__gte=max(moment or first, first)) for key, moment in since))
    rows = OutgoingOperation.objects.filter(sampled, status=DeliveryStatus.DELIVERED).order_by()
    for row in rows.values("system_id", "created_at", "settled_at"):
        if row["settled_at"]:
            found[row["system_id"]].append(max(0.0, (row["settled_at"] - row["created_at"]).total_seconds()))
    for seconds in found.values():
        seconds.sort()
    return found


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    """By the nearest rank."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None
