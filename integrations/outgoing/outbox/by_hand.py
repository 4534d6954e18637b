"""What a person decides: retry or skip an operation, resume a paused system, open or close its circuit breaker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from changes.actor import Actor
from changes.security_log.recording import Subject, record
from changes.validators import is_blank
from integrations.choices import COLLECTING, DeliveryStatus
from integrations.models import (
    Acknowledgement,
    ConnectionPoll,
    DeliveryControl,
    Exchange,
    ExternalSystem,
    OutgoingOperation,
)
from integrations.outgoing import flow_control

from .recording import wake_on_commit
from .settling import OPEN_BY_HAND, promote

# Operations that the security log names one by one; of more it has the number.
NAMED = 5
# What a partner has collected can be skipped: it may collect and never acknowledge it.
SKIPPABLE = Q(status__in=OPEN_BY_HAND) | Q(status=DeliveryStatus.SENDING, system__delivery__in=COLLECTING)


class NotOpen(Exception):  # noqa: N818 - says the state, as the changes' exceptions do
    """The operation cannot be retried or skipped: it was delivered or skipped already, or is with the partner now."""


def retry_now(operation: OutgoingOperation, is_one_of_many: bool = False, forgets_steps: bool = False) -> None:
    """Makes a waiting or refused operation due now, with a fresh retry schedule. It is sent once it is next.

    `forgets_steps`: that of a mapped system begins at its first step again, even if steps have succeeded.
    `is_one_of_many`: the security log has an event for all of them together. Raises NotOpen, also for one that waits
    for a partner that collects: nobody here can send it.
    """
    if operation.status == DeliveryStatus.WAITING and operation.system.collects:
        values = {"operation": operation, "system": operation.system}
        raise NotOpen(_("%(operation)s waits for %(system)s to collect it: nothing was changed.") % values)
    with transaction.atomic():
        changed = OutgoingOperation.objects.filter(pk=operation.pk, status__in=OPEN_BY_HAND).update(
            status=DeliveryStatus.WAITING,
            tries=0,
            next_try_at=timezone.now(),
            **({"done_steps": None} if forgets_steps else {}),
        )
        operation.refresh_from_db()
        if not changed:
            raise _not_open(operation)
        # What was known of it is over: if it waits long again, that is news.
        Acknowledgement.objects.filter(outgoing=operation.pk).delete()
        if not is_one_of_many:
            record("operation_retried", Subject.of(operation, _named(operation)))
        wake_on_commit()


def skip(operation: OutgoingOperation, user: Any, reason: str) -> None:
    """Gives up an operation for good, which frees those behind it. Raises NotOpen, or ValueError without a reason."""
    skipped = skip_all([operation], user, reason)
    operation.refresh_from_db()
    if not skipped:
        raise _not_open(operation)


def _not_open(operation: OutgoingOperation) -> NotOpen:
    values = {"operation": operation, "status": operation.get_status_display()}
    return NotOpen(_("%(operation)s is %(status)s now: nothing was changed.") % values)


def skip_all(operations: Iterable[OutgoingOperation], user: Any, reason: str) -> int:
    """Skips those that still wait or are refused, with one reason. Returns how many.

    Raises ValueError without a reason.
    """
    if is_blank(reason):
        raise ValueError("Give a reason for skipping.")
    by_key = {operation.pk: operation.exchange_id for operation in operations}
    with transaction.atomic():
        exchanges = Exchange.objects.filter(pk__in={*by_key.values()}).order_by("pk").select_for_update(no_key=True)
        locked = list(exchanges.values_list("pk", flat=True))
        still_open = OutgoingOperation.objects.filter(SKIPPABLE, pk__in=by_key).defer("payload")
        first = list(still_open.select_related("change", "system").order_by("created_at", "id")[:NAMED])
        skipped = OutgoingOperation.objects.filter(SKIPPABLE, pk__in=by_key).update(
            status=DeliveryStatus.SKIPPED,
            is_next=False,
            claimed_until=None,
            skipped_by=user,
            skip_reason=reason.strip()[:500],
            settled_at=timezone.now(),
        )
        if skipped:
            promote(locked)
            systems = ", ".join(sorted({operation.system.system_id for operation in first}))
            more = [f"… (+{skipped - len(first)})"] if skipped > len(first) else []
            named = ", ".join([*map(_named, first), *more])
            details = {"operations": named, "count": skipped, "reason": reason.strip()}
            record("operations_skipped", Subject("integrations.externalsystem", "", systems), details, Actor(user))
            wake_on_commit()
    return skipped


def _named(operation: OutgoingOperation) -> str:
    """The operation in the security log, as in `Assign 1 to ACME (CHG0000012)`."""
    return f"{operation.operation} {operation.sequence} to {operation.system} ({operation.change.number})"


def waiting_behind(operation: OutgoingOperation) -> QuerySet[OutgoingOperation]:
    """The operations for the same change and system that wait behind this one, in order."""
    return (
        OutgoingOperation.objects.unsettled()
        .filter(exchange=operation.exchange_id, sequence__gt=operation.sequence)
        .order_by("sequence")
    )


def unsettled(system: ExternalSystem) -> QuerySet[OutgoingOperation]:
    """The operations for this system that are neither delivered nor skipped, oldest first."""
    return OutgoingOperation.objects.unsettled().filter(system=system).order_by("created_at", "id")


def resume(system: ExternalSystem) -> None:
    """Ends the pause of a system: its waiting operations are sent again, and it is polled at once."""
    system.paused_at, system.pause_status = None, None
    with transaction.atomic():
        ConnectionPoll.objects.filter(system=system).update(due_at=timezone.now())
        system.save(update_fields=["paused_at", "pause_status"])
        wake_on_commit()


def open_breaker(system: ExternalSystem, reason: str) -> None:
    """Opens a system's circuit breaker until a person closes it. Requests that are under way go on.

    Raises ValueError without a reason.
    """
    if is_blank(reason):
        raise ValueError("Give a reason for opening the circuit breaker.")
    with transaction.atomic():
        control = _locked_control(system)
        flow_control.open_by_hand(control, reason.strip(), timezone.now())
        control.save()
        record("breaker_opened", Subject.of(system), {"reason": reason.strip()})


def close_breaker(system: ExternalSystem) -> None:
    """Closes a system's circuit breaker at once, without a probe."""
    with transaction.atomic():
        control = _locked_control(system)
        flow_control.close(control)
        control.save()
        record("breaker_closed", Subject.of(system))
        wake_on_commit()


def _locked_control(system: ExternalSystem) -> DeliveryControl:
    return DeliveryControl.objects.select_for_update(no_key=True).get(pk=system.pk)
