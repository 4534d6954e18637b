"""When transactions meet: which database errors pass when the work is done again, and which mean "not now".

A deadlock or a serialization failure undid the whole transaction, through no fault of who asked. So the work is done
again at its edge, outside of any transaction: a request by the middleware, a partner's operation by who applies it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from django.db import Error, InterfaceError, OperationalError, connection

Result = TypeVar("Result")

TRIES = 3
# Seconds: the shortest and the longest pause before the second try. Later ones grow.
PAUSE = (0.01, 0.05)
# Seconds after which nothing is tried again: who waits for the answer waits long already.
PATIENCE = 10.0
# Seconds that a caller is asked to wait when it was in vain.
RETRY_AFTER = 5

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICT = {"40001", "40P01"}  # serialization failure, deadlock
# Lock timeout, idle in a transaction, transaction timeout, and a standby that has not taken over yet.
_UNAVAILABLE = {"55P03", "25P03", "25P04", "25006"}
_UNAVAILABLE_CLASSES = {"08", "40", "53", "57"}  # connection, rollback, resources, the operator
# https://www.sqlite.org/rescode.html
_SQLITE_BUSY = {5, 6}  # busy, locked
_SQLITE_UNAVAILABLE = _SQLITE_BUSY | {10, 13, 14}  # input/output error, disk full, cannot open


def is_conflict(error: BaseException) -> bool:
    """Whether the transaction was undone because of another one, so that the same work may well succeed now."""
    return any(_sqlstate(cause) in _CONFLICT or _sqlite_code(cause) in _SQLITE_BUSY for cause in _causes(error))


def is_unavailable(error: BaseException) -> bool:
    """Whether the database cannot do it now: a conflict, a timeout, or it is not reached. Not for errors of ours."""
    for cause in _causes(error):
        if (code := _sqlite_code(cause)) is not None:
            return code in _SQLITE_UNAVAILABLE
        if state := _sqlstate(cause):
            return state in _UNAVAILABLE or state[:2] in _UNAVAILABLE_CLASSES
    # Without a code: the connection was not made, or it was lost.
    return isinstance(error, OperationalError | InterfaceError)


def is_undone(error: BaseException) -> bool:
    """Whether the transaction is undone for certain: the database said so, or was never reached.

    With a connection that was lost nobody knows: the commit may have been what was lost the answer to.
    """
    return any(
        _sqlstate(cause) or _sqlite_code(cause) is not None or getattr(cause, "pgconn", None) is not None
        for cause in _causes(error)
    )


def what_to_do(is_read: bool = False, may_be_saved: bool = False) -> str:
    """What a caller is told when the database cannot do it now."""
    text = "The database is busy or not reachable."
    if may_be_saved:
        return f"{text} Whether this was saved is not known: look before you send it again, or use its Idempotency-Key."
    return text if is_read else f"{text} Nothing was saved. Send it again later."


def retry(work: Callable[[], Result], may_repeat: Callable[[], bool] | None = None) -> Result:
    """Does `work`, and again when it met a conflict: at most `TRIES` times, with short pauses.

    `work` does everything in transactions of its own; `may_repeat` can forbid another try. Inside of a transaction
    nothing is tried again, as that transaction is lost as a whole. What was tried in vain here is not tried again by
    a `retry` further out.
    """
    begun = time.monotonic()
    number = 1
    while True:
        try:
            return work()
        except Error as error:
            if not is_conflict(error) or connection.in_atomic_block or getattr(error, "tried_in_vain", False):
                raise
            over = number >= TRIES or time.monotonic() - begun > PATIENCE
            if over or (may_repeat is not None and not may_repeat()):
                error.tried_in_vain = True  # type: ignore[attr-defined]
                raise
        time.sleep(random.uniform(*PAUSE) * number)
        number += 1


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from: Django's error, then the driver's."""
    while error is not None:
        yield error
        error = error.__cause__


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None)


def _sqlite_code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the rest says which kind of it
