"""What a ping says about a partner, and what to do about it, in the words of a test operation. Pure."""

from __future__ import annotations

from django.utils.translation import gettext as _

from integrations.choices import Delivery
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
    if system.delivery == Delivery.MAPPED:
        return _mapped(pinged, status, names)
    return _push(pinged, status, names)


def _collecting(status: SystemStatus, names: dict[str, str]) -> Finding:
    flow = status.flow
    if flow.asked_at is None:
        title = _("%(system)s has not come yet. It calls us, so there is nothing to ping.")
        return Finding(WAIT, title % names, findings.never_asked(names), Place.CONNECT)
    if flow.condition == Condition.UNCOLLECTED:
        return Finding(BAD, flow.detail, findings.stopped_to_ask(names), Place.CONNECT)
    return Finding(OK, _("%(system)s comes by itself. It calls us, so there is nothing to ping.") % names)


def _push(pinged: Pinged, status: SystemStatus, names: dict[str, str]) -> Finding:
    code = pinged.status or 0
    if 200 <= code < 300 or code in (NO_SUCH_METHOD, NOT_IMPLEMENTED):
        if pinged.allows is not None and "POST" not in pinged.allows:
            return findings.nothing_there(names)
        title = _("%(system)s is reachable: a server answers at its address (%(status)s).")
        if pinged.allows:
            title = _("%(system)s is reachable, and its address takes POST (%(status)s).")
        return Finding(OK, title % names, _only_a_test())
    if 300 <= code < 400:
        return findings.elsewhere(names)
    if code in UNSIGNED:
        title = _("%(system)s is reachable, and refuses what is not signed (%(status)s).")
        return Finding(OK, title % names, _only_a_test())
    if code in PAUSING:
        # An operation that is answered so pauses the system. A ping pauses nothing.
        title = failures.cause_of_pause(status.system, code)
        return Finding(BAD, title, findings.mend_of_status(code, names), Place.FORM)
    if outcome_of(code) is Outcome.RETRY:
        return _not_now(names)
    title = _("%(system)s is reachable, and answers %(status)s to a ping.") % names
    mend = _("Some desks answer so to all but a POST. If a test operation fails too, compare the endpoint URL.")
    return Finding(WAIT, title, mend, Place.FORM)


def _only_a_test() -> str:
    return _("Whether it knows our signature, and takes an operation, only a test operation shows.")


def _not_now(names: dict[str, str]) -> Finding:
    title = _("%(system)s cannot take the %(operation)s now (%(status)s).") % names
    return Finding(BAD, title, _("The problem is at the desk of %(system)s. Nothing needs to be fixed here.") % names)


def _mapped(pinged: Pinged, status: SystemStatus, names: dict[str, str]) -> Finding:
    if pinged.outcome is Outcome.PAUSE:
        title = _("%(system)s does not accept our credentials (%(status)s).") % names
        return Finding(BAD, title, _("Write the secrets of the connection anew."), Place.CONNECT)
    if pinged.outcome is Outcome.RETRY:
        return _not_now(names)
    if pinged.outcome is not None:
        title = _("%(system)s answered what the document does not expect (%(status)s).") % names
        mend = _("%(error)s Mend the document or the secrets of its connection.") % {"error": pinged.error}
        return Finding(BAD, title, mend.strip(), Place.CONNECT)
    if pinged.has_credentials:
        return Finding(OK, _("%(system)s is reachable, and takes our credentials.") % names)
    mend = _("The document has no call that only reads, so whether our credentials are right is not known.")
    return Finding(OK, _("%(system)s is reachable: a server answers at its address (%(status)s).") % names, mend)
