"""Claims operations, sends them and records the results. No transaction is open while sending.

One thread of a drain uses the database. It claims what is due, hands the requests to the transport, and writes the
results that have arrived, many in one transaction. The transport sends from its own thread. So a slow partner does not
hold up the others, and under load the batches grow.
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
# How long a result waits for others to be written with it while requests are in flight, in seconds.
LINGER = 0.01
# The most requests that one drain has in flight. A system's own limit is far below, so several systems can hang and
# still leave room for the others.
IN_FLIGHT = 512
# The most operations claimed at a time. Small, so that the first are on their way while the next are claimed.
CLAIMED_AT_ONCE = 128
# The most results that are written in one transaction.
SETTLED_AT_ONCE = 128
ANSWER_KEPT = 2000
REFERENCE_FIELDS = ("external_id", "external_url", "external_status")

Finished = tuple[OutgoingOperation, DeliveryAttempt, "Future[Response]"]


def drain() -> int:
    """Sends operations, many at a time, until none is due. Returns the number of tries.

    Raises the database's error if the database cannot be used for `DELIVERY_LEASE` seconds. The operations under way
    are then sent again later, with the same ids.
    """
    return _Drain(_transport(os.getpid())).run()


@lru_cache(maxsize=1)
def _transport(process_id: int) -> Transport:
    """One transport per process: the parent's thread and connections do not exist in a forked child."""
    transport = HttpTransport(settings.OUTGOING_ALLOWED_NETWORKS)
    # A child that was forked later must not close it: the child has no such thread.
    atexit.register(lambda: transport.close() if os.getpid() == process_id else None)
    return transport


class _Drain:
    """One run of `drain()`. `claimed`: operations not sent yet. `results`: results not written yet."""

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
        """Whether to look again after a short sleep although nothing could be claimed.

        True while a rate limit or another worker holds back due operations. False once DISPATCH_INTERVAL has passed
        since the last claim: a sweep comes by then.
        """
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
            return  # the lease has run out: another worker may have claimed them, or a person skipped one
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
        """Called in the transport's thread. The monotonic clock is used since the system clock may be set."""
        attempt.duration = time.monotonic() - started
        self.finished.put((operation, attempt, future))

    # --- Writing ---

    def _collect(self) -> None:
        """Collects finished requests: waits for the first and then briefly for others, to write many at once."""
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
                # A result whose exchange is locked elsewhere is left for later. Only an otherwise idle drain waits for
                # the lock.
                self.results = outbox.settle(self.results, wait=not self.in_flight)
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:
                self._write_one_by_one()
        self._release_stale()

    def _write_one_by_one(self) -> None:
        """Writes each result alone, and refuses the operation of one that the database rejects.

        Such a result must neither hold up the others nor cause its operation to be sent again and again.
        """
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
        """Frees stale claims during a long drain, which may occupy the only worker that would free them."""
        if time.monotonic() - self.looked_for_stale_at > settings.DISPATCH_INTERVAL:
            self.looked_for_stale_at = time.monotonic()
            outbox.release_stale()

    def _bear(self, error: Exception) -> None:
        """Waits a moment if the database is lost, since requests in flight must still be recorded.

        Raises `error` inside a transaction, if nothing is under way, or after `DELIVERY_LEASE` seconds without the
        database.
        """
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


# --- From an answer to a result ---


def result_of(operation: OutgoingOperation, attempt: DeliveryAttempt, future: Future[Response]) -> Result:
    """What one finished try means for its operation. Never raises: an unexpected error becomes a refusal."""
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
        # Our fault, not the partner's: it must neither stop the others nor be retried again and again.
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
    """The fields of the partner's record that the answer names, and a note if some could not be used ("" if none).

    Never raises: an unusable answer does not fail a delivery.
    """
    if not response.body:
        return {}, ""
    if not response.is_complete:
        return {}, "The answer is too long, so it was not used."
    try:
        # A number is kept as its digits: an id must not be rounded.
        answer = json.loads(response.body, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return {}, "The answer is not JSON, so it was not used."
    if not isinstance(answer, dict):
        return {}, "The answer is not a JSON object, so it was not used."
    named = {name: answer[name] for name in REFERENCE_FIELDS if answer.get(name) is not None}
    texts = {name: value for name, value in named.items() if isinstance(value, str)}
    wrong = ", ".join(sorted({*named} - {*texts}))
    return texts, f"Not a text, so not used: {wrong}." if wrong else ""


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
