"""The transactions of a record's `save()`: no savepoints, which cost two round trips each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from django.db import transaction

from changes.prepared import prepared


def within_transaction() -> AbstractContextManager[None]:
    """The caller's transaction, where there is one, else one of its own. An error inside leaves the caller's usable."""
    return nullcontext() if transaction.get_connection().in_atomic_block else transaction.atomic()


@contextmanager
def writing() -> Iterator[None]:
    """Around what writes: it is kept whole, or the caller's transaction is lost with it."""
    with prepared(), transaction.atomic(savepoint=False):
        yield
