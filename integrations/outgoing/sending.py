"""How a claimed operation is sent: the calls that it becomes, one after the other, and what their answers mean.

A pushed operation is one POST of ours. `register()` adds another way, for the systems with that delivery.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from django.conf import settings

from changes import work
from integrations.choices import Delivery, Failure
from integrations.models import DeliveryAttempt, OutgoingOperation, SecretUnreadable
from integrations.standing import notes
from integrations.standing.failures import ANSWERED
from integrations.transports import signing
from integrations.transports.base import Request, Response, TransportError
from integrations.transports.statuses import outcome_of

from . import outbox
from .kept_answers import kept_headers, own_words
from .outbox import Outcome, Result

logger = logging.getLogger(__name__)

ANSWER_KEPT = 2000
REFERENCE_FIELDS = ("external_id", "external_url", "external_status")


class Sending(Protocol):
    """One claimed operation on its way. Used by one thread, which may use the database in all its methods."""

    operation: OutgoingOperation

    def next(self, attempt: DeliveryAttempt) -> Request | Result | None:
        """The next call, which is noted in `attempt`; the result if there is none; or None to be asked again soon."""
        ...

    def answered(self, attempt: DeliveryAttempt, response: Response) -> Result:
        """What the answer to the call means. If the result has no outcome, another call follows."""
        ...

    def failed(self, attempt: DeliveryAttempt, error: Exception) -> Result:
        """What it means that no answer came."""
        ...


@dataclass(frozen=True, slots=True)
class OperationWork:
    """An operation that is being sent, for the log lines meanwhile. The attempt is told by the number of its claim."""

    operation: OutgoingOperation

    @property
    def request_id(self) -> str:
        return self.operation.request_id

    def told(self) -> Mapping[str, object]:
        return {"operation_id": str(self.operation.pk), "attempt": self.operation.claim}


# Makes a batch of claimed operations of one way of delivery ready to be sent.
Sender = Callable[[Sequence[OutgoingOperation]], Sequence[Sending]]
_senders: dict[str, Callable[[], Sender]] = {}


def register(delivery: str, sender: Callable[[], Sender]) -> None:
    """Lets operations of systems with this delivery be sent by `sender()`, of which each drain makes one."""
    _senders[delivery] = sender


class Senders:
    """The senders of one drain."""

    def __init__(self) -> None:
        self._made: dict[str, Sender] = {Delivery.PUSH: lambda operations: [*map(Push, operations)]}

    def begin(self, operations: Sequence[OutgoingOperation]) -> list[Sending]:
        if all(operation.system.delivery == Delivery.PUSH for operation in operations):
            return [*map(Push, operations)]
        by_delivery: dict[str, list[OutgoingOperation]] = {}
        for operation in operations:
            by_delivery.setdefault(operation.system.delivery, []).append(operation)
        return [sending for delivery, some in by_delivery.items() for sending in self._of(delivery)(some)]

    def _of(self, delivery: str) -> Sender:
        if delivery not in self._made:
            self._made[delivery] = _senders[delivery]()
        return self._made[delivery]


class Push:
    """An operation that is POSTed to the partner's endpoint."""

    def __init__(self, operation: OutgoingOperation) -> None:
        self.operation = operation

    def next(self, attempt: DeliveryAttempt) -> Request:
        return request_for(self.operation)

    def answered(self, attempt: DeliveryAttempt, response: Response) -> Result:
        keep_answer(attempt, response)
        outcome = outcome_of(response.status)
        if outcome is Outcome.DELIVERED:
            answer, note = read_answer(response)
            return Result(self.operation, attempt, outcome, answer=answer, note=note)
        attempt.failure = Failure.STATUS
        asked = retry_after(response.headers) if outcome is Outcome.RETRY else None
        return Result(self.operation, attempt, outcome, answered(response), retry_after=asked)

    def failed(self, attempt: DeliveryAttempt, error: Exception) -> Result:
        return failed(self.operation, attempt, error)


def request_for(operation: OutgoingOperation) -> Request:
    """The signed POST of this claimed operation."""
    body = outbox.body(operation)
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": user_agent(),
        **request_id_header(),
        **signing.headers(str(operation.pk), body, operation.system.signing_secrets),
    }
    return Request(operation.system.endpoint_url, headers, body, settings.DELIVERY_TIMEOUT)


def request_id_header() -> dict[str, str]:
    """Tells the partner the id of the request that is the cause, if there was one."""
    request_id = work.request_id()
    return {work.HEADER: request_id} if request_id else {}


def user_agent() -> str:
    return f"casexchange/{settings.VERSION}"


# --- From an answer to a result ---


def answered(response: Response) -> str:
    """What is kept as the error of an operation: the status, and the partner's own words."""
    words = own_words(response.body)
    told = ANSWERED % response.status
    return f"{told}: {words}" if words else told


def keep_answer(attempt: DeliveryAttempt, response: Response) -> None:
    attempt.http_status = response.status
    attempt.answer_headers = kept_headers(response.headers)
    attempt.answer = response.body[: 4 * ANSWER_KEPT].decode(errors="replace").replace("\x00", "\ufffd")[:ANSWER_KEPT]


def failed(operation: OutgoingOperation, attempt: DeliveryAttempt, error: Exception) -> Result:
    """The result of a try without an answer. An error that nobody expected becomes a refusal."""
    if isinstance(error, TransportError):
        attempt.failure, attempt.error = Failure(error.kind.value), str(error)[:500]
        outcome = Outcome.REFUSED if error.permanent else Outcome.RETRY
        return Result(operation, attempt, outcome, str(error))
    if isinstance(error, SecretUnreadable):
        attempt.failure, attempt.error = Failure.SIGNING_SECRET, str(error)[:500]
        return Result(operation, attempt, Outcome.REFUSED, str(error))
    # Our fault, not the partner's: it must neither stop the others nor be retried again and again.
    logger.error("Sending %s failed unexpectedly", operation.pk, exc_info=error)
    attempt.failure = Failure.INTERNAL
    attempt.error = f"internal error: {type(error).__name__}: {error}"[:500]
    return Result(operation, attempt, Outcome.REFUSED, attempt.error)


def read_answer(response: Response) -> tuple[dict[str, Any], str]:
    """The fields of the partner's record that the answer names, and a note if some could not be used ("" if none).

    Never raises: an unusable answer does not fail a delivery.
    """
    if not response.body:
        return {}, ""
    if not response.is_complete:
        return {}, notes.TOO_LONG
    try:
        # A number is kept as its digits: an id must not be rounded.
        answer = json.loads(response.body, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return {}, notes.NOT_JSON
    if not isinstance(answer, dict):
        return {}, notes.NO_OBJECT
    named = {name: answer[name] for name in REFERENCE_FIELDS if answer.get(name) is not None}
    texts = {name: value for name, value in named.items() if isinstance(value, str)}
    wrong = ", ".join(sorted({*named} - {*texts}))
    return texts, notes.NO_TEXT % {"names": wrong} if wrong else ""


def retry_after(headers: Any) -> float | None:
    """The seconds to wait from a `Retry-After` header (seconds or an HTTP date). None if missing or unreadable."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
        waited = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0.0, waited.total_seconds())
