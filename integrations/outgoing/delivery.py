"""Claim, send, record what became of it. No transaction is open while sending.

A drain works in one thread with the database: it claims what is due, hands the requests to the transport, which has
its event loop in a thread of its own, and writes the results that have come meanwhile, many in one transaction. So a
slow partner holds up nobody, and the more there is to do the larger the batches are.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from queue import Empty, SimpleQueue
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone

from integrations.choices import Failure
from integrations.models import DeliveryAttempt, OutgoingOperation, SecretUnreadable
from integrations.transports import signing
from integrations.transports.base import Request, Response, Transport, TransportError
from integrations.transports.http import HttpTransport
from integrations.transports.statuses import outcome_of
from integrations.workers import shutdown

from . import outbox
from .outbox import Outcome, Result

logger = logging.getLogger(__name__)

# How often a drain with requests in flight looks for operations that became due meanwhile, in seconds.
LOOK_AGAIN = 0.1
# How long a result waits for others, to be written with them, while there are requests in flight. Seconds.
LINGER = 0.01
# How many requests one drain has in flight. A system's own limit is far below, so that many can hang at once and leave
# room for the others.
IN_FLIGHT = 512
# How many are claimed at a time: the first of them are sent before the last are read.
CLAIMED_AT_ONCE = 128
# How many results are written in one transaction.
SETTLED_AT_ONCE = 128
ANSWER_KEPT = 2000
REFERENCE_FIELDS = ("external_id", "external_url", "external_status")

Finished = tuple[OutgoingOperation, DeliveryAttempt, "Future[Response]"]


def drain() -> int:
    """Sends whatever is due, many at a time, until nothing is. Returns the number of tries.

    Raises the database's error when it cannot be reached for `DELIVERY_LEASE` seconds: what was under way is then
    sent again, with the same id.
    """
    return _Drain(_transport(os.getpid())).run()


@lru_cache(maxsize=1)
def _transport(process_id: int) -> Transport:
    """One per process: the thread and the connections of a parent do not outlive a fork."""
    transport = HttpTransport(settings.OUTGOING_ALLOWED_NETWORKS)
    # Not in a child that was forked since: the thread is not there.
    atexit.register(lambda: transport.close() if os.getpid() == process_id else None)
    return transport


class _Drain:
    """One run. `claimed` holds what is not sent yet, `results` what came back and is not written yet."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.in_flight = 0
        self.tries = 0
        self.finished: SimpleQueue[Finished] = SimpleQueue()
        self.results: list[Result] = []
        self.claimed: list[OutgoingOperation] = []
        self.database_lost_at: float | None = None
        self.claimed_at = self.looked_for_stale_at = time.monotonic()

    def run(self) -> int:
        while True:
            try:
                self._claim_and_send()
                if self._is_idle() and not self._stays():
                    return self.tries
                self._collect()
                self._write()
                if self._is_idle() and not outbox.is_due():
                    return self.tries
                self.database_lost_at = None
            except (OperationalError, InterfaceError) as error:
                self._bear(error)

    def _is_idle(self) -> bool:
        return not (self.in_flight or self.results or self.claimed)

    def _stays(self) -> bool:
        """Whether to look again soon, though nothing was there to claim; not for longer than a sweep takes to come."""
        if shutdown.is_asked() or time.monotonic() - self.claimed_at > settings.DISPATCH_INTERVAL:
            return False
        if not outbox.is_more_due():
            return False
        time.sleep(LOOK_AGAIN)
        return True

    # --- Sending ---

    def _claim_and_send(self) -> None:
        if not self.claimed and not shutdown.is_asked():
            began = time.monotonic()
            self.claimed = outbox.claim(min(IN_FLIGHT - self.in_flight - len(self.results), CLAIMED_AT_ONCE))
            if self.claimed:
                self.claimed_at = began
        if not self.claimed:
            return
        operations, self.claimed = self.claimed, []
        if time.monotonic() - self.claimed_at > settings.DELIVERY_LEASE:
            return  # this process slept: they are somebody else's by now, and a person may have skipped one
        requests, sent = [], []
        for operation in operations:
            attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now())
            try:
                requests.append(request_for(operation))
                sent.append((operation, attempt))
            except Exception as error:  # noqa: BLE001 - settled with the others, where it is logged
                failed: Future[Response] = Future()
                failed.set_exception(error)
                self._watch(operation, attempt, failed)
        for (operation, attempt), future in zip(sent, self.transport.submit(requests), strict=True):
            self._watch(operation, attempt, future)

    def _watch(self, operation: OutgoingOperation, attempt: DeliveryAttempt, future: Future[Response]) -> None:
        self.in_flight += 1
        future.add_done_callback(partial(self._finish, operation, attempt, time.monotonic()))

    def _finish(
        self, operation: OutgoingOperation, attempt: DeliveryAttempt, started: float, future: Future[Response]
    ) -> None:
        """Called in the transport's thread. Durations are of the clock that nobody sets."""
        attempt.duration = time.monotonic() - started
        self.finished.put((operation, attempt, future))

    # --- Writing ---

    def _collect(self) -> None:
        """Takes what came back: waits for the first, and a moment for others, so that many are written at once."""
        taken = 0
        until = time.monotonic() + (LINGER if self.results else LOOK_AGAIN)
        while self.in_flight and taken < SETTLED_AT_ONCE:
            try:
                finished = self.finished.get(timeout=max(0, until - time.monotonic()))
            except Empty:
                return
            if not self.results:
                until = time.monotonic() + LINGER
            self.in_flight -= 1
            self.tries += 1
            taken += 1
            self.results.append(result_of(*finished))

    def _write(self) -> None:
        if self.results:
            try:
                # What somebody is writing now is settled later; it is waited for when there is nothing else to do.
                self.results = outbox.settle(self.results, wait=not self.in_flight)
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:
                self._write_one_by_one()
        self._release_stale()

    def _write_one_by_one(self) -> None:
        """A result that the database does not take must neither hold up the others nor be sent again and again."""
        while self.results:
            result = self.results[0]
            try:
                outbox.settle([result])
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError as error:
                logger.exception("The result of %s cannot be written", result.operation.pk)
                outbox.settle([_unwritable(result, error)])
            self.results = self.results[1:]

    def _release_stale(self) -> None:
        """A drain that goes on for long may hold the only worker that would do it."""
        if time.monotonic() - self.looked_for_stale_at > settings.DISPATCH_INTERVAL:
            self.looked_for_stale_at = time.monotonic()
            outbox.release_stale()

    def _bear(self, error: Exception) -> None:
        """The database may be back soon, and what is in flight is still to be written."""
        if connection.in_atomic_block:
            raise error
        now = time.monotonic()
        if self.database_lost_at is None:
            self.database_lost_at = now
            logger.warning("The database cannot be used, trying again: %s", error)
        if now - self.database_lost_at > settings.DELIVERY_LEASE or not (
            self.in_flight or self.results or self.claimed
        ):
            raise error
        connection.close()
        time.sleep(LOOK_AGAIN)


def _unwritable(result: Result, error: DatabaseError) -> Result:
    attempt = DeliveryAttempt(
        operation=result.operation,
        claim=result.attempt.claim,
        started_at=result.attempt.started_at,
        duration=result.attempt.duration,
        failure=Failure.INTERNAL,
        error=f"internal error: the result could not be written: {type(error).__name__}",
    )
    return Result(result.operation, attempt, Outcome.REFUSED, attempt.error)


def request_for(operation: OutgoingOperation) -> Request:
    """The signed POST of this claimed operation."""
    body = outbox.body(operation)
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"casexchange/{settings.VERSION}",
        **signing.headers(str(operation.pk), body, operation.system.signing_secrets),
    }
    return Request(operation.system.endpoint_url, headers, body, settings.DELIVERY_TIMEOUT)


# --- What a try means ---


def result_of(operation: OutgoingOperation, attempt: DeliveryAttempt, future: Future[Response]) -> Result:
    """What one finished try means for its operation, whatever came of it."""
    try:
        return _classify(operation, attempt, future.result())
    except TransportError as error:
        attempt.failure, attempt.error = Failure(error.kind.value), str(error)[:500]
        outcome = Outcome.REFUSED if error.permanent else Outcome.RETRY
        return Result(operation, attempt, outcome, str(error))
    except SecretUnreadable as error:
        attempt.failure, attempt.error = Failure.SIGNING_SECRET, str(error)[:500]
        return Result(operation, attempt, Outcome.REFUSED, str(error))
    except Exception as error:
        # Not a partner's fault but ours: it must neither stop the others nor be tried again and again.
        logger.exception("Sending %s failed unexpectedly", operation.pk)
        attempt.failure = Failure.INTERNAL
        attempt.error = f"internal error: {type(error).__name__}: {error}"[:500]
        return Result(operation, attempt, Outcome.REFUSED, attempt.error)


def _classify(operation: OutgoingOperation, attempt: DeliveryAttempt, response: Response) -> Result:
    status = attempt.http_status = response.status
    attempt.answer = response.body.decode(errors="replace").replace("\x00", "\ufffd")[:ANSWER_KEPT]
    outcome = outcome_of(status)
    if outcome is Outcome.DELIVERED:
        answer, note = read_answer(response)
        return Result(operation, attempt, outcome, answer=answer, note=note)
    attempt.failure = Failure.STATUS
    asked = retry_after(response.headers) if outcome is Outcome.RETRY else None
    return Result(operation, attempt, outcome, f"answered {status}", retry_after=asked)


def read_answer(response: Response) -> tuple[dict[str, Any], str]:
    """What the partner says of its record, and a note when that cannot be used. Never fails a delivery."""
    if not response.body:
        return {}, ""
    if not response.is_complete:
        return {}, "The answer is too long: it was not used."
    try:
        # A number is taken as its digits.
        answer = json.loads(response.body, parse_int=str, parse_float=str)
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
