"""What this thread works on now, for its log lines: a request, a task, or an operation that is being sent.

The id of a request follows all that the request causes: it is kept with the operations that it records, and with bulk
jobs. So one id leads from a page to the partner.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Protocol

HEADER = "X-Request-ID"
# In which a caller that makes traces names its own: https://www.w3.org/TR/trace-context/
TRACEPARENT = "traceparent"
# Also the length of the columns that keep one. Nothing in it can look like another field of a log line or a header.
LONGEST = 64
_SANE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{7,{LONGEST - 1}}}")

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Work(Protocol):
    @property
    def request_id(self) -> str:
        """The id of the request that is the cause; "" for none."""
        ...

    def told(self) -> Mapping[str, object]:
        """What log lines say of it, besides the request id."""
        ...


@dataclass
class RequestWork:
    """A request; or other work that is a cause by itself, such as a poll. `operations`: those that it recorded."""

    request_id: str
    operations: list[str] = field(default_factory=list)

    def told(self) -> Mapping[str, object]:
        return {}


@dataclass(frozen=True)
class TaskWork:
    """A task of a worker."""

    task: str
    request_id: str = ""

    def told(self) -> Mapping[str, object]:
        return {"task": self.task}


_current: ContextVar[Work | None] = ContextVar("work", default=None)


def begin(work: Work | None) -> Token[Work | None]:
    """Makes `work` the current one until `end()`. For where `working_on()` is too slow, or not possible."""
    return _current.set(work)


def end(token: Token[Work | None]) -> None:
    _current.reset(token)


@contextmanager
def working_on(work: Work) -> Iterator[None]:
    token = begin(work)
    try:
        yield
    finally:
        end(token)


def request_id() -> str:
    """The id of the request that is the cause of what is done now; "" if there is none."""
    work = _current.get()
    return work.request_id if work is not None else ""


def note_recorded(operations: list[str]) -> None:
    """Notes the ids of operations that were recorded, for the log line of the request. Call it after the commit."""
    work = _current.get()
    if isinstance(work, RequestWork):
        work.operations += operations


def log_fields() -> dict[str, object]:
    """What a log line says of the current work."""
    work = _current.get()
    if work is None:
        return {}
    named = {"request_id": work.request_id} if work.request_id else {}
    return {**named, **work.told()}


def new_request_id() -> str:
    """Random in all its digits, since it is the id of a trace as well, and samplers look at some of them."""
    return secrets.token_hex(16)


def sane(given: str | None, traceparent: str = "") -> str:
    """The id that a proxy or a partner gave; if it gave none, or one that could upset a log, that of its trace or a new
    one."""
    if given and _SANE.fullmatch(given):
        return given
    trace = _TRACEPARENT.fullmatch(traceparent)
    return trace[1] if trace and int(trace[1], 16) else new_request_id()
