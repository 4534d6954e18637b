"""The call of a ping. It changes nothing at the partner, is no operation, and leaves no trace in the exchange log.

Push: `OPTIONS` on the endpoint, which HTTP has to ask what an address takes. A receiver that knows only POST answers it
without doing anything. It is not signed: a receiver that does not look at the method would take a signed request for an
operation, and fail at its missing body. Mapped: the list of the document's poll, which only reads, or else `OPTIONS` on
base_url without credentials. A partner that collects is not called at all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from integrations.choices import Delivery, Failure
from integrations.connections.calling import Line
from integrations.connections.evaluation import polling_rules
from integrations.connections.evaluation.auth import AuthRefused
from integrations.connections.revisions import connection_of_revision
from integrations.connections.secrets import check_readable, secrets_of
from integrations.connections.templating.faults import EvaluationFailed, FaultyDocument
from integrations.connections.trying import token_for
from integrations.models import ConnectionPoll, DeliveryAttempt, DeliveryControl, ExternalSystem, SecretUnreadable
from integrations.outgoing import delivery
from integrations.outgoing.sending import keep_answer, user_agent
from integrations.transports.base import Request, Response, TransportError, Way
from integrations.transports.statuses import Outcome

METHOD = "OPTIONS"
# For all calls of a ping together.
SECONDS = 10.0
ANSWER_MAX_BYTES = 8 * 1024


class PingedElsewhere(Exception):  # noqa: N818 - says the state, as the changes' exceptions do
    """Another ping of this system waits for its answer. Nothing was called."""


@dataclass(frozen=True)
class Pinged:
    """What came of a ping. `call`: for people, "" if none was made. `failure`: why no answer came, None if one did.

    `allows`: the methods that the address takes, as the answer says, None if it says nothing. `by_document`: the call
    is one of the document of a mapped system, with our credentials, and `outcome` is what its answer means by the
    document, None if all is well. `signed_in`: a call before it got a token.
    """

    call: str = ""
    seconds: float | None = None
    status: int | None = None
    way: Way | None = None
    allows: frozenset[str] | None = None
    answer: str = ""
    failure: Failure | None = None
    error: str = ""
    by_document: bool = False
    signed_in: bool = False
    outcome: Outcome | None = None

    @property
    def is_made(self) -> bool:
        return bool(self.call)


def ping(system: ExternalSystem) -> Pinged:
    """Calls the partner now, and waits for the answer for `SECONDS` in all. Not for use within a transaction.

    A ping keeps a thread of the web server busy while it waits. Raises PingedElsewhere if another one of the same
    system is doing that.
    """
    if system.collects:
        return Pinged()
    DeliveryControl.objects.get_or_create(system=system)
    now = timezone.now()
    # Longer than it takes: only if this process dies, the time has to run out.
    until = now + timedelta(seconds=2 * SECONDS)
    is_free = Q(pinging_until=None) | Q(pinging_until__lte=now)
    if not DeliveryControl.objects.filter(is_free, system=system).update(pinging_until=until):
        raise PingedElsewhere
    try:
        return _mapped(system) if system.delivery == Delivery.MAPPED else _push(system)
    finally:
        DeliveryControl.objects.filter(system=system, pinging_until=until).update(pinging_until=None)


def _push(system: ExternalSystem) -> Pinged:
    return _asked(f"{METHOD} {system.endpoint_url}", _options(system.endpoint_url, _timeout(SECONDS)))


def _timeout(left: float) -> float:
    """The seconds for a call if so many are left for all calls of the ping."""
    return max(0.1, min(left, settings.DELIVERY_TIMEOUT))


def _options(url: str, timeout: float) -> Request:
    return Request(
        url,
        {"User-Agent": user_agent(), "Accept": "application/json"},
        b"",
        timeout,
        method=METHOD,
        answer_max_bytes=ANSWER_MAX_BYTES,
    )


def _asked(call: str, request: Request) -> Pinged:
    began = time.monotonic()
    try:
        response = delivery.call(replace(request, tells_way=True))
    except TransportError as error:
        return Pinged(call, time.monotonic() - began, failure=Failure(error.kind.value), error=str(error))
    return _answered(call, time.monotonic() - began, response)


def _answered(call: str, seconds: float, response: Response) -> Pinged:
    kept = DeliveryAttempt()
    keep_answer(kept, response)
    allow = next((value for name, value in response.headers.items() if name.lower() == "allow"), None)
    methods = None if allow is None else frozenset(method.strip().upper() for method in allow.split(","))
    return Pinged(call, seconds, response.status, response.way, methods, kept.answer)


# --- Mapped ---


@sensitive_variables("secrets")
def _mapped(system: ExternalSystem) -> Pinged:
    if system.connection_id is None:
        return Pinged()
    secrets = secrets_of([system.pk])[system.pk]
    try:
        _number, connection = connection_of_revision(system.connection_id)
        check_readable(system, secrets, connection.secret_names)
        return _by_document(system, Line(connection, secrets))
    except FaultyDocument as error:
        return Pinged(failure=Failure.CONNECTION_DOCUMENT, error=str(error))
    except SecretUnreadable as error:
        return Pinged(failure=Failure.SIGNING_SECRET, error=str(error))


@sensitive_variables("token", "call", "request")
def _by_document(system: ExternalSystem, line: Line) -> Pinged:
    connection, token, ends = line.connection, "", time.monotonic() + SECONDS
    try:
        if connection.auth.has_token:
            token = token_for(line, _timeout(SECONDS))
        poll = connection.poll
        if poll is None or poll.listed.request.method != "GET":
            options = replace(_options(connection.base_url, _timeout(ends - time.monotonic())), tls=line.tls())
            return replace(_asked(f"{METHOD} {connection.base_url}", options), signed_in=bool(token))
        row = ConnectionPoll.objects.filter(system=system).first()
        cursor = row.cursor if row else None
        call = polling_rules.list_call(connection, line.secrets, cursor, 0, timezone.now(), use_overlap=True)
        shown = line.masked(line.shown(call), token).partition("\n")[0]
        began = time.monotonic()
        request = replace(line.request(call, token), tells_way=True, timeout=_timeout(ends - began))
        response = delivery.call(request)
        found = replace(_answered(shown, time.monotonic() - began, response), by_document=True, signed_in=bool(token))
        verdict = polling_rules.list_verdict(connection, response, cursor)
    except TransportError as error:
        return Pinged(connection.base_url, failure=Failure(error.kind.value), error=str(error))
    except AuthRefused as error:
        return Pinged(failure=Failure.SIGN_IN, error=line.masked(str(error), token))
    except EvaluationFailed as error:
        return Pinged(failure=Failure.CONNECTION_DOCUMENT, error=line.masked(str(error), token))
    answer, error_said = line.masked(found.answer, token), line.masked(verdict.error, token)
    return replace(found, answer=answer, error=error_said, outcome=verdict.outcome)
