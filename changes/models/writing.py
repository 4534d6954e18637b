"""The transactions of a record's `save()`: no savepoints, which cost two round trips each."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from django.db import transaction


def within_transaction() -> AbstractContextManager[None]:
    """The caller's transaction, where there is one, else one of its own. An error inside leaves the caller's usable."""
    return nullcontext() if transaction.get_connection().in_atomic_block else transaction.atomic()


def writing() -> AbstractContextManager[None]:
    """Around what writes: it is kept whole, or the caller's transaction is lost with it."""
    return transaction.atomic(savepoint=False)
