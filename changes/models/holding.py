"""Knowledge of a row lock that is already held, so that several saves lock and read a change only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import Any, TypeVar

from django.db.models import Model

Record = TypeVar("Record", bound=Model)
# A copy of the one change whose lock is held, with the values in the database.
_held: ContextVar[Model | None] = ContextVar("held_change", default=None)
# What receivers note while that lock is held. Its transaction has not ended then, nor anything of it been undone.
_notes: ContextVar[dict[Any, Any] | None] = ContextVar("notes_of_held_change", default=None)
# What a save itself notes while that lock is held, and what is to be done at its end.
_marks: ContextVar[dict[str, Any] | None] = ContextVar("marks_of_held_change", default=None)
_ends: ContextVar[list[Callable[[], None]] | None] = ContextVar("ends_of_held_change", default=None)


@contextmanager
def holding(change: Model) -> Iterator[None]:
    """Tells saves inside that the caller's transaction holds the row lock of `change`, so they do not lock it again.

    The caller must have inserted `change`, or read it by `locked()`, in this transaction, and not altered it since.
    """
    ends: list[Callable[[], None]] = []
    token, notes, marks, end_token = _held.set(copy(change)), _notes.set({}), _marks.set({}), _ends.set(ends)
    try:
        yield
        for end in ends:
            end()
    finally:
        _held.reset(token)
        _notes.reset(notes)
        _marks.reset(marks)
        _ends.reset(end_token)


def at_end(do: Callable[[], None]) -> None:
    """Calls `do` at the end of the innermost `holding()`, unless it ends by an error. Raises LookupError outside."""
    ends = _ends.get()
    if ends is None:
        raise LookupError("No change is held.")
    ends.append(do)


def held(model: type[Record], key: int) -> Record | None:
    """The change with this key as the database has it, if a caller holds its lock; else None."""
    change = _held.get()
    return change if isinstance(change, model) and change.pk == key else None


def notes(change: Model) -> dict[Any, Any]:
    """What was noted in this transaction about a change whose lock is held; add to it. Forgotten if it is not held."""
    kept = _notes.get() if held(type(change), change.pk) else None
    return {} if kept is None else kept


def marks(model: type[Model], key: int) -> dict[str, Any]:
    """What saves noted in this transaction of the change with this key, as `notes()`."""
    kept = _marks.get() if held(model, key) else None
    return {} if kept is None else kept


def keep_as_stored(change: Model) -> None:
    """Updates the copy of a held change after `change` was written. Does nothing if its lock is not held."""
    if held(type(change), change.pk):
        _held.set(copy(change))
