"""Texts that explain failures, in the language of the page, from the stored kind and HTTP status. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.texts.isolation import apart
from integrations.choices import BREAKER_WINDOW, BreakerCause, Delivery, DeliveryStatus, Failure
from integrations.transports.statuses import Outcome, outcome_of

from .state import ended, sentence

# What is stored of an answer that is no success, before the partner's own words.
ANSWERED = "answered %s"
# What settling adds to it in the end.
GIVEN_UP = re.compile(r" ?\(given up after \d+ tries\)$")

if TYPE_CHECKING:
    from integrations.models import DeliveryAttempt, DeliveryControl, ExternalSystem, OutgoingOperation


def pause_cause(system: ExternalSystem) -> str:
    """A sentence on why nothing is sent to this paused system."""
    return cause_of_pause(system, system.pause_status)


def cause_of_pause(system: ExternalSystem, status: int | None) -> str:
    """A sentence on what a system says by a status that pauses it."""
    names = {"system": system, "status": status}
    if status == 401:
        return _("%(system)s does not accept our credentials (401).") % names
    if status == 403:
        return _("%(system)s forbids our requests (403).") % names
    if status is None and system.delivery == Delivery.MAPPED:
        return _("The connection to %(system)s cannot be used: its page, or the last try, says why.") % names
    if status == 410:
        return _("%(system)s accepts no more requests at this address (410).") % names
    return _("%(system)s refuses our requests.") % names


def breaker_reason(control: DeliveryControl) -> str:
    """Why the circuit breaker is not closed: a text about the failures, or the reason that a person gave.

    "" if it is closed.
    """
    counts = {"count": control.consecutive_failures, "failures": control.window_failures, "tries": control.window_tries}
    if control.breaker_cause == BreakerCause.IN_A_ROW:
        told = ngettext("%(count)s try failed", "%(count)s tries in a row failed", control.consecutive_failures)
        return told % counts
    if control.breaker_cause == BreakerCause.SHARE:
        told = _("%(failures)s of %(tries)s tries failed within %(seconds)s s")
        return told % {**counts, "seconds": f"{BREAKER_WINDOW.total_seconds():g}"}
    return control.breaker_reason


def last_failure(operation: OutgoingOperation) -> str:
    """A sentence on why the latest try did not deliver the operation; "" if no try failed."""
    return failed_try(operation.system, operation.last_failure, operation.last_http_status, operation.last_error)


def failed_try(system: ExternalSystem, failure: str, status: int | None, error: str) -> str:
    """A sentence on why a call did not do what it should; "" if it did."""
    names = {"system": system, "status": status}
    texts: dict[str, str] = {
        Failure.TIMEOUT: _("%(system)s did not answer in time."),
        Failure.CONNECTION_REFUSED: _("Nothing accepts connections at the address of %(system)s."),
        Failure.CONNECTION_BROKEN: _("The connection to %(system)s broke."),
        Failure.TLS: _("A secure connection to %(system)s could not be made."),
        Failure.NAME_RESOLUTION: _("The host name of %(system)s is not known."),
        Failure.ADDRESS_NOT_ALLOWED: _("The address of %(system)s is in a network that this server may not reach."),
        Failure.ENDPOINT_URL: _("The endpoint URL of %(system)s cannot be used."),
        Failure.CERTIFICATE: _("The certificate for the connection to %(system)s cannot be used."),
        Failure.FILE: _("The attached file cannot be read here."),
        Failure.SIGNING_SECRET: _("The signing secret of %(system)s cannot be decrypted here."),
        Failure.NOT_ACKNOWLEDGED: _("%(system)s collected it, but did not acknowledge it in time."),
        Failure.INTERNAL: _("The fault is here, not at %(system)s. The worker's log says more."),
    }
    if failure == Failure.STATUS and status is not None:
        return _of_status(system, status, error)
    if failure == Failure.REFUSED:
        reason = apart(sentence(error))
        return _("%(system)s refused it: %(reason)s") % {**names, "reason": reason}
    # Behind these is what the document's author, the partner, or our evaluation says, in its own language.
    explained: dict[str, str] = {
        Failure.CONNECTION_DOCUMENT: _("The connection document of %(system)s cannot be used: %(error)s"),
        Failure.RULE: _("A rule of the connection refused it: %(error)s"),
        Failure.SIGN_IN: _("%(system)s gave no token: %(error)s"),
    }
    if (text := explained.get(failure)) and (words := GIVEN_UP.sub("", error).strip()):
        return text % {**names, "error": apart(ended(words))}
    text = texts.get(failure)
    return text % names if text else apart(sentence(error))


def of_attempt(system: ExternalSystem, attempt: DeliveryAttempt) -> tuple[str, str]:
    """A sentence on why it failed, and what the transport saw beside it; "" for each that is none.

    A status of the answer has a column of its own.
    """
    if not attempt.error:
        return "", ""
    said = failed_try(system, attempt.failure, attempt.http_status, attempt.error)
    return said, "" if attempt.error.rstrip(".").casefold() in said.casefold() else attempt.error


def _of_status(system: ExternalSystem, status: int, error: str) -> str:
    """With the partner's own words, which `error` has behind the status: outgoing/sending.py."""
    names = {"system": system, "status": status}
    if 300 <= status < 400:
        return _("%(system)s answered %(status)s; redirects are not followed.") % names
    words = error.removeprefix(ANSWERED % status).removeprefix(": ") if error.startswith(ANSWERED % status) else ""
    words = GIVEN_UP.sub("", words).strip()
    if words:
        return _("%(system)s answered %(status)s: %(words)s") % {**names, "words": apart(ended(words))}
    return _("%(system)s answered %(status)s.") % names


def given_up(operation: OutgoingOperation) -> str:
    """A sentence saying that all tries of the schedule are used up; "" if the operation was refused at once."""
    if operation.status != DeliveryStatus.REFUSED or not _is_repeated(operation):
        return ""
    told = ngettext("Given up after %(count)s try.", "Given up after %(count)s tries.", operation.tries)
    return told % {"count": operation.tries}


def _is_repeated(operation: OutgoingOperation) -> bool:
    """Whether a failure of this kind is retried automatically."""
    if operation.last_failure == Failure.STATUS:
        return operation.last_http_status is not None and outcome_of(operation.last_http_status) is Outcome.RETRY
    return operation.last_failure in (
        *(Failure.TIMEOUT, Failure.CONNECTION_REFUSED, Failure.CONNECTION_BROKEN),
        *(Failure.TLS, Failure.NAME_RESOLUTION),
    )
