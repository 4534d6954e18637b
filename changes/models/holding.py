"""Row locks of changes that are held already: what is saved under one lock takes it, and reads the row, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import TypeVar

from django.db.models import Model

Record = TypeVar("Record", bound=Model)
# The only change that is held, as the database has it.
_held: ContextVar[Model | None] = ContextVar("held_change", default=None)


@contextmanager
def holding(change: Model) -> Iterator[None]:
    """Whatever is saved inside knows that the caller's transaction holds the row lock of `change`.

    `change` was inserted, or read by `locked()`, in this very transaction, and its fields are those of the row still.
    """
    token = _held.set(copy(change))
    try:
        yield
    finally:
        _held.reset(token)


def held(model: type[Record], key: int) -> Record | None:
    """The change with this key as the database has it, if its lock is held by a caller."""
    change = _held.get()
    return change if isinstance(change, model) and change.pk == key else None


def keep_as_stored(change: Model) -> None:
    """What was just written is what the database has."""
    if held(type(change), change.pk):
        _held.set(copy(change))
