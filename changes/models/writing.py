"""The transactions of a record's `save()`. They use no savepoints, which cost two round trips each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from django.db import transaction

from .prepared import prepared


def within_transaction() -> AbstractContextManager[None]:
    """Joins the caller's transaction, or opens one if there is none. An error inside leaves the caller's usable."""
    return nullcontext() if transaction.get_connection().in_atomic_block else transaction.atomic()


@contextmanager
def writing() -> Iterator[None]:
    """Wraps the writes. After an error inside, the caller's transaction can only be rolled back."""
    with prepared(), transaction.atomic(savepoint=False):
        yield
