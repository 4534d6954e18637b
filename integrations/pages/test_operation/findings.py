"""Explains what became of a test operation and what to do about it. Pure: no database, no clock.

The explanation is based on the latest try: the kind of its failure and the HTTP status of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.choices import Delivery, DeliveryStatus, Failure, Operation
from integrations.models import ExternalSystem, OutgoingOperation
from integrations.standing import failures
from integrations.standing.flow import Condition
from integrations.standing.state import BAD, BUSY, IDLE, OK, WAIT
from integrations.standing.status import SystemStatus


class Place(TextChoices):
    """Where a person can correct the problem. The page turns it into a link."""

    NONE = ""
    FORM = "form"
    START = "start"
    BREAKER = "breaker"
    CONNECT = "connect"


@dataclass(frozen=True)
class Finding:
    """`title`: the state. `mend`: what to do about it ("" if nothing), and `place`: where.

    `next_try_at`: when sending goes on by itself, None if it does not or if not known.
    """

    tone: str
    title: str
    mend: str = ""
    place: Place = Place.NONE
    next_try_at: datetime | None = None


def finding(operation: OutgoingOperation, status: SystemStatus, blocker: str, *, is_uncalled: bool = False) -> Finding:
    """The finding on one operation. `blocker`: the operation that it waits behind, such as `Assign 1`; "" if none.

    `is_uncalled`: it is delivered without a call, because the document of its system has no steps for it.
    """
    names = {"system": status.system_id, "operation": operation.operation}
    if is_uncalled:
        title = _("No call was made for the %(operation)s: the document has no steps for it.") % names
        mend = _("%(system)s does not hear of it: its record stays as it is. Add outgoing.%(operation)s if it should.")
        return Finding(WAIT, title, mend % names, Place.CONNECT)
    if operation.status == DeliveryStatus.DELIVERED:
        return Finding(OK, _("%(system)s has taken the %(operation)s.") % names)
    if operation.status == DeliveryStatus.SKIPPED:
        return Finding(IDLE, _("The %(operation)s was given up: %(system)s never gets it.") % names)
    if operation.status == DeliveryStatus.SENDING and status.is_called:
        return _sending(operation, status, names)
    if operation.status == DeliveryStatus.REFUSED:
        return _refused(operation, names)
    return (
        _held(operation, status, names, blocker)
        or _to_be_repeated(operation, status, names)
        or _due(operation, status, names)
    )


def _sending(operation: OutgoingOperation, status: SystemStatus, names: dict[str, str]) -> Finding:
    if operation.claimed_until is not None and operation.claimed_until < status.at:
        title = _("A worker took the %(operation)s but did not finish.") % names
        return Finding(WAIT, title, _("It is sent again as soon as another worker takes it over."))
    return Finding(BUSY, _("The %(operation)s is being sent now.") % names)


# --- Held back before it is tried ---


def _held(operation: OutgoingOperation, status: SystemStatus, names: dict[str, str], blocker: str) -> Finding | None:
    flow = status.flow
    if flow.condition == Condition.DISABLED:
        title = _("%(system)s is disabled: the %(operation)s waits.") % names
        return Finding(WAIT, title, _("Enable the system; then it is sent."), Place.START)
    if flow.condition == Condition.UNCONNECTED:
        return Finding(WAIT, flow.detail, _("Activate a document on the page of its connection."), Place.CONNECT)
    if flow.condition == Condition.PAUSED:
        return _paused(status.system, names)
    if blocker:
        values = names | {"blocker": blocker}
        return Finding(IDLE, _("The %(operation)s follows once %(blocker)s is delivered.") % values)
    if not status.is_called:
        return _to_be_collected(operation, status, names)
    return _held_by_breaker(operation, status)


def _to_be_collected(operation: OutgoingOperation, status: SystemStatus, names: dict[str, str]) -> Finding:
    is_with_partner = operation.status == DeliveryStatus.SENDING or status.system.delivery == Delivery.SMAX
    if operation.handed_out_at is not None and is_with_partner:
        title = _("%(system)s has collected the %(operation)s, and has not confirmed it yet.") % names
        return Finding(BUSY, title, _confirming(operation, status) % names, Place.CONNECT)
    if operation.last_failure == Failure.NOT_ACKNOWLEDGED:
        title = _("%(system)s collected the %(operation)s, but did not acknowledge it in time.") % names
        mend = _("Ask %(system)s to acknowledge each operation that it has taken. Until then it gets it again.") % names
        return Finding(BAD, title, mend, Place.CONNECT)
    title = _("The %(operation)s waits to be collected.") % names
    if status.flow.asked_at is None:
        return Finding(WAIT, title, never_asked(names), Place.CONNECT)
    if status.is_uncollected:
        return Finding(BAD, title, stopped_to_ask(names), Place.CONNECT)
    return Finding(WAIT, title, _("%(system)s fetches its operations itself, whenever the partner chooses.") % names)


def never_asked(names: dict[str, str]) -> str:
    return _("%(system)s has never asked. Its administrator must enter there what the page “Connect” shows.") % names


def stopped_to_ask(names: dict[str, str]) -> str:
    mend = _("%(system)s has stopped to ask, or to confirm: ask whether its side runs, and compare what it entered.")
    return mend % names


def _confirming(operation: OutgoingOperation, status: SystemStatus) -> str:
    """What is still missing. The text contains the placeholder %(system)s."""
    if status.system.delivery == Delivery.PULL:
        return _("%(system)s acknowledges it once it has it. Otherwise it gets it again after a minute or so.")
    if operation.operation == Operation.ASSIGN:
        return _("%(system)s must write its ExternalId for the record. Until then each poll has it.")
    return _("A later poll, or what %(system)s writes about the record, confirms it.")


def _paused(system: ExternalSystem, names: dict[str, str]) -> Finding:
    mend = mend_of_status(system.pause_status, names)
    if system.pause_status == 401 and system.delivery == Delivery.MAPPED:
        mend = _("The secrets of the connection are wrong, or no longer valid. Write them anew; that also resumes.")
    else:
        then = _("Then resume.")
        mend = f"{mend} {then}"
    title = _("%(cause)s Sending is paused.") % {"cause": failures.pause_cause(system)}
    return Finding(BAD, title, mend, Place.START)


def mend_of_status(status: int | None, names: dict[str, str]) -> str:
    """What to do about a status with which a partner pauses us."""
    mends = {
        401: _("Compare the signing secret with the one that %(system)s has, and the clock of this server."),
        403: _("Ask %(system)s to allow this server and this endpoint for us."),
        410: _("Ask %(system)s for its new address, and enter it as the endpoint URL."),
    }
    return mends.get(status or 0, _("Fix the cause.")) % names


def _held_by_breaker(operation: OutgoingOperation, status: SystemStatus) -> Finding | None:
    flow = status.flow
    if not flow.is_holding:
        return None
    if flow.condition == Condition.HELD:
        return Finding(BAD, flow.detail, _("The test is sent once somebody resumes it."), Place.BREAKER)
    if operation.is_next and operation.tries:
        return None  # the failure of its own try says more; see `_to_be_repeated`
    mend = _("One operation probes before the others are sent. To send at once, close the circuit breaker.")
    return Finding(WAIT, flow.detail, mend, Place.BREAKER, flow.next_try_at)


# --- Tried, and not taken ---


def _refused(operation: OutgoingOperation, names: dict[str, str]) -> Finding:
    status = operation.last_http_status
    if operation.last_failure == Failure.REFUSED:
        mend = _("Show the reason to %(system)s, and retry once the fault is fixed there.") % names
        return Finding(BAD, failures.last_failure(operation), mend)
    if operation.last_failure != Failure.STATUS or status is None:
        return no_answer(operation.system, operation.last_failure, operation.last_error, names)
    values = {**names, "status": str(status)}
    if status in (404, 405):
        return nothing_there(values)
    if status < 400:
        return elsewhere(values)
    title = _("%(system)s refuses the %(operation)s (%(status)s).")
    mend = _("The answer says why. Show it to %(system)s, and retry once the fault is fixed there.")
    return Finding(BAD, title % values, mend % values)


def no_answer(system: ExternalSystem, failure: str, error: str, names: dict[str, str]) -> Finding:
    """The finding if no answer came to a call, or none could be asked for."""
    mend, place = _mend(system, failure)
    return Finding(BAD, failures.failed_try(system, failure, None, error), mend % names, place)


def nothing_there(values: dict[str, str]) -> Finding:
    title = _("Nothing accepts operations at the address of %(system)s (%(status)s).")
    mend = _("Compare the endpoint URL with the one that %(system)s gave you.")
    return Finding(BAD, title % values, mend % values, Place.FORM)


def elsewhere(values: dict[str, str]) -> Finding:
    title = _("%(system)s sends us to another address (%(status)s), and redirects are not followed.")
    mend = _("Enter the final address as the endpoint URL.")
    return Finding(BAD, title % values, mend % values, Place.FORM)


def _to_be_repeated(operation: OutgoingOperation, status: SystemStatus, names: dict[str, str]) -> Finding | None:
    if not operation.tries:
        return None
    mend, place = _mend(operation.system, operation.last_failure)
    title = failures.last_failure(operation)
    if operation.last_http_status is not None:
        values = {**names, "status": str(operation.last_http_status)}
        title = _("%(system)s cannot take the %(operation)s now (%(status)s).") % values
    moments = [operation.next_try_at, status.breaker.until]
    next_try_at = max((moment for moment in moments if moment and moment > status.at), default=None)
    return Finding(BAD, title, mend % names, place, next_try_at)


def _mend(system: ExternalSystem, failure: str) -> tuple[str, Place]:
    """What to do about a failure, and where. The text contains the placeholder %(system)s."""
    if failure == Failure.STATUS:
        return _("The problem is at the desk of %(system)s. Nothing needs to be fixed here."), Place.NONE
    if failure == Failure.INTERNAL:
        return _("Show the log of the worker to an operator."), Place.NONE
    if system.delivery == Delivery.MAPPED and failure != Failure.ADDRESS_NOT_ALLOWED:
        told = _("The tries below show each call. Mend the document or the secrets of its connection, and retry.")
        return told, Place.CONNECT
    mends = {
        Failure.TIMEOUT: _(
            "Check the host and port of the endpoint URL, and whether a firewall between here and there drops the "
            "connection. If both are right, the desk of %(system)s is too slow."
        ),
        Failure.ADDRESS_NOT_ALLOWED: _(
            "If that address is right, an operator adds its network to OUTGOING_ALLOWED_NETWORKS."
        ),
        Failure.TLS: _("Its certificate is not valid for the endpoint URL, has run out, or is not trusted here."),
        Failure.NAME_RESOLUTION: _(
            "Check the spelling of the endpoint URL, and whether this server's name resolution works."
        ),
        Failure.CONNECTION_REFUSED: _(
            "Check the host and port of the endpoint URL, and whether the desk of %(system)s is running."
        ),
        Failure.SIGNING_SECRET: _(
            "The server's key was changed. Set the secret anew, or have an operator add the former key to "
            "FIELD_ENCRYPTION_KEYS."
        ),
    }
    other = _("Check the endpoint URL, and the network between here and there.")
    return mends.get(failure, other), Place.FORM  # type: ignore[call-overload]


# --- Due, and not tried yet ---


def _due(operation: OutgoingOperation, status: SystemStatus, names: dict[str, str]) -> Finding:
    due_for = status.at - operation.next_try_at
    if status.in_flight >= status.max_in_flight:
        title = _("All requests that %(system)s may have at a time are under way.") % names
        return Finding(WAIT, title, _("The test is sent as soon as one of them ends."))
    if due_for <= quiet_time():
        return Finding(BUSY, _("The %(operation)s is recorded. A worker takes it in a moment.") % names)
    if status.rate_limit and status.delivered_last_minute:
        values = {**names, "limit": status.rate_limit}
        title = _("The limit of %(limit)s operations a minute to %(system)s is used up.") % values
        return Finding(WAIT, title, _("The test is sent when it is its turn."))
    # In steps of five, so that a screen reader does not announce every second.
    seconds = int(due_for.total_seconds()) // 5 * 5
    title = ngettext(
        "Nobody has taken the %(operation)s for %(count)s second: no worker seems to run.",
        "Nobody has taken the %(operation)s for %(count)s seconds: no worker seems to run.",
        seconds,
    )
    mend = _("Have an operator start the worker and the scheduler (beat). What is recorded is sent then; none is lost.")
    return Finding(BAD, title % (names | {"count": str(seconds)}), mend)


def quiet_time() -> timedelta:
    """How long a due operation may normally wait for a worker: if its wake-up was lost, until the next sweep."""
    return timedelta(seconds=2 * settings.DISPATCH_INTERVAL + 2)
