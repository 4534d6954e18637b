"""What became of a test operation, in words, and what to mend. Pure: no database, no clock.

It reads what the latest try left behind: the status of the answer, or the error of a try that got none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.choices import DeliveryStatus
from integrations.models import DeliveryAttempt, OutgoingOperation
from integrations.outgoing.delivery import PAUSING
from integrations.standing import wording
from integrations.standing.status import SystemStatus


class Place(TextChoices):
    """Where a person mends it; the page makes a link of it."""

    NONE = ""
    FORM = "form"
    START = "start"
    BREAKER = "breaker"


@dataclass(frozen=True)
class Finding:
    """`title` says how it stands, `mend` what to do about it and `place` where. `next_try_at`: it goes on by itself."""

    tone: str
    title: str
    mend: str = ""
    place: Place = Place.NONE
    next_try_at: datetime | None = None


def finding(
    operation: OutgoingOperation, attempt: DeliveryAttempt | None, status: SystemStatus, blocker: str
) -> Finding:
    """`attempt`: the latest of the operation. `blocker` names what it waits behind, as in `Assign 1`."""
    names = {"system": status.system_id, "operation": operation.operation}
    if operation.status == DeliveryStatus.DELIVERED:
        return Finding(wording.OK, _("%(system)s has taken the %(operation)s.") % names)
    if operation.status == DeliveryStatus.SKIPPED:
        return Finding(wording.IDLE, _("The %(operation)s was given up: %(system)s never gets it.") % names)
    if operation.status == DeliveryStatus.SENDING:
        return _sending(operation, status, names)
    if operation.status == DeliveryStatus.REFUSED:
        return _refused(attempt, names)
    return (
        _held(operation, status, names, blocker)
        or _to_be_repeated(operation, attempt, status, names)
        or _due(operation, status, names)
    )


def _sending(operation: OutgoingOperation, status: SystemStatus, names: dict[str, str]) -> Finding:
    if operation.claimed_until is not None and operation.claimed_until < status.at:
        title = _("A worker took the %(operation)s and did not come to its end.") % names
        return Finding(wording.WAIT, title, _("It is sent again as soon as another worker takes it over."))
    return Finding(wording.BUSY, _("The %(operation)s is being sent now.") % names)


# --- Held back before it is tried ---


def _held(operation: OutgoingOperation, status: SystemStatus, names: dict[str, str], blocker: str) -> Finding | None:
    system = status.system
    if not system.enabled:
        title = _("%(system)s is disabled: the %(operation)s waits.") % names
        return Finding(wording.WAIT, title, _("Enable the system; then it is sent."), Place.START)
    if system.paused_at is not None:
        return _paused(system.pause_reason, names)
    if blocker:
        values = names | {"blocker": blocker}
        return Finding(wording.IDLE, _("The %(operation)s follows once %(blocker)s is delivered.") % values)
    if not status.is_called:
        title = _("The %(operation)s waits to be collected.") % names
        mend = _("%(system)s asks for its operations itself; when is up to the partner.") % names
        return Finding(wording.WAIT, title, mend)
    return _held_by_breaker(operation, status, names)


def _paused(reason: str, names: dict[str, str]) -> Finding:
    status = next((status for status in PAUSING if f"({status})" in reason), None)
    if status == 401:
        title = _("%(system)s does not accept our credential (401). Sending is paused.") % names
        mend = _(
            "Compare the signing secret with the one that %(system)s has, and the clock of this server. Then resume."
        )
    elif status == 403:
        title = _("%(system)s forbids our calls (403). Sending is paused.") % names
        mend = _("Ask %(system)s to allow this server and this endpoint for us. Then resume.")
    elif status == 410:
        title = _("%(system)s wants no more calls at this address (410). Sending is paused.") % names
        mend = _("Ask %(system)s for its new address, and put it in as the endpoint URL. Then resume.")
    else:
        title = _("Sending to %(system)s is paused: %(reason)s.") % (names | {"reason": reason.rstrip(".")})
        mend = _("Mend the cause. Then resume.")
    return Finding(wording.BAD, title, mend % names, Place.START)


def _held_by_breaker(operation: OutgoingOperation, status: SystemStatus, names: dict[str, str]) -> Finding | None:
    breaker = status.breaker
    if breaker.is_closed:
        return None
    values = names | {"reason": breaker.reason}
    if breaker.is_by_hand:
        title = _("Somebody opened the circuit breaker of %(system)s: %(reason)s.") % values
        return Finding(wording.BAD, title, _("The test is sent once somebody closes it."), Place.BREAKER)
    if operation.is_next and operation.tries:
        return None  # its own try says more
    title = _("The circuit breaker of %(system)s is open: %(reason)s.") % values
    mend = _("One operation probes before the others are sent. To send at once, close the circuit breaker.")
    until = breaker.until if breaker.until and breaker.until > status.at else None
    return Finding(wording.WAIT, title, mend, Place.BREAKER, until)


# --- Tried, and not taken ---


def _refused(attempt: DeliveryAttempt | None, names: dict[str, str]) -> Finding:
    status = attempt.http_status if attempt else None
    error = attempt.error if attempt else ""
    if status is None:
        title, mend, place = _without_answer(error)
        return Finding(wording.BAD, title % names, mend % names, place)
    values = {**names, "status": str(status)}
    if status in (404, 405):
        title = _("There is nothing that takes operations at the address of %(system)s (%(status)s).")
        mend = _("Compare the endpoint URL with the one that %(system)s gave you.")
    elif status < 400:
        title = _("%(system)s sends us to another address (%(status)s), and redirects are not followed.")
        mend = _("Put the final address in as the endpoint URL.")
    else:
        title = _("%(system)s refuses the %(operation)s (%(status)s).")
        mend = _("What it answered says why. Show it to %(system)s, and retry once it is mended there.")
        return Finding(wording.BAD, title % values, mend % values)
    return Finding(wording.BAD, title % values, mend % values, Place.FORM)


def _to_be_repeated(
    operation: OutgoingOperation, attempt: DeliveryAttempt | None, status: SystemStatus, names: dict[str, str]
) -> Finding | None:
    if attempt is None or not operation.tries:
        return None
    place = Place.NONE
    if attempt.http_status is None:
        title, mend, place = _without_answer(attempt.error)
        title, mend = title % names, mend % names
    else:
        values = {**names, "status": str(attempt.http_status)}
        title = _("%(system)s cannot take the %(operation)s now (%(status)s).") % values
        mend = _("The trouble is at the desk of %(system)s. Nothing is to be mended here.") % values
    moments = [operation.next_try_at, status.breaker.until]
    next_try_at = max((moment for moment in moments if moment and moment > status.at), default=None)
    return Finding(wording.BAD, title, mend, place, next_try_at)


def _without_answer(error: str) -> tuple[str, str, Place]:
    """What a try means that got no answer: a title and a mending, which name the system with a placeholder."""
    said = error.lower()
    if "no complete answer within" in said:
        title = _("%(system)s did not answer in time.")
        mend = _(
            "Check the host and port of the endpoint URL, and whether a firewall between here and there drops the "
            "connection. If both are right, the desk of %(system)s is too slow."
        )
    elif "outgoing_allowed_networks" in said:
        title = _("The address of %(system)s is in a network that this server may not reach.")
        mend = _("If that address is right, an operator adds its network to OUTGOING_ALLOWED_NETWORKS.")
    elif "certificate" in said or "ssl" in said:
        title = _("There is no secure connection to %(system)s.")
        mend = _("Its certificate is not valid for the endpoint URL, has run out, or is not trusted on this server.")
    elif any(part in said for part in ("name or service", "name resolution", "no address", "nodename")):
        title = _("The host name of %(system)s is not known.")
        mend = _("Check the spelling of the endpoint URL, and whether this server's name resolution works.")
    elif "refused" in said or "connect call failed" in said:
        title = _("Nothing accepts connections at the address of %(system)s.")
        mend = _("Check the host and port of the endpoint URL, and whether the desk of %(system)s is running.")
    elif "cannot be decrypted" in said:
        title = _("The signing secret of %(system)s cannot be read here: the server's key was changed.")
        mend = _("Set the secret anew, or have an operator put the former key into SECRET_KEY_FALLBACKS.")
    elif "internal error" in said:
        return _("The fault is here, not at %(system)s."), _("The log of the worker says more."), Place.NONE
    else:
        title = _("The connection to %(system)s failed.")
        mend = _("Check the endpoint URL, and the network between here and there.")
    return title, mend, Place.FORM


# --- Due, and not tried yet ---


def _due(operation: OutgoingOperation, status: SystemStatus, names: dict[str, str]) -> Finding:
    due_for = status.at - operation.next_try_at
    if status.in_flight >= status.max_in_flight:
        title = _("All requests that %(system)s may have at a time are under way.") % names
        return Finding(wording.WAIT, title, _("The test is sent as soon as one of them ends."))
    if due_for <= quiet_time():
        return Finding(wording.BUSY, _("The %(operation)s is recorded. A worker takes it in a moment.") % names)
    if status.rate_limit and status.delivered_last_minute:
        values = {**names, "limit": status.rate_limit}
        title = _("The limit of %(limit)s operations a minute to %(system)s is used up.") % values
        return Finding(wording.WAIT, title, _("The test is sent when it is its turn."))
    # In steps, so that a screen reader is not told each second.
    seconds = int(due_for.total_seconds()) // 5 * 5
    title = ngettext(
        "Nobody has taken the %(operation)s for %(count)s second: no worker seems to run.",
        "Nobody has taken the %(operation)s for %(count)s seconds: no worker seems to run.",
        seconds,
    )
    mend = _("Have an operator start the worker and the scheduler (beat). What is recorded is sent then; none is lost.")
    return Finding(wording.BAD, title % (names | {"count": str(seconds)}), mend)


def quiet_time() -> timedelta:
    """How long a worker may need to take what is due: a lost wake-up is found by the next sweep."""
    return timedelta(seconds=2 * settings.DISPATCH_INTERVAL + 2)
