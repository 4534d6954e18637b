"""The numbers of the exchange with each system, for the command `exchange_status`, the status page and the admin.

One query reads the systems and all numbers. Each number is a subquery per system on a partial index. So the cost
depends on the operations that wait and on those delivered in the last five minutes, not on all that were ever
delivered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, DateTimeField, IntegerField, JSONField, OuterRef, QuerySet, Subquery, When
from django.db.models.functions import Coalesce, JSONObject
from django.utils import timezone
from knox.models import AuthToken

from integrations.choices import COLLECTING, Breaker, DeliveryStatus
from integrations.models import DeliveryControl, ExternalSystem, OutgoingOperation
from integrations.querysets import OutgoingQuerySet, SystemQuerySet
from integrations.tokens.life import WARNED_BEFORE

from . import failures, state
from .flow import LATE_TO_COLLECT, Condition, Flow, flow_of
from .last_day import Day, last_days

# An operation that waits for longer needs a person to look at it: a few retries have failed by then.
LONG = timedelta(minutes=15)

# Where a try is looked for among skipped operations: among the first of a system, for there is no index of these.
FIRST = 50

# The states in which an operation can be had by a partner that collects: one that was handed out is handed out again.
CAN_BE_HAD = (DeliveryStatus.WAITING, DeliveryStatus.SENDING)
MINUTE, FIVE_MINUTES = timedelta(minutes=1), timedelta(minutes=5)


@dataclass(frozen=True)
class BreakerStatus:
    """The circuit breaker of a system.

    `since`: when it left the closed state. `until`: when it lets one operation probe; None for an open breaker that
    only a person closes.
    """

    state: Breaker
    since: datetime | None
    until: datetime | None
    cause: str
    reason: str
    consecutive_failures: int

    @property
    def tone(self) -> str:
        return {Breaker.CLOSED: state.OK, Breaker.OPEN: state.BAD, Breaker.HALF_OPEN: state.WAIT}[self.state]

    @property
    def is_closed(self) -> bool:
        return self.state == Breaker.CLOSED

    @property
    def is_opened_by_hand(self) -> bool:
        """Whether a person opened it, so that only a person closes it."""
        return self.state == Breaker.OPEN and self.until is None


@dataclass(frozen=True)
class SystemStatus:
    """One system at the moment `at`. No operation is counted in more than one of `waiting`, `in_flight` and `refused`.

    `oldest_waiting`: when the oldest waiting operation was recorded. `oldest_waiting_age`: its age in seconds.
    `delivered_last_minute`: operations delivered. `delivered_per_minute`: the average over the last five minutes.
    """

    system: ExternalSystem
    flow: Flow
    waiting: int
    oldest_waiting: datetime | None
    oldest_waiting_age: int | None
    at: datetime
    in_flight: int
    refused: int
    breaker: BreakerStatus
    delivered_last_minute: int
    delivered_per_minute: float
    last_delivered: datetime | None
    # Tokens of its authorized user that end soon, or have ended lately: `ending_tokens()`.
    ending_tokens: Sequence[AuthToken] = ()
    # None unless `with_last_days()` added it.
    last_day: Day | None = None

    @property
    def system_id(self) -> str:
        return self.system.system_id

    @property
    def rate_limit(self) -> int | None:
        return self.system.rate_limit

    @property
    def max_in_flight(self) -> int:
        return self.system.max_in_flight

    @property
    def is_uncollected(self) -> bool:
        """Whether the partner should collect its operations, but has stopped or never began."""
        return self.flow.condition == Condition.UNCOLLECTED

    @property
    def is_called(self) -> bool:
        """Whether we push to this partner. Otherwise its limits and its circuit breaker have no meaning."""
        return not self.system.collects


def with_traffic(systems: SystemQuerySet, now: datetime) -> SystemQuerySet:
    """Adds the numbers that `status_of()` needs to each system. Does not load the secrets."""
    operations = OutgoingOperation.objects.filter(system=OuterRef("pk")).order_by()
    unsettled = operations.unsettled()
    waiting = unsettled.filter(status=DeliveryStatus.WAITING).order_by("created_at")
    delivered = operations.filter(status=DeliveryStatus.DELIVERED)
    return (
        with_refusal(systems)
        .select_related("control", "poll")
        .without_secrets()
        .annotate(
            unsettled_count=_count(unsettled),
            oldest_waiting=Subquery(waiting.values("created_at")[:1], DateTimeField()),
            # Only an operation that is next can be late: no other is sent.
            next_due=Subquery(
                operations.filter(status=DeliveryStatus.WAITING, is_next=True)
                .order_by("next_try_at")
                .values("next_try_at")[:1],
                DateTimeField(),
            ),
            # As `next_due`, for a partner that collects: it does not matter how often it had the operation.
            next_recorded=Case(
                When(
                    delivery__in=COLLECTING,
                    then=Subquery(
                        unsettled.filter(status__in=CAN_BE_HAD, is_next=True)
                        .order_by("created_at")
                        .values("created_at")[:1]
                    ),
                ),
                output_field=DateTimeField(),
            ),
            in_flight_count=_count(operations.filter(status=DeliveryStatus.SENDING)),
            refused_count=_count(unsettled.filter(status=DeliveryStatus.REFUSED)),
            delivered_1=_count(delivered.filter(settled_at__gt=now - MINUTE)),
            delivered_5=_count(delivered.filter(settled_at__gt=now - FIVE_MINUTES)),
            last_delivered=Subquery(delivered.order_by("-settled_at").values("settled_at")[:1], DateTimeField()),
        )
    )


def with_refusal(systems: SystemQuerySet) -> SystemQuerySet:
    """Adds to each system that has taken nothing so far what `flow_of()` needs: `refusal`, why it did not; else None.

    It is of the latest operation that was refused, or else of one that a person skipped after it was tried.
    """
    own = OutgoingOperation.objects.filter(system=OuterRef("pk"))
    first = OutgoingOperation.objects.filter(system=OuterRef(OuterRef("pk"))).order_by("created_at").values("pk")
    skipped = OutgoingOperation.objects.filter(status=DeliveryStatus.SKIPPED, pk__in=first[:FIRST])
    why = [_why(own.filter(status=DeliveryStatus.REFUSED)), _why(skipped.exclude(last_failure=""))]
    return systems.annotate(refusal=Case(When(control__first_delivered_at=None, then=Coalesce(*why))))


def _why(operations: OutgoingQuerySet) -> Subquery:
    columns = {"failure": "last_failure", "status": "last_http_status", "error": "last_error"}
    latest = operations.order_by("-created_at").values(why=JSONObject(**columns))
    return Subquery(latest[:1], JSONField())


def long_waiting(now: datetime) -> OutgoingQuerySet:
    """Operations that are next in their exchange, and wait for so long that a person should look at it."""
    late = OutgoingOperation.objects.filter(status=DeliveryStatus.WAITING, is_next=True, created_at__lt=now - LONG)
    # A partner that collects asks when it suits it.
    return late.exclude(system__delivery__in=COLLECTING, created_at__gte=now - LATE_TO_COLLECT)


def _count(operations: QuerySet[OutgoingOperation]) -> Coalesce:
    # COUNT(*) needs only the index, so most rows are counted without being read.
    return Coalesce(Subquery(operations.values("system").annotate(n=Count("*")).values("n"), IntegerField()), 0)


def status_of(system: Any, now: datetime) -> SystemStatus:
    """The status of a system that was read by `with_traffic()` with the same `now`."""
    oldest = system.oldest_waiting
    next_due = system.next_recorded if system.collects else system.next_due
    due = next_due if next_due and next_due <= now else None
    return SystemStatus(
        system=system,
        flow=flow_of(system, now, due),
        waiting=system.unsettled_count - system.in_flight_count - system.refused_count,
        oldest_waiting=oldest,
        oldest_waiting_age=max(0, int((now - oldest).total_seconds())) if oldest else None,
        at=now,
        in_flight=system.in_flight_count,
        refused=system.refused_count,
        breaker=breaker_of(system),
        delivered_last_minute=system.delivered_1,
        delivered_per_minute=round(system.delivered_5 / (FIVE_MINUTES / MINUTE), 1),
        last_delivered=system.last_delivered,
    )


def breaker_of(system: ExternalSystem) -> BreakerStatus:
    control: DeliveryControl = getattr(system, "control", None) or DeliveryControl(system=system)
    return BreakerStatus(
        state=Breaker(control.breaker),
        since=control.breaker_opened_at,
        until=control.breaker_until,
        cause=control.breaker_cause,
        reason=failures.breaker_reason(control),
        consecutive_failures=control.consecutive_failures,
    )


def all_statuses(now: datetime | None = None) -> list[SystemStatus]:
    """The status of every system, ordered by `system_id`."""
    now = now or timezone.now()
    tokens = ending_tokens(now)
    return [
        replace(status_of(system, now), ending_tokens=tokens.get(system.authorized_user_id, ()))
        for system in with_traffic(ExternalSystem.objects.order_by("system_id"), now)
    ]


def with_last_days(statuses: Sequence[SystemStatus], now: datetime) -> list[SystemStatus]:
    days = last_days([status.system.pk for status in statuses], now)
    return [replace(status, last_day=days[status.system.pk]) for status in statuses]


def uncollected(statuses: Sequence[SystemStatus]) -> list[SystemStatus]:
    """The systems that have stopped collecting their operations, or never began."""
    return [status for status in statuses if status.is_uncollected]


def ending_tokens(now: datetime) -> dict[int, list[AuthToken]]:
    """The tokens of partners that end within two weeks, or have ended as lately, by their users."""
    of_partners = AuthToken.objects.filter(user__authorized_systems__isnull=False).distinct()
    found: dict[int, list[AuthToken]] = {}
    for token in of_partners.filter(expiry__range=(now - WARNED_BEFORE, now + WARNED_BEFORE)).order_by("expiry"):
        found.setdefault(token.user_id, []).append(token)
    return found
