"""The incoming operation that is being applied now.

Outgoing operations that it causes name it as their cause, and none of them goes back to its sender.
"""

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
    """Makes `operation` the current one inside the `with` block."""
    token = _current.set(operation)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> IncomingOperation | None:
    """The operation that is being applied, or None outside `applying`."""
    return _current.get()
