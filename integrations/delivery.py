"""Claim, send, record what became of it. No transaction is open while sending."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from . import outbox
from .models import DeliveryAttempt, OutgoingOperation
from .transports import signing
from .transports.base import Request, Response, Transport, TransportError
from .transports.http import HttpTransport

InFlight = dict[Future[Response], tuple[OutgoingOperation, DeliveryAttempt]]

logger = logging.getLogger(__name__)

RETRYABLE = frozenset({408, 425, 429})
PAUSING = {
    401: "does not accept our credentials (401)",
    403: "forbids our calls (403)",
    410: "wants no more calls (410)",
}
# How often a drain with requests in flight looks for operations that became due meanwhile, in seconds.
LOOK_AGAIN = 0.2
# How many requests one drain has in flight, and of these to one system: a partner that hangs leaves the rest.
IN_FLIGHT = 64
IN_FLIGHT_PER_SYSTEM = 16
ANSWER_KEPT = 2000
REFERENCE_FIELDS = ("external_id", "external_url", "external_status")


def drain() -> int:
    """Sends whatever is due, many at a time, until nothing is. Returns the number of tries."""
    transport = _transport(os.getpid())
    in_flight: InFlight = {}
    tries = 0
    while True:
        for operation in outbox.claim(IN_FLIGHT - len(in_flight), full=_full_systems(in_flight)):
            attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now())
            in_flight[_send(transport, operation)] = (operation, attempt)
        if not in_flight:
            return tries
        done, _ = wait(in_flight, timeout=LOOK_AGAIN, return_when=FIRST_COMPLETED)
        for future in done:
            operation, attempt = in_flight.pop(future)
            attempt.duration = (timezone.now() - attempt.started_at).total_seconds()
            _settle(operation, attempt, future)
            tries += 1


@lru_cache(maxsize=1)
def _transport(process_id: int) -> Transport:
    """One per process: the thread and the connections of a parent do not outlive a fork."""
    return HttpTransport(settings.OUTGOING_ALLOWED_NETWORKS)


def _send(transport: Transport, operation: OutgoingOperation) -> Future[Response]:
    try:
        return transport.submit(request_for(operation))
    except Exception as error:  # noqa: BLE001 - settled with the others, where it is logged
        failed: Future[Response] = Future()
        failed.set_exception(error)
        return failed


def request_for(operation: OutgoingOperation) -> Request:
    """The signed POST of this operation, with the external reference as it is now."""
    body = json.dumps(outbox.message(operation), ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"casexchange/{settings.VERSION}",
        **signing.headers(str(operation.pk), body, operation.system.signing_secrets),
    }
    return Request(operation.system.endpoint_url, headers, body, settings.DELIVERY_TIMEOUT)


def _full_systems(in_flight: InFlight) -> set[int]:
    """The systems with so many requests in flight that the others' share would suffer."""
    counts = Counter(operation.system_id for operation, _ in in_flight.values())
    return {system for system, count in counts.items() if count >= IN_FLIGHT_PER_SYSTEM}


def _settle(operation: OutgoingOperation, attempt: DeliveryAttempt, future: Future[Response]) -> None:
    """Writes what one finished try means for its operation, whatever comes of it: the others go on."""
    try:
        _classify(operation, attempt, future.result())
    except TransportError as error:
        attempt.error = str(error)[:500]
        if error.permanent:
            outbox.refuse(operation, attempt, str(error))
        else:
            outbox.retry_later(operation, attempt, str(error))
    except DatabaseError:
        raise  # nothing can be written now; the lease runs out, and it is sent again
    except Exception as error:
        # Not a partner's fault but ours: it must neither stop the others nor be tried again and again.
        logger.exception("Sending %s failed unexpectedly", operation.pk)
        attempt.error = f"internal error: {type(error).__name__}: {error}"[:500]
        outbox.refuse(operation, attempt, attempt.error)


def _classify(operation: OutgoingOperation, attempt: DeliveryAttempt, response: Response) -> None:
    status = attempt.http_status = response.status
    attempt.answer = response.body.decode(errors="replace").replace("\x00", "\ufffd")[:ANSWER_KEPT]
    if 200 <= status < 300:
        answer, attempt.note = read_answer(response)
        outbox.delivered(operation, attempt, answer)
    elif status in PAUSING:
        outbox.pause_system(operation, attempt, f"{operation.system} {PAUSING[status]}")
    elif status in RETRYABLE or not 300 <= status < 500:
        outbox.retry_later(operation, attempt, f"answered {status}", retry_after(response.headers))
    elif status < 400:
        outbox.refuse(operation, attempt, f"answered {status}: redirects are not followed, mend the endpoint URL")
    else:
        outbox.refuse(operation, attempt, f"refused with {status}")


def read_answer(response: Response) -> tuple[dict[str, Any], str]:
    """What the partner says of its record, and a note when that cannot be used. Never fails a delivery."""
    if not response.body:
        return {}, ""
    if not response.is_complete:
        return {}, "The answer is too long: it was not used."
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}, "The answer is no JSON: it was not used."
    if not isinstance(answer, dict):
        return {}, "The answer is no JSON object: it was not used."
    named = {name: answer[name] for name in REFERENCE_FIELDS if answer.get(name) is not None}
    texts = {name: value for name, value in named.items() if isinstance(value, str)}
    wrong = ", ".join(sorted({*named} - {*texts}))
    return texts, f"Not a text, so not used: {wrong}." if wrong else ""


def retry_after(headers: Any) -> float | None:
    """Seconds from a `Retry-After` of seconds or an HTTP date; None when there is none that can be read."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
        waited = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None  # what cannot be read asks for nothing
    return max(0.0, waited.total_seconds())
