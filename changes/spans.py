"""Traces, if the operator asked for them: casexchange/tracing.py sets the tracer. Without one this costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import psycopg

Fields = Mapping[str, object]


class Open(Protocol):
    """A span that has begun. What the thread does meanwhile belongs to it."""

    def end(self, name: str, fields: Fields, is_fault: bool) -> None: ...

    def drop(self) -> None:
        """It was none after all."""
        ...


class Tracer(Protocol):
    def begin(self, traceparent: str) -> Open:
        """The span of a request, which is the current work. `traceparent`: the caller's header, "" for none."""
        ...

    def add(self, name: str, began: datetime, seconds: float, request_id: str, fields: Fields, is_fault: bool) -> None:
        """The span of a call to a partner that has ended, in the trace of the request that caused it."""
        ...


_tracer: Tracer | None = None
_cursor: type[psycopg.Cursor[Any]] = psycopg.Cursor


def use(tracer: Tracer, cursor: type[psycopg.Cursor[Any]]) -> None:
    global _tracer, _cursor
    _tracer, _cursor = tracer, cursor


def tracer() -> Tracer | None:
    return _tracer


def prepared_cursor() -> type[psycopg.Cursor[Any]]:
    """The class of cursor for prepared statements: see changes/models/prepared.py."""
    return _cursor
