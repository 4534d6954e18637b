"""The only writer of outgoing operations: record, claim, and what became of a try.

An operation is recorded under the change's row lock, in the transaction of what caused it. A worker claims it by a
conditional UPDATE that counts `claim` up and sets a lease; the result is written only where `claim` is still the
same, so a worker that wakes after its lease ran out changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from changes.models import Attachment, Change, Comment
from changes.timestamps import timestamp

from . import origin, payloads, rules
from .choices import SETTLED, Delivery, DeliveryStatus
from .models import DeliveryAttempt, Exchange, ExternalGroup, ExternalReference, ExternalSystem, OutgoingOperation

# A partner may ask for a longer pause than ours, within reason: see the longest of the schedule too.
LONGEST_RETRY_AFTER = 86_400.0


# --- Recording ---


@dataclass
class Context:
    """A change with what the rules and the payloads need to know about its exchanges."""

    change: Change
    situation: rules.Situation
    exchanges: dict[str, Exchange]
    references: dict[str, ExternalReference]


def context_of(change: Change) -> Context:
    """Reads the exchanges of a change whose row is locked by the caller."""
    exchanges = {row.system.system_id: row for row in change.exchanges.select_related("system")}
    references = {row.system.system_id: row for row in change.external_references.select_related("system")}
    owner = None
    if change.owning_group_id:
        external = ExternalGroup.objects.select_related("system").filter(group=change.owning_group_id).first()
        owner = external.system.system_id if external else None
    cause = origin.current()
    situation = rules.Situation(
        owner=owner,
        referenced=frozenset(references),
        exchanges={name: row.state for name, row in exchanges.items()},
        cause=cause.system.system_id if cause and cause.system else None,
    )
    return Context(change, situation, exchanges, references)


def record(
    context: Context,
    generated: rules.Generated,
    changed_fields: Mapping[str, Any] | None = None,
    comment: Comment | None = None,
    attachment: Attachment | None = None,
) -> list[OutgoingOperation]:
    """Writes these operations, in this order, and wakes a worker once the transaction commits."""
    if not generated:
        return []
    now = timezone.now()
    cause = origin.current()
    names = {system for _, system in generated}
    systems = {system.system_id: system for system in ExternalSystem.objects.filter(system_id__in=names)}
    rows = []
    for operation, name in generated:
        exchange = context.exchanges.get(name) or Exchange(change=context.change, system=systems[name])
        context.exchanges[name] = exchange
        exchange.state = exchange.state.after(operation)
        own = [context.references[name]] if name in context.references else []
        payload = {
            "change": payloads.change_snapshot(context.change, own),
            "changed_fields": dict(changed_fields or {}),
            "comment": payloads.comment_snapshot(comment) if comment else None,
            "attachment": payloads.attachment_snapshot(attachment, settings.BASE_URL) if attachment else None,
        }
        rows.append(
            OutgoingOperation(
                change=context.change,
                system=systems[name],
                sequence=exchange.last_sequence,
                operation=operation,
                payload=payload,
                cause=cause,
                comment=comment,
                attachment=attachment,
                created_at=now,
                next_try_at=now,
            )
        )
    for name in names:
        context.exchanges[name].save()
    created = OutgoingOperation.objects.bulk_create(rows)
    wake_on_commit()
    return created


def wake_on_commit() -> None:
    """Tells the workers, once the transaction commits, that something is due."""
    from .tasks import wake  # the task imports delivery, which imports this module

    here = set(connection.savepoint_ids)
    hooks: list[Any] = connection.run_on_commit
    if any(hook is wake and savepoints <= here for savepoints, hook, *_ in hooks):
        return  # once is enough for what is due
    # Robust: whatever the broker does, what is committed is committed, and the sweep finds it.
    transaction.on_commit(wake, robust=True)


# --- Claiming ---


def claimable(now: datetime) -> QuerySet[OutgoingOperation]:
    """What may be sent now: due, to a system that flows, and with nothing unsettled before it in its sequence."""
    earlier = OutgoingOperation.objects.filter(
        change=OuterRef("change"), system=OuterRef("system"), sequence__lt=OuterRef("sequence")
    ).exclude(status__in=SETTLED)
    return OutgoingOperation.objects.filter(
        ~Exists(earlier),
        status=DeliveryStatus.WAITING,
        next_try_at__lte=now,
        system__enabled=True,
        system__paused_at=None,
        system__delivery=Delivery.PUSH,
    )


def claim(limit: int, per_system: int = 16, full: Collection[int] = ()) -> list[OutgoingOperation]:
    """Takes up to `limit` operations that may be sent now, oldest due first, for `DELIVERY_LEASE` seconds.

    Of one system no more than `per_system`, and none of those in `full` (keys of systems).
    """
    now = timezone.now()
    place = Window(RowNumber(), partition_by="system", order_by=("next_try_at", "id"))
    fair = claimable(now).exclude(system__in=full).annotate(place=place).filter(place__lte=per_system)
    fair = fair.order_by("next_try_at", "id")
    with transaction.atomic():
        due = OutgoingOperation.objects.filter(pk__in=[*fair.values_list("pk", flat=True)[:limit]])
        # Whether it is still waiting is asked again under the lock; what came before it is settled for good.
        due = due.filter(status=DeliveryStatus.WAITING).order_by("next_try_at", "id")
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(of=("self",), skip_locked=True)
        ids = list(due.values_list("pk", flat=True))
        if not ids:
            return []
        OutgoingOperation.objects.filter(pk__in=ids, status=DeliveryStatus.WAITING).update(
            status=DeliveryStatus.SENDING,
            claim=F("claim") + 1,
            claimed_until=now + timedelta(seconds=settings.DELIVERY_LEASE),
        )
        return list(
            OutgoingOperation.objects.filter(pk__in=ids)
            .select_related("system", "cause__system")
            .order_by("created_at")
        )


def release_stale() -> int:
    """Frees what a worker claimed and did not finish in time. Returns how many."""
    return OutgoingOperation.objects.filter(status=DeliveryStatus.SENDING, claimed_until__lt=timezone.now()).update(
        status=DeliveryStatus.WAITING, claimed_until=None
    )


# --- What became of a try ---


def _finish(operation: OutgoingOperation, attempt: DeliveryAttempt, **values: Any) -> bool:
    """Writes a try's outcome if the claim still holds, and the attempt in any case."""
    attempt.save()
    return bool(
        OutgoingOperation.objects.filter(pk=operation.pk, claim=operation.claim, status=DeliveryStatus.SENDING).update(
            claimed_until=None, **values
        )
    )


def delivered(operation: OutgoingOperation, attempt: DeliveryAttempt, answer: Mapping[str, Any]) -> bool:
    """The partner has it. `answer` may name its record, which fills the external reference."""
    with transaction.atomic():
        # The change's lock first, as everywhere: the reference is also written by incoming operations.
        Change.objects.select_for_update().get(pk=operation.change_id)
        if answer:
            attempt.note = " ".join(filter(None, (attempt.note, fill_reference(operation, answer))))[:500]
        return _finish(operation, attempt, status=DeliveryStatus.DELIVERED, settled_at=timezone.now(), last_error="")


def fill_reference(operation: OutgoingOperation, answer: Mapping[str, Any]) -> str:
    """Keeps what the partner says of its record. Returns why not, where it cannot be used."""
    exchange = Exchange.objects.filter(change=operation.change_id, system=operation.system_id).first()
    if exchange and exchange.state.was_sent_before_reject(operation.sequence):
        return "The partner has rejected the change since: its answer was not used."
    reference = ExternalReference.objects.filter(change=operation.change_id, system=operation.system_id).first()
    if reference is None:
        if not answer.get("external_id"):
            return "The answer names no external_id, and there is no reference yet: it was not used."
        reference = ExternalReference(change_id=operation.change_id, system=operation.system)
    elif answer.get("external_id") not in (None, "", reference.external_id):
        return f"The answer names {answer['external_id']!r:.100}, but the reference is {reference.external_id!r:.100}."
    notes = []
    for name in ("external_id", "external_url", "external_status"):
        if not answer.get(name):
            continue
        try:
            field: Any = ExternalReference._meta.get_field(name)
            setattr(reference, name, field.clean(answer[name], reference))
        except ValidationError as error:
            notes.append(f"{name} was not used: {' '.join(error.messages)}")
    try:
        with transaction.atomic():
            if reference.external_id:
                reference.save()
    except IntegrityError:
        notes.append(f"The answer was not used: {reference.external_id!r:.100} is another change's.")
    return " ".join(notes)[:500]


def retry_later(
    operation: OutgoingOperation, attempt: DeliveryAttempt, error: str, retry_after: float | None = None
) -> bool:
    """The try failed in a way that may pass. After the last pause of the schedule it is refused instead."""
    schedule = settings.DELIVERY_RETRY_SCHEDULE
    if operation.tries >= len(schedule):
        return refuse(operation, attempt, f"{error} (given up after {operation.tries + 1} tries)")
    pause = schedule[operation.tries] * random.uniform(0.8, 1.2)
    if retry_after is not None:
        pause = max(pause, min(retry_after, max(LONGEST_RETRY_AFTER, *schedule)))
    return _finish(
        operation,
        attempt,
        status=DeliveryStatus.WAITING,
        tries=operation.tries + 1,
        next_try_at=timezone.now() + timedelta(seconds=pause),
        last_error=error[:500],
    )


def refuse(operation: OutgoingOperation, attempt: DeliveryAttempt, error: str) -> bool:
    """The partner does not take it: it, and what follows for this change, waits for a person."""
    return _finish(operation, attempt, status=DeliveryStatus.REFUSED, tries=operation.tries + 1, last_error=error[:500])


def pause_system(operation: OutgoingOperation, attempt: DeliveryAttempt, reason: str) -> bool:
    """The partner takes no calls of ours at all: everything for it waits, and no try is used up."""
    with transaction.atomic():
        ExternalSystem.objects.filter(pk=operation.system_id, paused_at=None).update(
            paused_at=timezone.now(), pause_reason=reason[:300]
        )
        return _finish(operation, attempt, status=DeliveryStatus.WAITING, last_error=reason[:500])


# --- What a person decides ---


class NotOpen(Exception):  # noqa: N818 - says the state, as the changes' exceptions do
    """The operation was delivered or skipped already, or is being sent now."""


def _by_hand(operation: OutgoingOperation, **values: Any) -> None:
    changed = OutgoingOperation.objects.filter(
        pk=operation.pk, status__in=(DeliveryStatus.WAITING, DeliveryStatus.REFUSED)
    ).update(**values)
    if not changed:
        operation.refresh_from_db()
        raise NotOpen(f"{operation} is {operation.status} now: nothing was changed.")
    operation.refresh_from_db()


def retry_now(operation: OutgoingOperation) -> None:
    """Sends a waiting or refused operation as soon as it is its turn, with a fresh retry schedule."""
    with transaction.atomic():
        _by_hand(operation, status=DeliveryStatus.WAITING, tries=0, next_try_at=timezone.now())
        wake_on_commit()


def skip(operation: OutgoingOperation, user: Any, reason: str) -> None:
    """Gives up an operation for good, which frees those behind it. Raises ValueError without a reason."""
    if not reason.strip():
        raise ValueError("Give a reason for skipping.")
    with transaction.atomic():
        _by_hand(
            operation,
            status=DeliveryStatus.SKIPPED,
            skipped_by=user,
            skip_reason=reason.strip()[:500],
            settled_at=timezone.now(),
        )
        wake_on_commit()


def waiting_behind(operation: OutgoingOperation) -> QuerySet[OutgoingOperation]:
    """What waits for the same change and system behind this one, in order."""
    return (
        OutgoingOperation.objects.filter(
            change=operation.change_id, system=operation.system_id, sequence__gt=operation.sequence
        )
        .exclude(status__in=SETTLED)
        .order_by("sequence")
    )


def unsettled(system: ExternalSystem) -> QuerySet[OutgoingOperation]:
    """What waits for a system, oldest first."""
    return system.outgoing_operations.exclude(status__in=SETTLED).order_by("created_at", "id")


def skip_all(operations: Iterable[OutgoingOperation], user: Any, reason: str) -> int:
    """Skips those that are still open, with one reason. Returns how many."""
    skipped = 0
    with transaction.atomic():
        for operation in operations:
            try:
                skip(operation, user, reason)
            except NotOpen:
                continue
            skipped += 1
    return skipped


def resume(system: ExternalSystem) -> None:
    """Lets a paused system flow again, what waits first."""
    system.paused_at, system.pause_reason = None, ""
    with transaction.atomic():
        system.save(update_fields=["paused_at", "pause_reason"])
        wake_on_commit()


# --- Sending ---


def message(operation: OutgoingOperation) -> dict[str, Any]:
    """The operation as the partner receives it: as recorded, with the external reference as it is now."""
    reference = (
        ExternalReference.objects.select_related("system")
        .filter(change=operation.change_id, system=operation.system_id)
        .first()
    )
    payload = operation.payload
    return {
        "id": str(operation.pk),
        "operation": operation.operation,
        "system_id": operation.system.system_id,
        "sequence": operation.sequence,
        "created_at": timestamp(operation.created_at),
        "origin": operation.cause.origin if operation.cause else None,
        "change": payload["change"],
        "changed_fields": payload["changed_fields"],
        "external_reference": payloads.reference_snapshot(reference) if reference else None,
        "comment": payload["comment"],
        "attachment": payload["attachment"],
    }
