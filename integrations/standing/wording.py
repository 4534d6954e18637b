"""The state of the exchange in plain words, for a person at three in the morning. Pure: no database, no clock.

Whole sentences, in the language of the page. What is stored of an error stays as it was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.choices import SETTLED, Breaker, Delivery, DeliveryStatus, IncomingStatus, Operation

if TYPE_CHECKING:
    from integrations.models import DeliveryControl, ExternalSystem, IncomingOperation, OutgoingOperation
    from integrations.rules import ExchangeState

# The tone picks a colour and a sign; the words say all.
OK, WAIT, BAD, BUSY, IDLE = "ok", "wait", "bad", "busy", "idle"


@dataclass(frozen=True)
class State:
    """`short` fits a table; `detail` says why; `next_try_at` when it is tried again, where that is known."""

    tone: str
    short: str
    detail: str = ""
    next_try_at: datetime | None = None


# --- A system ---


def system_state(system: ExternalSystem, now: datetime) -> State:
    """Whether operations flow to this system. Reads its `control`, which the callers select with it."""
    names = {"system": system}
    if not system.enabled:
        detail = _("%(system)s is disabled: operations are recorded and wait until it is enabled.") % names
        return State(BAD, _("Disabled"), detail)
    if system.paused_at is not None:
        reason = system.pause_reason or _("%(system)s takes no calls of ours") % names
        detail = _("Sending is paused: %(reason)s. Operations wait until an administrator resumes it.")
        return State(BAD, _("Paused"), detail % {"reason": reason.rstrip(".")})
    if system.delivery == Delivery.PULL:
        return State(OK, _("Collects"), _("%(system)s collects its operations itself.") % names)
    # A system that was made without save() gets its row a little later.
    control: DeliveryControl | None = getattr(system, "control", None)
    if control is not None and control.breaker != Breaker.CLOSED:
        return _held_back(system, control, now)
    return State(OK, _("Flowing"), _("Operations are sent to %(system)s.") % names)


def _held_back(system: ExternalSystem, control: DeliveryControl, now: datetime) -> State:
    """What a circuit breaker that is not closed means."""
    until = control.breaker_until
    names = {"system": system, "reason": sentence(control.breaker_reason)}
    if control.breaker == Breaker.HALF_OPEN:
        probing = _("%(reason)s One operation is being sent to %(system)s as a probe; the others wait for it.")
        return State(WAIT, _("Circuit breaker half-open"), probing % names)
    if until is None:
        opened = _(
            "Somebody opened the circuit breaker of %(system)s: %(reason)s Nothing is sent until an administrator "
            "closes it."
        )
        return State(BAD, _("Circuit breaker open"), opened % names)
    if until <= now:
        due = _("%(reason)s The next operation for %(system)s that is due is sent as a probe; the others wait for it.")
        return State(BAD, _("Circuit breaker open"), due % names)
    waiting = _("%(reason)s Nothing is sent to %(system)s until one operation gets through as a probe.")
    return State(BAD, _("Circuit breaker open"), waiting % names, until)


# --- An operation ---


def outgoing_state(operation: OutgoingOperation, now: datetime, blocker: str = "") -> State:
    """The state of one operation. `blocker` names the unsettled one before it, as in `Assign 1`."""
    status = operation.status
    if status == DeliveryStatus.DELIVERED:
        return State(OK, _("Delivered"), "")
    if status == DeliveryStatus.SKIPPED:
        if operation.skipped_by_id:
            by = {"user": operation.skipped_by, "reason": operation.skip_reason}
            return State(IDLE, _("Skipped"), _("Skipped by %(user)s: %(reason)s") % by)
        return State(IDLE, _("Skipped"), _("Skipped: %(reason)s") % {"reason": operation.skip_reason})
    if status == DeliveryStatus.REFUSED:
        refused = _("%(error)s It is not tried again until somebody does.")
        return State(BAD, _("Refused"), refused % {"error": sentence(operation.last_error)})
    if status == DeliveryStatus.SENDING:
        return State(BUSY, _("Sending"), _("It is being sent now."))
    return _waiting(operation, now, blocker)


def _waiting(operation: OutgoingOperation, now: datetime, blocker: str) -> State:
    system, short = operation.system, _("Waiting")
    if not system.is_flowing:
        return State(WAIT, short, system_state(system, now).detail)
    if blocker:
        behind = _("It waits behind %(operation)s, which must be delivered or skipped first.")
        return State(WAIT, short, behind % {"operation": blocker})
    if system.delivery == Delivery.PULL:
        return State(WAIT, short, _("It waits for %(system)s to collect it.") % {"system": system})
    held = system_state(system, now)
    if held.tone != OK:
        return _waiting_for_breaker(operation, held, now)
    if operation.next_try_at <= now:
        return State(WAIT, short, _("It is due now, and sent as soon as a worker is free."))
    error = sentence(operation.last_error)
    if not operation.tries:
        return State(WAIT, short, _("To be sent again %(error)s") % {"error": error}, operation.next_try_at)
    again = ngettext(
        "To be sent again after %(count)s failed try: %(error)s",
        "To be sent again after %(count)s failed tries: %(error)s",
        operation.tries,
    )
    return State(WAIT, short, again % {"count": operation.tries, "error": error}, operation.next_try_at)


def _waiting_for_breaker(operation: OutgoingOperation, held: State, now: datetime) -> State:
    """It is tried when both its own time and the circuit breaker's have come; nobody knows when a person closes it."""
    moments = [moment for moment in (held.next_try_at, operation.next_try_at) if moment and moment > now]
    is_by_hand = operation.system.control.breaker == Breaker.OPEN and operation.system.control.breaker_until is None
    return State(WAIT, _("Waiting"), held.detail, None if is_by_hand else max(moments, default=None))


def incoming_state(status: str, error: str) -> State:
    if status == IncomingStatus.APPLIED:
        return State(OK, _("Applied"))
    if status == IncomingStatus.IGNORED:
        return State(IDLE, _("Ignored"), _("It began here or came before: nothing was changed."))
    return State(BAD, _("Failed"), error)


def pair_state(statuses: set[str], is_rejected: bool) -> State:
    """How the exchange with one system stands, for a list: what needs a person comes first."""
    if DeliveryStatus.REFUSED in statuses:
        return State(BAD, _("refused"))
    if is_rejected:
        return State(BAD, _("rejected"))
    if statuses - {*SETTLED}:
        return State(WAIT, _("waiting"))
    if DeliveryStatus.DELIVERED in statuses:
        return State(OK, _("delivered"))
    return State(IDLE, _("linked"))


# --- How a change stands with one partner ---


def standing(system: str, group: Any, exchange: ExchangeState) -> State:
    """In a word and a sentence. `group`: the owning group where it is one of the partner's, else None."""
    names = {"system": system, "group": group}
    if exchange.is_rejected:
        return State(BAD, _("Rejected"), _("%(system)s rejected this change.") % names)
    if exchange.is_cancelled:
        return State(IDLE, _("Cancelled"), _("%(system)s was told that this change is cancelled.") % names)
    if group is not None:
        return State(OK, _("Holds it"), _("%(system)s holds this change, through %(group)s.") % names)
    linked = _("%(system)s is linked: it is told of public comments, attachments and Cancel.")
    return State(IDLE, _("Linked"), linked % names)


def needs_another_group(system: str, group: Any) -> State:
    detail = _(
        "%(system)s rejected this change, but %(group)s still owns it, and nothing more is sent. "
        "Give the change to another group."
    )
    return State(BAD, _("Needs another group"), detail % {"system": system, "group": group})


def cancelled_there(system: str) -> State:
    detail = _(
        "%(system)s was told Cancel, and still holds the change for cancelled. Clearing Withdrawn sends nothing, "
        "and no Update follows a Cancel. To begin anew, take the change back and give it to %(system)s again."
    )
    return State(WAIT, _("Cancelled there"), detail % {"system": system})


def failed_here(system: str, operation: IncomingOperation) -> State:
    names = {"system": system, "operation": operation.operation, "error": sentence(operation.error)}
    short = _("%(operation)s of %(system)s failed here") % names
    detail = _("%(error)s Nothing of it was kept, and %(system)s was told so.") % names
    return State(BAD, short, detail)


def on_the_way(operation: OutgoingOperation, state: State, behind: int, now: datetime) -> State:
    """What is stuck or on its way to one partner: the head of the queue speaks for those behind it."""
    names = {"operation": f"{operation.operation} {operation.sequence}"}
    more = ngettext("%(count)s more waits behind it.", "%(count)s more wait behind it.", behind) % {"count": behind}
    detail = f"{state.detail} {more}" if behind else state.detail
    if operation.status == DeliveryStatus.REFUSED:
        return State(BAD, _("%(operation)s was refused") % names, detail)
    if operation.status == DeliveryStatus.SENDING:
        short = _("%(operation)s is being sent")
    elif system_state(operation.system, now).tone != OK:
        short = _("%(operation)s waits")
    elif operation.tries:
        short = _("%(operation)s is delayed")
    else:
        short = _("%(operation)s is on its way")
    return State(state.tone, short % names, detail, state.next_try_at)


# --- What would be sent, and what would not ---


def purpose(operation: str, system: str, is_attachment: bool = False) -> str:
    """What an operation means to the partner that gets it."""
    names = {"system": system}
    if operation == Operation.ASSIGN:
        return _("%(system)s is given the change.") % names
    if operation == Operation.ACCEPT:
        return _("%(system)s is told that the change is taken back.") % names
    if operation == Operation.CANCEL:
        return _("%(system)s is told that the change is withdrawn.") % names
    if is_attachment:
        return _("%(system)s is told of the file.") % names
    return _("%(system)s gets the comment.") % names


def planned_state(system: ExternalSystem, now: datetime, head: str, is_refused: bool) -> State:
    """When an operation that would be recorded now would go. `head` names the one that it would wait behind."""
    flow = system_state(system, now)
    names = {"system": system, "operation": head}
    if flow.tone != OK:
        return State(WAIT, _("Would wait"), flow.detail, flow.next_try_at)
    if is_refused:
        behind = _("It would wait behind %(operation)s, which was refused: a person must retry or skip that first.")
        return State(BAD, _("Would wait"), behind % names)
    if system.delivery == Delivery.PULL:
        return State(OK, _("Collected"), flow.detail)
    if head:
        return State(WAIT, _("Next in turn"), _("It would go right after %(operation)s is delivered.") % names)
    return State(OK, _("Goes at once"), _("Operations flow to %(system)s: it would go at once.") % names)


def unsaid_rejected(system: str, holds: bool) -> str:
    names = {"system": system}
    if holds:
        return _("%(system)s rejected this change: nothing is sent there. Give the change to another group.") % names
    return _("%(system)s rejected this change: nothing is sent there until it is given to it again.") % names


def unsaid_after_cancel(system: str) -> str:
    told = _("%(system)s was told Cancel: no Update follows. To begin anew, take the change back and give it again.")
    return told % {"system": system}


def unsaid_cancelled(system: str) -> str:
    return _("%(system)s was told Cancel already: it hears nothing more until the change is given to it again.") % {
        "system": system
    }


def unsaid_clearing(system: str) -> str:
    told = _("Clearing Withdrawn sends nothing: %(system)s still holds the change for cancelled.")
    return told % {"system": system}


def unsaid_same_system(system: str) -> str:
    told = _("Both groups are those of %(system)s: it is not told that another of its groups owns the change.")
    return told % {"system": system}


def unsaid_fields(system: str) -> str:
    told = _("%(system)s is not told of these fields now: it gets their values with the next operation.")
    return told % {"system": system}


def transition_sends(recipients: Sequence[str]) -> str:
    if not recipients:
        return _("A move to another phase sends nothing.")
    told = _("A move to another phase sends nothing by itself: %(systems)s learn the phase with the next operation.")
    if len(recipients) == 1:
        told = _(
            "A move to another phase sends nothing by itself: %(systems)s learns the phase with the next operation."
        )
    return told % {"systems": get_text_list(list(recipients), _("and"))}


def private_stays() -> str:
    return _("A private comment stays on this desk: it is in no operation, and no partner ever sees it.")


def not_sent_along() -> str:
    return _("Stays here: private comments, approvals and the history. Earlier comments and files are not sent again.")


def sentence(text: str) -> str:
    text = text.strip()
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""
