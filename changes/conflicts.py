"""Database errors after which the same work is retried, and those that mean that the database is unavailable.

A deadlock or a serialization failure rolls back the whole transaction, and the caller is not at fault. So the work is
retried outside any transaction: the middleware retries a request, the receiving code a partner's operation.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from django.db import Error, InterfaceError, OperationalError, connection
from prometheus_client import Counter

DATABASE_ERRORS = Counter(
    "casexchange_database_errors",
    "Errors of the database: conflicts, after which the work is repeated, times when it was unavailable, and faults.",
    ["kind"],
)

Result = TypeVar("Result")

TRIES = 3
# The shortest and the longest pause before the second try, in seconds. Each later pause is longer.
PAUSE = (0.01, 0.05)
# Seconds after which there is no further try: the caller has waited long enough.
PATIENCE = 10.0
# Seconds that a caller is asked to wait when every try failed.
RETRY_AFTER = 5

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICT = {"40001", "40P01"}  # serialization failure, deadlock
# Lock timeout, idle-in-transaction timeout, transaction timeout, and a standby that is still read-only.
_UNAVAILABLE = {"55P03", "25P03", "25P04", "25006"}
_UNAVAILABLE_CLASSES = {"08", "40", "53", "57"}  # connection, rollback, resources, operator intervention
# https://www.sqlite.org/rescode.html
_SQLITE_BUSY = {5, 6}  # busy, locked
_SQLITE_UNAVAILABLE = _SQLITE_BUSY | {10, 13, 14}  # input/output error, disk full, cannot open


# Whether what is written now may stay although the request is repeated.
_may_stay: ContextVar[bool] = ContextVar("may_stay", default=False)


@contextmanager
def written_apart() -> Iterator[None]:
    """What is written inside is no part of the request's work, such as a count: it may be committed, and the request
    still be repeated after a conflict."""
    token = _may_stay.set(True)
    try:
        yield
    finally:
        _may_stay.reset(token)


def is_written_apart() -> bool:
    return _may_stay.get()


def is_conflict(error: BaseException) -> bool:
    """Whether the work failed because of another transaction. The same work may succeed when it is retried."""
    return any(_sqlstate(cause) in _CONFLICT or _sqlite_code(cause) in _SQLITE_BUSY for cause in _causes(error))


def is_unavailable(error: BaseException) -> bool:
    """Whether the database is unavailable now: a conflict, a timeout, no connection, ... False for faults of ours."""
    for cause in _causes(error):
        if (code := _sqlite_code(cause)) is not None:
            return code in _SQLITE_UNAVAILABLE
        if state := _sqlstate(cause):
            return state in _UNAVAILABLE or state[:2] in _UNAVAILABLE_CLASSES
    # An error without a code means that the connection failed or was lost.
    return isinstance(error, OperationalError | InterfaceError)


def count_error(error: BaseException) -> None:
    """Counts an error of the database for Prometheus, once, however many places meet it."""
    if getattr(error, "is_counted", False):
        return
    error.is_counted = True  # type: ignore[attr-defined]
    kind = "conflict" if is_conflict(error) else "unavailable" if is_unavailable(error) else "fault"
    DATABASE_ERRORS.labels(kind).inc()


def is_undone(error: BaseException) -> bool:
    """Whether the transaction was certainly rolled back: the database said so, or was never reached.

    If the connection dropped during COMMIT, the outcome is unknown, and this is False.
    """
    return any(
        _sqlstate(cause) or _sqlite_code(cause) is not None or getattr(cause, "pgconn", None) is not None
        for cause in _causes(error)
    )


def what_to_do(is_read: bool = False, may_be_saved: bool = False) -> str:
    """The message for a caller when the database is unavailable. `may_be_saved`: the outcome is unknown."""
    text = "The database is busy or not reachable."
    if may_be_saved:
        return f"{text} This may have been saved: check before you send it again, or use the same Idempotency-Key."
    return text if is_read else f"{text} Nothing was saved. Send it again later."


def retry(work: Callable[[], Result], may_repeat: Callable[[], bool] | None = None) -> Result:
    """The result of `work()`, which is called again after a conflict: at most `TRIES` times, with short pauses.

    `work` opens its own transactions. `may_repeat` returns False to forbid another try. Inside a transaction nothing
    is retried, because the conflict rolls back that whole transaction. Raises the last error; an outer `retry()` does
    not retry an error that was retried here.
    """
    begun = time.monotonic()
    number = 1
    while True:
        try:
            return work()
        except Error as error:
            count_error(error)
            if not is_conflict(error) or connection.in_atomic_block or getattr(error, "tried_in_vain", False):
                raise
            over = number >= TRIES or time.monotonic() - begun > PATIENCE
            if over or (may_repeat is not None and not may_repeat()):
                error.tried_in_vain = True  # type: ignore[attr-defined]
                raise
        time.sleep(random.uniform(*PAUSE) * number)
        number += 1


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and the errors that it was raised from: Django's first, then the driver's."""
    while error is not None:
        yield error
        error = error.__cause__


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None)


def _sqlite_code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the higher bits only refine the code
