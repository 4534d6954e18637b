"""The states of operations and exchanges in plain words, for a tired person. Pure: no database, no clock.

The texts are whole sentences in the language of the page. Stored error texts are shown unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.exceptions import in_words
from changes.texts.isolation import apart
from integrations.choices import Delivery, DeliveryStatus, Failure, IncomingStatus, Operation
from integrations.rules import REJECTED_SINCE

from .failures import given_up, last_failure
from .flow import Condition, Flow, flow_of
from .state import BAD, BUSY, IDLE, OK, WAIT, State, sentence

if TYPE_CHECKING:
    from changes.models import SupportGroup
    from integrations.models import DeliveryAttempt, ExternalSystem, IncomingOperation, OutgoingOperation
    from integrations.rules import ExchangeState

# Why an operation that was handed out was not taken.
HANDING_OUT_FAILED = (Failure.NOT_ACKNOWLEDGED, Failure.REFUSED)

# --- An operation ---


def outgoing_state(operation: OutgoingOperation, now: datetime, blocker: str = "") -> State:
    """The state of one operation. `blocker`: the unsettled one before it, such as `Assign 1`; "" if none."""
    status = operation.status
    if status == DeliveryStatus.DELIVERED:
        return State(OK, _("Delivered"), "")
    if status == DeliveryStatus.SKIPPED:
        if operation.skipped_by_id:
            by = {"user": operation.skipped_by, "reason": apart(operation.skip_reason)}
            return State(IDLE, _("Skipped"), _("Skipped by %(user)s: %(reason)s") % by)
        if operation.skip_reason == REJECTED_SINCE:
            return State(IDLE, _("Skipped"), _("Skipped: The partner rejected the change before it was sent."))
        return State(IDLE, _("Skipped"), _("Skipped: %(reason)s") % {"reason": apart(operation.skip_reason)})
    if status == DeliveryStatus.REFUSED:
        why = [last_failure(operation), given_up(operation), _("It will not be retried automatically.")]
        return State(BAD, _("Refused"), " ".join(filter(None, why)))
    if status == DeliveryStatus.SENDING and operation.system.collects:
        return _handed_out(operation, flow_of(operation.system, now))
    if status == DeliveryStatus.SENDING:
        return State(BUSY, _("Sending"), _("It is being sent now."))
    return _waiting(operation, now, blocker)


def _waiting(operation: OutgoingOperation, now: datetime, blocker: str) -> State:
    system, short = operation.system, _("Waiting")
    flow = flow_of(system, now)
    if flow.is_stopped:
        return State(WAIT, short, flow.detail)
    if blocker and system.collects and operation.handed_out_at is None:
        behind = _("%(system)s collects it after %(operation)s.")
        return State(WAIT, short, behind % {"system": system, "operation": blocker})
    if blocker and not system.collects:
        behind = _("It waits behind %(operation)s, which must be delivered or skipped first.")
        return State(WAIT, short, behind % {"operation": blocker})
    if system.collects:
        return _to_be_collected(operation, flow)
    if flow.is_holding:
        return _held(operation, flow, now)
    if operation.next_try_at <= now:
        return State(WAIT, short, _("It is due now, and sent as soon as a worker is free."))
    error = last_failure(operation)
    if not operation.tries:
        return State(WAIT, short, _("To be sent again. %(error)s") % {"error": error}, operation.next_try_at)
    again = ngettext(
        "To be sent again after %(count)s failed try. %(error)s",
        "To be sent again after %(count)s failed tries. %(error)s",
        operation.tries,
    )
    return State(WAIT, short, again % {"count": operation.tries, "error": error}, operation.next_try_at)


def _to_be_collected(operation: OutgoingOperation, flow: Flow) -> State:
    """The state of a waiting operation that its partner can have at any time."""
    names = {"system": operation.system}
    if operation.handed_out_at is not None and operation.system.delivery == Delivery.SMAX:
        return _handed_out(operation, flow)
    if operation.last_failure == Failure.NOT_ACKNOWLEDGED:
        again = _("%(system)s collected it, but did not acknowledge it in time. It gets it again when it asks.")
        return State(WAIT, _("Waiting"), again % names)
    told = _("It waits for %(system)s to collect it.") % names
    return State(WAIT, _("Waiting"), told if flow.is_well else f"{told} {flow.detail}")


def _handed_out(operation: OutgoingOperation, flow: Flow) -> State:
    """The state of an operation that its partner has got, as far as we know, and has not confirmed."""
    told = _to_confirm(operation) % {"system": operation.system}
    is_silent = flow.condition == Condition.UNCOLLECTED
    return State(BUSY, _("Handed out"), f"{told} {flow.detail}" if is_silent else told)


def _to_confirm(operation: OutgoingOperation) -> str:
    """A text with the placeholder `system`."""
    if operation.system.delivery == Delivery.PULL:
        return _("%(system)s has collected it, and has not acknowledged it yet. Without that it gets it again.")
    if operation.operation == Operation.ASSIGN:
        return _(
            "%(system)s has got it. It is delivered once %(system)s has named its record. Until then each poll has it."
        )
    return _(
        "%(system)s has got it. It is delivered once a later poll, or what %(system)s writes, shows that it has it."
    )


def _held(operation: OutgoingOperation, flow: Flow, now: datetime) -> State:
    """The state of an operation that the circuit breaker holds back.

    It is tried at its own time or the breaker's, whichever is later. No time is known if a person opened the breaker.
    """
    moments = [moment for moment in (flow.next_try_at, operation.next_try_at) if moment and moment > now]
    is_by_hand = flow.condition == Condition.HELD
    return State(WAIT, _("Waiting"), flow.detail, None if is_by_hand else max(moments, default=None))


def outcome(attempt: DeliveryAttempt) -> str:
    """What came of an attempt, in a few words. One to hand an operation out has no HTTP status."""
    if attempt.failure in HANDING_OUT_FAILED:
        return attempt.get_failure_display()
    if attempt.confirmation:
        return attempt.get_confirmation_display()
    return _("No answer") if attempt.http_status is None else str(attempt.http_status)


def incoming_state(operation: IncomingOperation) -> State:
    if operation.status == IncomingStatus.APPLIED:
        return State(OK, _("Applied"), apart(operation.note) if operation.note else "")
    if operation.status == IncomingStatus.IGNORED:
        return State(IDLE, _("Ignored"), _("This operation began here or was received before, so nothing was changed."))
    return State(BAD, _("Refused"), apart(_why_refused(operation)))


def _why_refused(operation: IncomingOperation) -> str:
    """In the language of the page if we can tell it there, else as the partner was answered."""
    return in_words(operation.refusal) if operation.refusal else operation.error


def trouble(is_refused: bool, is_late: bool) -> State | None:
    """What is wrong with the delivery to one system in a few words, for a list. None if nothing is."""
    if is_refused:
        return State(BAD, _("refused"))
    return State(WAIT, _("waiting for long")) if is_late else None


# --- How a change stands with one partner ---


def standing(system: str, group: SupportGroup | None, exchange: ExchangeState, *, is_untold: bool) -> State:
    """The state of a change with one partner. `group`: the owning group if it belongs to the partner, else None.

    `is_untold`: the partner's group owns the change, and the Assign that was to say so was skipped.
    """
    names = {"system": system, "group": apart(group)}
    if exchange.is_rejected:
        return State(BAD, _("Rejected"), _("%(system)s rejected this change.") % names)
    if exchange.is_cancelled:
        return State(IDLE, _("Cancelled"), _("%(system)s was told that this change is cancelled.") % names)
    if is_untold:
        untold = _(
            "%(operation)s was skipped, so %(system)s was not told that it holds this change. "
            "To hand it over, give it to another group, and then to %(group)s again."
        )
        assign = f"{Operation.ASSIGN.label} {exchange.assigned_sequence}"
        return State(BAD, _("Not handed over"), untold % {**names, "operation": assign})
    if group is not None:
        return State(OK, _("Holds it"), _("%(system)s holds this change, through %(group)s.") % names)
    linked = _("%(system)s is linked: it gets public comments, attachments and a Cancel.")
    return State(IDLE, _("Linked"), linked % names)


def needs_another_group(system: str, group: SupportGroup | None) -> State:
    detail = _(
        "%(system)s rejected this change, but %(group)s still owns it, and nothing more is sent. "
        "Give the change to another group."
    )
    return State(BAD, _("Rejected by partner: reassign"), detail % {"system": system, "group": apart(group)})


def cancelled_there(system: str) -> State:
    detail = _(
        "%(system)s got a Cancel, and still treats the change as cancelled. Clearing Withdrawn sends nothing, "
        "and no Update follows a Cancel. To start again, take the change back and give it to %(system)s again."
    )
    return State(WAIT, _("Cancelled there"), detail % {"system": system})


def failed_here(system: str, operation: IncomingOperation) -> State:
    names = {"system": system, "operation": operation.operation, "error": apart(sentence(_why_refused(operation)))}
    short = _("%(operation)s of %(system)s failed here") % names
    detail = _("%(error)s Nothing was saved, and %(system)s got this error as the answer.") % names
    return State(BAD, short, detail)


def on_the_way(operation: OutgoingOperation, state: State, behind: int, now: datetime) -> State:
    """The state of a partner's queue: that of its first operation, with the number of those behind it."""
    names = {"operation": f"{operation.operation} {operation.sequence}"}
    more = ngettext("%(count)s more waits behind it.", "%(count)s more wait behind it.", behind) % {"count": behind}
    detail = f"{state.detail} {more}" if behind else state.detail
    if operation.status == DeliveryStatus.REFUSED:
        return State(BAD, _("%(operation)s was refused") % names, detail)
    if operation.system.collects:
        short = _("%(operation)s was handed out") if state.tone == BUSY else _("%(operation)s waits")
    elif operation.status == DeliveryStatus.SENDING:
        short = _("%(operation)s is being sent")
    elif flow_of(operation.system, now).is_holding:
        short = _("%(operation)s waits")
    elif operation.tries:
        short = _("%(operation)s is delayed")
    else:
        short = _("%(operation)s is on its way")
    return State(state.tone, short % names, detail, state.next_try_at)


# --- What would be sent, and what would not ---


def purpose(operation: str, system: str, is_attachment: bool = False) -> str:
    """A sentence on what an operation tells the partner."""
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
    """When an operation that is recorded now would be sent.

    `head`: the name of the first unsettled operation, which it would wait behind; "" if none. `is_refused`: whether
    that one was refused.
    """
    flow = flow_of(system, now)
    names = {"system": system, "operation": head}
    if flow.is_holding:
        return State(WAIT, _("Would wait"), flow.detail, flow.next_try_at)
    if is_refused:
        behind = _("It would wait behind %(operation)s, which was refused: a person must retry or skip that first.")
        return State(BAD, _("Would wait"), behind % names)
    if system.collects:
        told = _("%(system)s would collect it.") % names
        return (
            State(OK, _("To be collected"), told)
            if flow.is_well
            else State(WAIT, _("Would wait"), f"{told} {flow.detail}")
        )
    if head:
        return State(WAIT, _("Next in turn"), _("It would go right after %(operation)s is delivered.") % names)
    if flow.condition == Condition.FAILING:
        return State(WAIT, _("Goes at once"), flow.detail)
    return State(OK, _("Goes at once"), _("It would be sent to %(system)s at once.") % names)


def unsaid_rejected(system: str, holds: bool) -> str:
    names = {"system": system}
    if holds:
        return _("%(system)s rejected this change: nothing is sent there. Give the change to another group.") % names
    return _("%(system)s rejected this change: nothing is sent there until it is given to it again.") % names


def unsaid_after_cancel(system: str) -> str:
    told = _("%(system)s got a Cancel: no Update follows. To start again, take the change back and give it again.")
    return told % {"system": system}


def unsaid_cancelled(system: str) -> str:
    return _("%(system)s already got a Cancel, and gets nothing more until the change is given to it again.") % {
        "system": system
    }


def unsaid_clearing(system: str) -> str:
    told = _("Clearing Withdrawn sends nothing, so %(system)s still treats the change as cancelled.")
    return told % {"system": system}


def unsaid_same_system(system: str) -> str:
    told = _("Both groups belong to %(system)s, so it is not told that another of its groups owns the change.")
    return told % {"system": system}


def unsaid_fields(system: str) -> str:
    told = _("These fields are not sent to %(system)s now. It gets their values with the next operation.")
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
    return _("A private comment stays on this desk. No operation contains it, and no partner ever sees it.")


def not_sent_along() -> str:
    return _("Stays here: private comments, approvals and the history. Earlier comments and files are not sent again.")
