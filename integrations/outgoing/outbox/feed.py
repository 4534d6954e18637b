"""The feed of a partner that polls with an SMAX adapter. Its protocol has no acknowledgement, so what it does tells us.

A poll gets all operations that are not delivered, in order, however old: an operation whose transaction commits late is
so never stepped over. An operation was delivered when

- a later poll asks from a time on that is after its recording (less `SMAX_FEED_OVERLAP_SECONDS`) and not before the
  answer that had it first: an adapter asks from its last answer's `Date` on, so it has that answer. If it has the
  answers of the last round, which begins with the first page, the operation must have been on one of its pages;
- or the partner wrote about the record since: this confirms the oldest that was on a page of this round, not those
  behind it, which the adapter may not have come to. A write that only names the partner's record, and says nothing new
  of it, answers an Assign, and confirms nothing else: two adapters may both have answered it;
- or the partner rejected the change: this confirms all that was handed out.

Operations are confirmed in order only, and an Assign only by the partner's record id. So what stands behind an Assign
stays in the feed until the partner has a record that it can apply it to.

What an adapter writes between two pages of a round makes the list shorter. Its `skip` counts those too, so that the
next page neither passes over an operation nor gives one before an earlier one of its change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from changes.models import Change
from integrations.choices import Confirmation, DeliveryStatus, Operation
from integrations.models import (
    DeliveryAttempt,
    DeliveryControl,
    Exchange,
    ExternalReference,
    ExternalSystem,
    OutgoingOperation,
)

from .collecting import loaded
from .leases import unlocked
from .message import body
from .order import in_order, open_to, within_bytes
from .results import Outcome, Result
from .settling import settle


@dataclass
class Feed:
    """One page of a poll. `total`: how many operations there are on all pages. Each has its `message` as a dict."""

    total: int
    operations: list[OutgoingOperation] = field(default_factory=list)


def feed(system: ExternalSystem, since: datetime | None, skip: int, size: int) -> Feed:
    """The operations for this system that are not delivered, after what a poll from `since` on confirms is settled.

    With large texts there are fewer than `size`, at least one: `total` tells that there are more.

    `since`: None asks for all, and confirms nothing. Notes what is handed out.
    """
    now = timezone.now()
    last_round, handed_out = _note_poll(system, now, begins=not skip)
    if since is not None and not skip:
        _confirm(_confirmed_by_poll(system, since, last_round), Confirmation.LATER_POLL, now)
    waiting = open_to(system.pk, Q(status=DeliveryStatus.WAITING), Q(status=DeliveryStatus.SENDING))
    total, gone = waiting.count(), _gone_since(system, last_round) if skip else 0
    skip = max(0, skip - gone)
    places = [place.operation for place in in_order(waiting, skip, size)] if total > skip else []
    page = loaded(system, within_bytes(places))
    for operation in page:
        operation.message = json.loads(body(operation))
    if page:
        with transaction.atomic():
            # One that is locked elsewhere is noted by the next poll: until then it cannot be confirmed.
            keys = unlocked(OutgoingOperation.objects.filter(pk__in=[operation.pk for operation in page]))
            OutgoingOperation.objects.filter(pk__in=keys).update(
                handed_out_at=Coalesce("handed_out_at", handed_out), hand_out=_milliseconds(now)
            )
    return Feed(total + gone, page)


def _gone_since(system: ExternalSystem, last_round: datetime | None) -> int:
    """How many operations that were on a page of this round were confirmed since."""
    delivered = OutgoingOperation.objects.filter(system=system, status=DeliveryStatus.DELIVERED)
    if last_round is None:
        return 0
    return delivered.filter(settled_at__gte=last_round, hand_out__gte=_milliseconds(last_round)).count()


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _note_poll(system: ExternalSystem, now: datetime, begins: bool) -> tuple[datetime | None, datetime]:
    """Notes when the partner asked, and whether that `begins` a round.

    Returns when the last round began, and the time at which what this poll gets counts as handed out first.

    An adapter knows the times of our answers in whole seconds. After another answer in this second, its next poll may
    go by the time of that one. So what is handed out now then counts as handed out in the next second.
    """
    with transaction.atomic():
        control = DeliveryControl.objects.select_for_update(no_key=True).get(pk=system.pk)
        last, control.asked_at = control.asked_at, now
        last_round = control.round_began_at
        control.round_began_at = now if begins else last_round
        control.save(update_fields=["asked_at", "round_began_at"])
    second = now.replace(microsecond=0)
    return last_round, now if last is None or last < second else second + timedelta(seconds=1)


# --- What confirms a delivery ---


class _Row(NamedTuple):
    """An open operation, with what decides whether it is confirmed. `is_answered`: the partner named its record."""

    exchange: int
    operation: OutgoingOperation
    is_answered: bool

    def is_held_by_assign(self) -> bool:
        return self.operation.operation == Operation.ASSIGN and not self.is_answered


def _rows(operations: QuerySet[OutgoingOperation]) -> list[_Row]:
    answered = ExternalReference.objects.filter(change=OuterRef("change"), system=OuterRef("system"))
    found = operations.annotate(is_answered=Exists(answered)).defer("payload").select_related("system")
    return [_Row(one.exchange_id, one, one.is_answered) for one in found.order_by("exchange_id", "sequence")]


def _confirmed_by_poll(system: ExternalSystem, since: datetime, last_round: datetime | None) -> list[OutgoingOperation]:
    """The operations that a poll from `since` on confirms, in each exchange from the first open one on.

    `last_round`: when the round before this poll began.
    """
    recorded_before = since - timedelta(seconds=settings.SMAX_FEED_OVERLAP_SECONDS)
    # The adapter knows the time of our answer in whole seconds.
    handed_out_before = since.replace(microsecond=0) + timedelta(seconds=1)
    candidates = OutgoingOperation.objects.unsettled().filter(
        system=system, created_at__lt=recorded_before, handed_out_at__lt=handed_out_before
    )
    of_these = OutgoingOperation.objects.unsettled().filter(exchange__in=candidates.order_by().values("exchange"))
    # Whether the adapter has the answers of the last round. Otherwise another adapter had them, or they were lost.
    has_last = last_round is not None and last_round < handed_out_before
    given_since = _milliseconds(last_round) if last_round is not None and has_last else 0
    confirmed = []
    for _exchange, rows in groupby(_rows(of_these), lambda row: row.exchange):
        for row in rows:
            one = row.operation
            is_past = one.created_at < recorded_before and one.handed_out_at and one.handed_out_at < handed_out_before
            is_past = is_past and (one.hand_out or 0) >= given_since
            if not is_past or one.status != DeliveryStatus.WAITING or row.is_held_by_assign():
                break
            confirmed.append(one)
    return confirmed


def confirm_written(
    change: Change, system: ExternalSystem, *, is_reject: bool, is_named: bool, only_names: bool = False
) -> None:
    """Settles what a write of the partner about this change confirms. Call it with the change's lock held, before the
    write takes effect.

    `is_named`: the partner has named its record, with this write or before. `only_names`: this write does nothing else.
    """
    exchange = Exchange.objects.filter(change=change, system=system).first()
    if exchange is None:
        return
    began = DeliveryControl.objects.values_list("round_began_at", flat=True).get(pk=system.pk)
    given_since = _milliseconds(began) if began and not is_reject else 0
    confirmed = []
    for row in _rows(OutgoingOperation.objects.unsettled().filter(exchange=exchange)):
        one = row.operation
        is_held = one.operation == Operation.ASSIGN and not (is_named or is_reject)
        is_other = only_names and one.operation != Operation.ASSIGN
        is_given = one.handed_out_at is not None and (one.hand_out or 0) >= given_since
        if not is_given or one.status != DeliveryStatus.WAITING or is_held or is_other:
            break
        confirmed.append(one)
        if not is_reject:
            break
    names_record = bool(confirmed) and confirmed[0].operation == Operation.ASSIGN and not is_reject
    _confirm(confirmed, Confirmation.EXTERNAL_ID if names_record else Confirmation.WRITTEN, timezone.now())


def _confirm(operations: Iterable[OutgoingOperation], confirmation: Confirmation, now: datetime) -> None:
    if results := [_result(operation, confirmation, now) for operation in operations]:
        settle(results)


def _result(operation: OutgoingOperation, confirmation: Confirmation, now: datetime) -> Result:
    handed_out = operation.handed_out_at or now
    attempt = DeliveryAttempt(
        operation=operation,
        claim=operation.claim,
        started_at=handed_out,
        duration=max(0.0, (now - handed_out).total_seconds()),
        confirmation=confirmation,
    )
    return Result(operation, attempt, Outcome.DELIVERED)
