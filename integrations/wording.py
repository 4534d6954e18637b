"""The state of the exchange in plain words, for a person at three in the morning. Pure: no database, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .choices import SETTLED, Breaker, Delivery, DeliveryStatus, IncomingStatus

if TYPE_CHECKING:
    from .models import DeliveryControl, ExternalSystem, OutgoingOperation

# The tone picks a colour and a sign; the words say all.
OK, WAIT, BAD, BUSY, IDLE = "ok", "wait", "bad", "busy", "idle"


@dataclass(frozen=True)
class State:
    """`short` fits a table; `detail` says why; `next_try_at` when it is tried again, where that is known."""

    tone: str
    short: str
    detail: str = ""
    next_try_at: datetime | None = None


def system_state(system: ExternalSystem, now: datetime) -> State:
    """Whether operations flow to this system. Reads its `control`, which the callers select with it."""
    if not system.enabled:
        return State(BAD, "Disabled", f"{system} is disabled: operations are recorded and wait until it is enabled.")
    if system.paused_at is not None:
        reason = system.pause_reason or f"{system} takes no calls of ours"
        return State(BAD, "Paused", f"Sending is paused: {reason}. Operations wait until an administrator resumes it.")
    if system.delivery == Delivery.PULL:
        return State(OK, "Collects", f"{system} collects its operations itself.")
    # A system that was made without save() gets its row a little later.
    control: DeliveryControl | None = getattr(system, "control", None)
    if control is not None and control.breaker != Breaker.CLOSED:
        return _held_back(system, control, now)
    return State(OK, "Flowing", f"Operations are sent to {system}.")


def _held_back(system: ExternalSystem, control: DeliveryControl, now: datetime) -> State:
    """What a circuit breaker that is not closed means."""
    reason, until = _sentence(control.breaker_reason), control.breaker_until
    if control.breaker == Breaker.HALF_OPEN:
        probing = f"One operation is being sent to {system} as a probe; the others wait for it."
        return State(WAIT, "Circuit breaker half-open", f"{reason} {probing}")
    if until is None:
        opened = f"Somebody opened the circuit breaker of {system}: {reason}"
        return State(BAD, "Circuit breaker open", f"{opened} Nothing is sent until an administrator closes it.")
    waiting = f"Nothing is sent to {system} until one operation gets through as a probe."
    if until <= now:
        waiting = f"The next operation for {system} that is due is sent as a probe; the others wait for it."
    return State(BAD, "Circuit breaker open", f"{reason} {waiting}", until if until > now else None)


def outgoing_state(operation: OutgoingOperation, now: datetime, blocker: str = "") -> State:
    """The state of one operation. `blocker` names the unsettled one before it, as in `Assign 1`."""
    status = operation.status
    if status == DeliveryStatus.DELIVERED:
        return State(OK, "Delivered", "")
    if status == DeliveryStatus.SKIPPED:
        by = f" by {operation.skipped_by}" if operation.skipped_by_id else ""
        return State(IDLE, "Skipped", f"Skipped{by}: {operation.skip_reason}")
    if status == DeliveryStatus.REFUSED:
        return State(BAD, "Refused", f"{_sentence(operation.last_error)} It is not tried again until somebody does.")
    if status == DeliveryStatus.SENDING:
        return State(BUSY, "Sending", "It is being sent now.")
    return _waiting(operation, now, blocker)


def _waiting(operation: OutgoingOperation, now: datetime, blocker: str) -> State:
    system = operation.system
    if not system.is_flowing:
        return State(WAIT, "Waiting", system_state(system, now).detail)
    if blocker:
        return State(WAIT, "Waiting", f"It waits behind {blocker}, which must be delivered or skipped first.")
    if system.delivery == Delivery.PULL:
        return State(WAIT, "Waiting", f"It waits for {system} to collect it.")
    held = system_state(system, now)
    if held.tone != OK:
        return _waiting_for_breaker(operation, held, now)
    if operation.next_try_at <= now:
        return State(WAIT, "Waiting", "It is due now, and sent as soon as a worker is free.")
    tries = f"after {operation.tries} failed {'try' if operation.tries == 1 else 'tries'}: " if operation.tries else ""
    return State(WAIT, "Waiting", f"To be sent again {tries}{_sentence(operation.last_error)}", operation.next_try_at)


def _waiting_for_breaker(operation: OutgoingOperation, held: State, now: datetime) -> State:
    """It is tried when both its own time and the circuit breaker's have come; nobody knows when a person closes it."""
    moments = [moment for moment in (held.next_try_at, operation.next_try_at) if moment and moment > now]
    is_by_hand = operation.system.control.breaker == Breaker.OPEN and operation.system.control.breaker_until is None
    return State(WAIT, "Waiting", held.detail, None if is_by_hand else max(moments, default=None))


def incoming_state(status: str, error: str) -> State:
    if status == IncomingStatus.APPLIED:
        return State(OK, "Applied")
    if status == IncomingStatus.IGNORED:
        return State(IDLE, "Ignored", "It began here or came before: nothing was changed.")
    return State(BAD, "Failed", error)


def pair_state(statuses: set[str], is_rejected: bool) -> State:
    """How the exchange with one system stands, for a list: what needs a person comes first."""
    if DeliveryStatus.REFUSED in statuses:
        return State(BAD, "refused")
    if is_rejected:
        return State(BAD, "rejected")
    if statuses - {*SETTLED}:
        return State(WAIT, "waiting")
    if DeliveryStatus.DELIVERED in statuses:
        return State(OK, "delivered")
    return State(IDLE, "linked")


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""
