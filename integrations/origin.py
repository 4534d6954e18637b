"""The incoming operation that is being applied now: what it causes does not echo to its sender, and names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import IncomingOperation

_current: ContextVar[IncomingOperation | None] = ContextVar("incoming_operation", default=None)


@contextmanager
def applying(operation: IncomingOperation) -> Iterator[None]:
    token = _current.set(operation)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> IncomingOperation | None:
    return _current.get()
