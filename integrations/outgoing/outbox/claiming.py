"""Claiming: a worker takes the operations that may be sent now, with a lease, so that no other worker takes them."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, prefetch_related_objects
from django.db.models.functions import Coalesce
from django.utils import timezone

from changes.models import RestoredCopy
from integrations import statements
from integrations.choices import Breaker, Delivery, DeliveryStatus
from integrations.models import DeliveryControl, ExternalSystem, OutgoingOperation
from integrations.outgoing import flow_control
from integrations.querysets import SECRETS

from .leases import free, lapsed, unlocked
from .settling import LONGEST_RETRY_AFTER

# An untried operation is due at once. If it is due later than this, it was recorded before the clock was set back.
CLOCK_TOLERANCE = timedelta(seconds=5)


def claim(limit: int) -> list[OutgoingOperation]:
    """Claims up to `limit` operations that may be sent now, for `DELIVERY_LEASE` seconds; each system's oldest first.

    Keeps the limits and the circuit breaker of each system, over all workers. If `limit` is too small for all that may
    be sent, each system gets a share.
    """
    now = timezone.now()
    if limit <= 0:
        return []
    with transaction.atomic():
        controls = _controls_of_due(now)
        shares = _shares(controls, limit, now)
        if not shares:
            return []
        operations = _take(shares, controls, now)
        claimed = Counter(operation.system_id for operation in operations)
        for pk, count in claimed.items():
            if flow_control.claimed(controls[pk], count, now):
                controls[pk].save()
    for operation in operations:
        operation.system = controls[operation.system_id].system
        if reference := operation.reference:
            reference.system = operation.system
    if any(operation.cause_id for operation in operations):
        prefetch_related_objects(operations, "cause__system")
    return operations


def is_due() -> bool:
    """Whether anything is due, so that a claim is worth its transaction. One statement, without locks."""
    return statements.is_due(timezone.now())


def is_more_due() -> bool:
    """Whether something is due that a later claim may take any moment. For when a claim took nothing.

    Such an operation is held back by the rate limit, or another worker is claiming for the same system.
    """
    sending = OutgoingOperation.objects.filter(status=DeliveryStatus.SENDING, system=OuterRef("system")).order_by()
    count = sending.values("system").annotate(n=Count("pk")).values("n")
    return (
        _of_due(timezone.now())
        .filter(breaker=Breaker.CLOSED, system__max_in_flight__gt=Coalesce(Subquery(count), 0))
        .exists()
    )


def _of_due(now: datetime) -> QuerySet[DeliveryControl]:
    """The controls of the systems that are enabled, called and not paused, and have something due.

    None in a restored copy that waits.
    """
    is_mapped = Q(system__delivery=Delivery.MAPPED, system__connection__isnull=False)
    return DeliveryControl.objects.filter(
        Q(system__delivery=Delivery.PUSH) | is_mapped,
        Exists(OutgoingOperation.objects.due(now).filter(system=OuterRef("system"))),
        ~Exists(RestoredCopy.objects.all()),
        system__enabled=True,
        system__paused_at=None,
    )


def _controls_of_due(now: datetime) -> dict[int, DeliveryControl]:
    """As `_of_due`, locked and with their systems. Leaves out the systems that another worker is claiming for."""
    controls = {control.pk: control for control in statements.controls_of_due(now)}
    for control in controls.values():
        control.system = _system_of(control)
    return controls


def _system_of(control: Any) -> ExternalSystem:
    """The system, with the fields that sending needs, from the columns read with its control."""
    values: dict[str, Any] = {"id": control.system_id, "system_id": control.name}
    for name in ("delivery", "endpoint_url", "max_in_flight", "rate_limit", "connection_id"):
        values[name] = getattr(control, name)
    for name in SECRETS:
        field: Any = ExternalSystem._meta.get_field(name)
        values[name] = field.from_db_value(getattr(control, name), None, connection)
    ordered = {field.attname: values[field.attname] for field in ExternalSystem._meta.fields if field.attname in values}
    system = statements.partly(ExternalSystem, **ordered)
    system.control = control
    return system


def _shares(controls: dict[int, DeliveryControl], limit: int, now: datetime) -> dict[int, int]:
    """How many operations of each system may be claimed, by its key.

    If the limits of the systems allow no more than `limit` in all, these are returned; they include what is under way.
    Otherwise `limit` is shared out evenly, whatever waits for each system.
    """
    allowed = {pk: count for pk, control in controls.items() if (count := flow_control.allowance(control, now)) > 0}
    if sum(allowed.values()) <= limit:
        return allowed
    sending = OutgoingOperation.objects.filter(status=DeliveryStatus.SENDING, system__in=allowed).order_by()
    for pk, count in sending.values_list("system").annotate(n=Count("pk")):
        allowed[pk] = min(allowed[pk], max(0, flow_control.at_once(controls[pk], now) - count))
    systems = random.sample([*allowed], len(allowed))  # so that it is not always the same systems that get nothing
    shares = dict.fromkeys(systems, 0)
    while limit and (open_to_more := [system for system in systems if shares[system] < allowed[system]]):
        for system in open_to_more[:limit]:
            shares[system] += 1
        limit -= min(limit, len(open_to_more))
    return {system: count for system, count in shares.items() if count}


def _take(shares: dict[int, int], controls: dict[int, DeliveryControl], now: datetime) -> list[OutgoingOperation]:
    """Claims each system's oldest due operations in one statement, up to its share and its free requests."""
    wanted = [
        statements.Share(system, count, flow_control.at_once(controls[system], now)) for system, count in shares.items()
    ]
    taken = statements.claim(wanted, now, now + timedelta(seconds=settings.DELIVERY_LEASE))
    return sorted(taken, key=lambda operation: (operation.next_try_at, operation.pk))


def release_stale() -> int:
    """Frees operations whose lease ran out. Returns how many.

    Also makes due what waits impossibly long, which happens when the clock was set back.
    """
    now = timezone.now()
    _complete_controls()
    longest = timedelta(seconds=1.2 * max(LONGEST_RETRY_AFTER, *settings.DELIVERY_RETRY_SCHEDULE)) + CLOCK_TOLERANCE
    too_far = Q(tries=0, next_try_at__gt=now + CLOCK_TOLERANCE) | Q(next_try_at__gt=now + longest)
    breaker_too_long = now + timedelta(seconds=settings.BREAKER_OPEN_SECONDS) + CLOCK_TOLERANCE
    waiting = OutgoingOperation.objects.filter(too_far, status=DeliveryStatus.WAITING, is_next=True)
    DeliveryControl.objects.filter(breaker=Breaker.OPEN, breaker_until__gt=breaker_too_long).update(breaker_until=now)
    with transaction.atomic():
        OutgoingOperation.objects.filter(pk__in=unlocked(waiting)).update(next_try_at=now)
        return free(lapsed(now, CLOCK_TOLERANCE), now)


def _complete_controls() -> None:
    """Adds the missing controls of systems that were created without `save()`, such as by `bulk_create()`."""
    without = ExternalSystem.objects.filter(control=None).values_list("pk", flat=True)
    if missing := [DeliveryControl(system_id=pk) for pk in without]:
        DeliveryControl.objects.bulk_create(missing, ignore_conflicts=True)
