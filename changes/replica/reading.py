"""What reads from the replica: the code inside `reading_from_replica()`.

casexchange/database_router.py asks this for each query. Outside, and without a replica, all is read from the primary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.conf import settings

REPLICA = "replica"
_is_reading: ContextVar[bool] = ContextVar("reads_from_replica", default=False)


def has_replica() -> bool:
    return REPLICA in settings.DATABASES


def is_read_from_replica() -> bool:
    return _is_reading.get()


@contextmanager
def reading_from_replica() -> Iterator[None]:
    """Inside, changes and the exchange are read from the replica. Build querysets inside too, not before it."""
    token = _is_reading.set(True)
    try:
        yield
    finally:
        _is_reading.reset(token)
