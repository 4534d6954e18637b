"""What a ping says about a partner, and what to do about it, in the words of a test operation. Pure."""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext as _

from integrations.choices import Delivery
from integrations.models import ExternalSystem
from integrations.pages.test_operation import findings
from integrations.pages.test_operation.findings import Finding, Place
from integrations.standing import failures
from integrations.standing.flow import Condition
from integrations.standing.state import BAD, OK, WAIT
from integrations.standing.status import SystemStatus
from integrations.transports.statuses import PAUSING, Outcome, outcome_of

from .calls import Pinged

# "Not Implemented": a server that knows POST alone answers so to any other method.
NOT_IMPLEMENTED = 501
NO_SUCH_METHOD = 405
# A ping has no signature.
UNSIGNED = frozenset({401, 403})


def verdict(pinged: Pinged, status: SystemStatus) -> Finding:
    system = status.system
    names = {"system": status.system_id, "operation": _("ping"), "status": str(pinged.status or "")}
    if system.collects:
        return _collecting(status, names)
    if pinged.failure:
        return findings.no_answer(system, pinged.failure, pinged.error, names)
    if pinged.status is None:
        return Finding(WAIT, status.flow.detail, _("Activate a document on the page of its connection."), Place.CONNECT)
    return _by_document(pinged, names) if pinged.by_document else _asked_for_options(pinged, status, names)


def busy(system: ExternalSystem) -> Finding:
    """What a second person reads while the ping of another one waits."""
    title = _("Somebody else pings %(system)s right now.") % {"system": system}
    return Finding(WAIT, title, _("Nothing was called. A ping takes at most ten seconds: try again then."))


def held_back(held: Exception) -> Finding:
    return Finding(WAIT, str(held), _("An operator runs manage.py resume_after_restore first."))


def _collecting(status: SystemStatus, names: dict[str, str]) -> Finding:
    flow = status.flow
    if flow.asked_at is None:
        title = _("%(system)s has not come yet. It calls us, so there is nothing to ping.")
        return Finding(WAIT, title % names, findings.never_asked(names), Place.CONNECT)
    if flow.condition == Condition.UNCOLLECTED:
        return Finding(BAD, flow.detail, findings.stopped_to_ask(names), Place.CONNECT)
    return Finding(OK, _("%(system)s comes by itself. It calls us, so there is nothing to ping.") % names)


def _asked_for_options(pinged: Pinged, status: SystemStatus, names: dict[str, str]) -> Finding:
    """On the answer to a call that has no credentials, at the endpoint URL or at base_url."""
    code, is_mapped = pinged.status or 0, status.system.delivery == Delivery.MAPPED
    if 200 <= code < 300 or code in (NO_SUCH_METHOD, NOT_IMPLEMENTED):
        title = _("%(system)s is reachable: a server answers at its address (%(status)s).")
        # base_url is only the beginning of the addresses that get operations.
        if pinged.allows and not is_mapped:
            title = _("%(system)s is reachable, and its address takes POST (%(status)s).")
        if pinged.allows is not None and "POST" not in pinged.allows and not is_mapped:
            return findings.nothing_there(names)
        return Finding(OK, title % names, _only_a_test(pinged, is_mapped))
    if 300 <= code < 400:
        return _of_base_url(findings.elsewhere(names)) if is_mapped else findings.elsewhere(names)
    if code in UNSIGNED:
        title = _("%(system)s is reachable, and refuses what is not signed (%(status)s).")
        if is_mapped:
            title = _("%(system)s is reachable, and refuses a call without credentials (%(status)s).")
        return Finding(OK, title % names, _only_a_test(pinged, is_mapped))
    if code in PAUSING:
        # An operation that is answered so pauses the system. A ping pauses nothing.
        found = Finding(
            BAD, failures.cause_of_pause(status.system, code), findings.mend_of_status(code, names), Place.FORM
        )
        return _of_base_url(found) if is_mapped else found
    if outcome_of(code) is Outcome.RETRY:
        return _not_now(names)
    title = _("%(system)s is reachable, and answers %(status)s to a ping.") % names
    if is_mapped:
        mend = _("Many programs answer so at base_url itself. If a test operation fails too, compare it with theirs.")
        return Finding(WAIT, title, f"{mend} {_only_a_test(pinged, is_mapped)}", Place.CONNECT)
    mend = _("Some desks answer so to all but a POST. If a test operation fails too, compare the endpoint URL.")
    return Finding(WAIT, title, mend, Place.FORM)


def _of_base_url(found: Finding) -> Finding:
    mend = _("Write the address that holds now as base_url in the document of its connection.")
    return replace(found, mend=mend, place=Place.CONNECT)


def _only_a_test(pinged: Pinged, is_mapped: bool) -> str:
    """What an answer to OPTIONS does not tell."""
    if not is_mapped:
        return _("Whether it knows our signature, and takes an operation, only a test operation shows.")
    if pinged.signed_in:
        return _(
            "The sign-in succeeded. The document has no list of news that a GET reads, so base_url was asked, without "
            "credentials: whether an operation is taken, only a test operation shows."
        )
    return _(
        "The document has no list of news that a GET reads, so base_url was asked, without credentials: whether these "
        "are right, only a test operation shows."
    )


def _not_now(names: dict[str, str]) -> Finding:
    title = _("%(system)s cannot take the %(operation)s now (%(status)s).") % names
    return Finding(BAD, title, _("The problem is at the desk of %(system)s. Nothing needs to be fixed here.") % names)


def _by_document(pinged: Pinged, names: dict[str, str]) -> Finding:
    if pinged.outcome is Outcome.PAUSE:
        title = _("%(system)s does not accept our credentials (%(status)s).") % names
        return Finding(BAD, title, _("Write the secrets of the connection anew."), Place.CONNECT)
    if pinged.outcome is Outcome.RETRY:
        return _not_now(names)
    if pinged.outcome is not None:
        title = _("%(system)s answered what the document does not expect (%(status)s).") % names
        mend = _("%(error)s Mend the document or the secrets of its connection.") % {"error": pinged.error}
        return Finding(BAD, title, mend.strip(), Place.CONNECT)
    return Finding(OK, _("%(system)s is reachable, and takes our credentials.") % names)
