"""Claims operations, sends them and records the results. No transaction is open while sending.

One thread of a drain uses the database. It claims what is due, hands the requests to the transport, and writes the
results that have arrived, many in one transaction. The transport sends from its own thread. So a slow partner does not
hold up the others, and under load the batches grow.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import lru_cache, partial
from queue import Empty, SimpleQueue

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone
from django.utils.translation import gettext as _

from changes import work
from changes.conflicts import count_error
from changes.models import restored_copy
from integrations.choices import DeliveryStatus, Failure
from integrations.models import DeliveryAttempt, OutgoingOperation
from integrations.transports.base import Request, Response, Transport
from integrations.transports.http import HttpTransport
from integrations.workers import shutdown, signs

from . import outbox
from .outbox import Outcome, Result
from .sending import OperationWork, Senders, Sending, failed

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

Finished = tuple[Sending, DeliveryAttempt, "Future[Response]"]


def drain() -> int:
    """Sends operations, many at a time, until none is due. Returns the number of tries.

    Raises the database's error if the database cannot be used for `DELIVERY_LEASE` seconds. The operations under way
    are then sent again later, with the same ids.
    """
    return _Drain(transport()).run()


def transport() -> Transport:
    """The transport of this process."""
    return _transport(os.getpid())


class HeldBack(Exception):  # noqa: N818 - says the state, as the changes' exceptions do
    """This is a restored copy that waits, so nothing was called."""


def call(request: Request) -> Response:
    """Makes a call that a person asked for, and waits for its answer. Raises TransportError, or HeldBack."""
    if restored_copy():
        raise HeldBack(_("This is a restored copy, which calls nobody. Nothing was called."))
    return transport().submit([request])[0].result()


@lru_cache(maxsize=1)
def _transport(process_id: int) -> Transport:
    """One per process: the parent's thread and connections do not exist in a forked child."""
    transport = HttpTransport(settings.OUTGOING_ALLOWED_NETWORKS)
    # A child that was forked later must not close it: the child has no such thread.
    atexit.register(lambda: transport.close() if os.getpid() == process_id else None)
    return transport


class _Drain:
    """One run of `drain()`. `claimed`: operations not sent yet. `results`: results not written yet.

    `waiting`: what must be asked again for its next call. `under_way`: operations between two calls, by their results,
    which are written before the next call is made.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.in_flight = 0
        self.tries = 0
        self.finished: SimpleQueue[Finished] = SimpleQueue()
        self.results: list[Result] = []
        self.senders = Senders()
        self.waiting: list[Sending] = []
        self.under_way: dict[int, Sending] = {}
        self.asked_at = 0.0
        self.claimed: list[OutgoingOperation] = []
        self.database_lost_at: float | None = None
        self.claimed_at = self.looked_for_stale_at = time.monotonic()

    def run(self) -> int:
        while True:
            try:
                self._claim_and_send()
                self._ask_again()
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
        return not (self.in_flight or self.results or self.claimed or self.waiting)

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
            busy = self.in_flight + len(self.results) + len(self.waiting)
            self.claimed = outbox.claim(min(IN_FLIGHT - busy, CLAIMED_AT_ONCE))
            if self.claimed:
                self.claimed_at = began
        if not self.claimed:
            return
        operations, self.claimed = self.claimed, []
        if time.monotonic() - self.claimed_at > settings.DELIVERY_LEASE:
            return  # the lease has run out: another worker may have claimed them, or a person skipped one
        self._go_on(self.senders.begin(operations))

    def _go_on(self, sendings: Sequence[Sending]) -> None:
        """Makes the next call of each, all at once."""
        requests: list[Request] = []
        sent: list[tuple[Sending, DeliveryAttempt]] = []
        for sending in sendings:
            attempt = DeliveryAttempt(
                operation=sending.operation, claim=sending.operation.claim, started_at=timezone.now(), duration=0.0
            )
            token = work.begin(OperationWork(sending.operation))
            try:
                following = sending.next(attempt)
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:  # noqa: BLE001 - made a refusal and logged
                following = failed(sending.operation, attempt, error)
            finally:
                work.end(token)
            if isinstance(following, Result):
                self.tries += 1
                self.results.append(following)
            elif following is None:
                self.waiting.append(sending)
            else:
                requests.append(following)
                sent.append((sending, attempt))
        for (sending, attempt), future in zip(sent, self.transport.submit(requests), strict=True):
            self.in_flight += 1
            future.add_done_callback(partial(self._finish, sending, attempt, time.monotonic()))

    def _ask_again(self) -> None:
        if self.waiting and time.monotonic() - self.asked_at > LOOK_AGAIN:
            self.asked_at = time.monotonic()
            waiting, self.waiting = self.waiting, []
            self._go_on(waiting)

    def _finish(self, sending: Sending, attempt: DeliveryAttempt, started: float, future: Future[Response]) -> None:
        """Called in the transport's thread. The monotonic clock is used since the system clock may be set."""
        attempt.duration = time.monotonic() - started
        self.finished.put((sending, attempt, future))

    # --- Writing ---

    def _collect(self) -> None:
        """Collects finished requests: waits for the first and then briefly for others, to write many at once."""
        taken = 0
        until = time.monotonic() + (LINGER if self.results else LOOK_AGAIN)
        if self.waiting and not self.in_flight and not self.results:
            time.sleep(LOOK_AGAIN)
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
            self.results.append(self._result_of(*finished))

    def _result_of(self, sending: Sending, attempt: DeliveryAttempt, future: Future[Response]) -> Result:
        """What one finished call means for its operation. Never raises: an unexpected error becomes a refusal."""
        error = future.exception()
        token = work.begin(OperationWork(sending.operation))
        try:
            result = sending.failed(attempt, error) if error else sending.answered(attempt, future.result())  # type: ignore[arg-type]
        except (OperationalError, InterfaceError):
            raise
        except Exception as unexpected:  # noqa: BLE001 - made a refusal and logged
            result = failed(sending.operation, attempt, unexpected)
        finally:
            work.end(token)
        if result.outcome is None:
            self.under_way[id(result)] = sending
        return result

    def _write(self) -> None:
        if self.results:
            try:
                # A result whose exchange is locked elsewhere is left for later. Only an otherwise idle drain waits for
                # the lock.
                written, self.results = self.results, outbox.settle(self.results, wait=not self.in_flight)
                self._continue(written)
            except (OperationalError, InterfaceError):
                raise
            except (DatabaseError, UnicodeError):
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
            except (DatabaseError, UnicodeError) as error:
                logger.exception("The result of %s cannot be written", result.operation.pk)
                self.under_way.pop(id(result), None)
                outbox.settle([_unwritable(result, error)])
            self.results = self.results[1:]
            self._continue([result])

    def _continue(self, written: Sequence[Result]) -> None:
        """Makes the next calls of the operations whose last step was written, if their claim is still ours."""
        if not self.under_way:
            return
        left = {id(result) for result in self.results}
        steps = [result for result in written if result.outcome is None and id(result) not in left]
        sendings = [(result, self.under_way.pop(id(result), None)) for result in steps]
        held = [sending for result, sending in sendings if sending is not None and result.is_held]
        if shutdown.is_asked():
            # The next worker goes on behind the steps that were written.
            keys = [sending.operation.pk for sending in held]
            outbox.free(OutgoingOperation.objects.filter(pk__in=keys, status=DeliveryStatus.SENDING), timezone.now())
        else:
            self._go_on(held)

    def _release_stale(self) -> None:
        """Frees stale claims during a long drain, which may occupy the only worker that would free them."""
        if time.monotonic() - self.looked_for_stale_at > settings.DISPATCH_INTERVAL:
            self.looked_for_stale_at = time.monotonic()
            outbox.release_stale()
            signs.leave(signs.DELIVERY)

    def _bear(self, error: Exception) -> None:
        """Waits a moment if the database is lost, since requests in flight must still be recorded.

        Raises `error` inside a transaction, if nothing is under way, or after `DELIVERY_LEASE` seconds without the
        database.
        """
        count_error(error)
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


def _unwritable(result: Result, error: Exception) -> Result:
    attempt = DeliveryAttempt(
        operation=result.operation,
        claim=result.attempt.claim,
        started_at=result.attempt.started_at,
        duration=result.attempt.duration,
        failure=Failure.INTERNAL,
        error=f"internal error: the result could not be written: {type(error).__name__}",
    )
    return Result(result.operation, attempt, Outcome.REFUSED, attempt.error)
