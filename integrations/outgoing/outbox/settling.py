"""Settling: writes the results of tries, many in one transaction."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from changes.security_log.recording import Subject, record
from changes.texts.storable import storable
from integrations import statements
from integrations.choices import DeliveryStatus, Failure
from integrations.models import DeliveryAttempt, Exchange, ExternalSystem, OutgoingOperation
from integrations.outgoing import flow_control
from integrations.rules import REJECTED_SINCE

from .answers import keep_answers
from .results import Outcome, Result
from .telling import tell

# Seconds. A partner may ask for a longer pause than the schedule's, up to this or the schedule's longest.
LONGEST_RETRY_AFTER = 86_400.0

# The texts of an attempt that a partner wrote or may have a say in.
_TEXTS_OF_PARTNERS = ("answer", "answer_headers", "error", "note", "request")
# What nobody has or is being sent, so that it can still be held back.
OPEN_BY_HAND = (DeliveryStatus.WAITING, DeliveryStatus.REFUSED)
WRITTEN = ["status", "claimed_until", "tries", "next_try_at", "last_failure", "last_http_status", "last_error"]


def settle(results: Sequence[Result], wait: bool = True) -> list[Result]:
    """Writes these results in one transaction: every attempt, and the outcome if it still counts (see `_held`).

    Without `wait`, leaves out the results whose exchange is locked elsewhere and returns them: nothing of them was
    written, and the caller settles them later.
    """
    with transaction.atomic():
        exchanges = _lock_exchanges({result.operation.exchange_id for result in results}, wait)
        free = [result for result in results if result.operation.exchange_id in exchanges]
        claims = statements.lock_open([result.operation.pk for result in free]) if free else {}
        held = _held(free, claims)
        steps = _steps_done(free, held, claims)
        now = timezone.now()
        notes = keep_answers([result for result in _each_once([*held, *steps]) if result.answer], exchanges, now)
        _write_attempts(free, notes)
        _write_delivered([result for result in held if result.outcome is Outcome.DELIVERED], exchanges, now)
        ended = [result for result in held if result.outcome is not None]
        _write_others([result for result in ended if result.outcome is not Outcome.DELIVERED], exchanges, now)
        _remember(steps)
        _prolong([result for result in held if result.outcome is None], now)
        _pause_systems(ended, now)
        _tell_breakers(ended, now)
        # After a COMMIT that failed the results are settled again.
        transaction.on_commit(partial(tell, free, ended, now), robust=True)
    for result in held:
        result.is_held = True
    if wait:
        return []  # an exchange that is missing was deleted with its change
    return [result for result in results if result.operation.exchange_id not in exchanges]


def _lock_exchanges(ids: set[int], wait: bool) -> dict[int, Exchange]:
    return {row.pk: row for row in statements.lock_exchanges(ids, wait)}


def _each_once(results: Sequence[Result]) -> list[Result]:
    return [*{id(result): result for result in results}.values()]


def _steps_done(results: Sequence[Result], held: Sequence[Result], claims: Mapping[UUID, Any]) -> list[Result]:
    """The results that have steps to remember. A step that was done is remembered even if its lease ran out meanwhile:
    otherwise the next worker would do it again."""
    ours = {id(result) for result in held}
    return [
        result
        for result in results
        if result.outcome is None and result.done and (id(result) in ours or result.operation.pk in claims)
    ]


def _held(results: Sequence[Result], claims: Mapping[UUID, tuple[str, int]]) -> list[Result]:
    """The results whose outcome counts, at most one per operation.

    A result counts if its claim is still the latest. A delivery also counts if its lease ran out, as long as the
    operation is open: otherwise a partner that takes longer than a lease would be sent the same operation for ever. So
    does a refusal by a partner that collects its operations.
    """
    held: dict[UUID, Result] = {}
    for result in results:
        is_latest = claims.get(result.operation.pk) == (DeliveryStatus.SENDING, result.operation.claim)
        if (result.outcome is Outcome.DELIVERED or result.counts_late) and result.operation.pk in claims:
            held[result.operation.pk] = result
        elif is_latest:
            held.setdefault(result.operation.pk, result)
    return list(held.values())


def _write_attempts(results: Sequence[Result], notes: Mapping[UUID, str]) -> None:
    for result in results:
        result.attempt.pk = None  # a transaction that was rolled back may have given it a key
        note = notes.get(result.operation.pk, "")
        result.attempt.note = f"{result.note} {note}".strip()[:500]
        for name in _TEXTS_OF_PARTNERS:
            setattr(result.attempt, name, storable(getattr(result.attempt, name)))
        if result.attempt.note and result.outcome in (Outcome.DELIVERED, None):
            result.attempt.failure = Failure.UNUSABLE_ANSWER
    DeliveryAttempt.objects.bulk_create([result.attempt for result in results])


def _write_delivered(results: Sequence[Result], exchanges: Mapping[int, Exchange], now: datetime) -> None:
    if not results:
        return
    statements.write_delivered([result.operation.pk for result in results], now)
    # The exchange row is locked, so `last_sequence` is current: nothing can be recorded meanwhile.
    promote(
        [
            result.operation.exchange_id
            for result in results
            if exchanges[result.operation.exchange_id].last_sequence > result.operation.sequence
        ]
    )


def promote(exchanges: Sequence[int]) -> None:
    """Marks the first unsettled operation of each of these exchanges as next. The caller has locked their rows."""
    if not exchanges:
        return
    unsettled = OutgoingOperation.objects.unsettled().filter(exchange=OuterRef("pk"))
    first = Subquery(unsettled.order_by("sequence").values("pk")[:1])
    rows = Exchange.objects.filter(pk__in=exchanges).order_by().annotate(first=first)
    heads = [pk for pk in rows.values_list("first", flat=True) if pk]
    OutgoingOperation.objects.filter(pk__in=heads, is_next=False).update(is_next=True)


def skip_rejected(exchange: Exchange, now: datetime) -> None:
    """Skips what still waits for a partner that has rejected the change since it was recorded.

    After a Reject nothing but a new Assign goes to a system: section 3 of the contract. What the partner is being sent,
    or has collected, is on its way already. The caller has locked the exchange.
    """
    before = Q(exchange=exchange.pk, sequence__lte=exchange.rejected_at_sequence)
    skipped = OutgoingOperation.objects.filter(before, status__in=OPEN_BY_HAND).update(
        status=DeliveryStatus.SKIPPED,
        is_next=False,
        claimed_until=None,
        skip_reason=REJECTED_SINCE,
        settled_at=now,
    )
    if skipped:
        promote([exchange.pk])


def _write_others(results: Sequence[Result], exchanges: Mapping[int, Exchange], now: datetime) -> None:
    rows = [_settled_otherwise(result, now) for result in results]
    OutgoingOperation.objects.bulk_update(rows, WRITTEN)
    for result in results:
        exchange = exchanges[result.operation.exchange_id]
        if exchange.state.was_sent_before_reject(result.operation.sequence):
            skip_rejected(exchange, now)


def _remember(results: Sequence[Result]) -> None:
    if not results:
        return
    keys = [result.operation.pk for result in results]
    rows = {row.pk: row for row in OutgoingOperation.objects.filter(pk__in=keys).only("done_steps")}
    for result in results:
        row = rows[result.operation.pk]
        row.done_steps = {**(row.done_steps or {}), **(result.done or {})}
    OutgoingOperation.objects.bulk_update(rows.values(), ["done_steps"])


def _prolong(results: Sequence[Result], now: datetime) -> None:
    """Lets the claims of these operations last for the next step."""
    until = now + timedelta(seconds=settings.DELIVERY_LEASE)
    keys = [result.operation.pk for result in results]
    OutgoingOperation.objects.filter(pk__in=keys).update(claimed_until=until)


def _settled_otherwise(result: Result, now: datetime) -> OutgoingOperation:
    tries, schedule = result.operation.tries + 1, settings.DELIVERY_RETRY_SCHEDULE
    row = OutgoingOperation(
        pk=result.operation.pk,
        status=DeliveryStatus.WAITING,
        tries=tries,
        next_try_at=result.operation.next_try_at,
        last_failure=result.attempt.failure,
        last_http_status=result.attempt.http_status,
        last_error=storable(result.error)[:500],
    )
    if result.outcome is Outcome.PAUSE:
        row.tries -= 1
    elif result.outcome is Outcome.REFUSED:
        row.status = DeliveryStatus.REFUSED
    elif tries > len(schedule):
        row.status = DeliveryStatus.REFUSED
        row.last_error = f"{storable(result.error)[:400]} (given up after {tries} tries)"
    else:
        row.next_try_at = now + timedelta(seconds=_pause(schedule[tries - 1], result.retry_after))
    return row


def _pause(scheduled: float, retry_after: float | None) -> float:
    pause = scheduled * random.uniform(0.8, 1.2)
    if retry_after is None:
        return pause
    return max(pause, min(retry_after, max(LONGEST_RETRY_AFTER, *settings.DELIVERY_RETRY_SCHEDULE)))


def _pause_systems(results: Sequence[Result], now: datetime) -> None:
    paused = {
        result.operation.system_id: result.attempt.http_status for result in results if result.outcome is Outcome.PAUSE
    }
    for system, status in sorted(paused.items()):
        pause(system, status, now)


def pause(system: int, status: int | None, now: datetime) -> None:
    """Pauses the system with this key, since it answered a call of ours with `status`."""
    if ExternalSystem.objects.filter(pk=system, paused_at=None).update(paused_at=now, pause_status=status):
        about = Subject.of(ExternalSystem.objects.get(pk=system))
        if status is None:
            record("system_unusable", about)
        else:
            record("system_paused", about, {"status": status})


def _tell_breakers(results: Sequence[Result], now: datetime) -> None:
    """Counts the tries for the circuit breakers, and notes a system's first delivery.

    A refusal does not count as a failure: the partner answered.
    """
    if not results:
        return
    by_system: dict[int, list[bool]] = defaultdict(list)
    for result in results:
        by_system[result.operation.system_id].append(result.outcome is Outcome.RETRY)
    failed = [system for system, failures in by_system.items() if any(failures)]
    delivered = {result.operation.system_id for result in results if result.outcome is Outcome.DELIVERED}
    breaker = flow_control.BreakerSettings(settings.BREAKER_FAILURES, timedelta(seconds=settings.BREAKER_OPEN_SECONDS))
    for control in statements.lock_controls([*by_system], failed, delivered):
        flow_control.tried(control, by_system[control.pk], now, breaker)
        if control.pk in delivered:
            control.first_delivered_at = control.first_delivered_at or now
        control.save()
