"""The participants in the outbox machine: the behaviour of partners, and the operations that workers hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from integrations.models import OutgoingOperation
from integrations.outgoing import outbox
from integrations.outgoing.outbox import Outcome
from integrations.transports.base import NoAnswer, Response, TransportError

from .outbox_model import Event

BEGIN = datetime(2026, 3, 2, 12, tzinfo=timezone.get_default_timezone())
CHANGES = 3
WORKERS = 2
SYSTEMS = ("ACME", "BETA")
# Enough for everything that delays operations at the end: pauses, breakers, a rate limit of one in two seconds.
LAST_TICKS = 200
# The behaviours of a partner: its answer or the failure of the call, and the outcome.
BEHAVIOURS = {
    "takes": (Response(200, {}, b""), Outcome.DELIVERED),
    "takes and answers": (None, Outcome.DELIVERED),
    "is busy": (Response(503, {}, b""), Outcome.RETRY),
    "asks to wait": (Response(429, {"Retry-After": "30"}, b""), Outcome.RETRY),
    "refuses": (Response(400, {}, b"{}"), Outcome.REFUSED),
    "forbids": (Response(401, {}, b""), Outcome.PAUSE),
    "takes, but its answer is lost": (TransportError("no answer", NoAnswer.TIMEOUT), Outcome.RETRY),
    "is not there": (TransportError("refused", NoAnswer.CONNECTION_REFUSED), Outcome.RETRY),
}
TAKES = {"takes", "takes and answers", "takes, but its answer is lost"}


@dataclass
class Work:
    """`run` works on the database. After its commit, `note` updates the model with the result of `run`."""

    run: Callable[[], Any]
    note: Callable[[Any], list[Event]]


@dataclass
class Held:
    """An operation that a worker claimed. `result` is None until it was sent."""

    operation: OutgoingOperation
    result: outbox.Result | None = None


@dataclass
class Worker:
    """A worker process. What it holds is lost when it dies."""

    held: list[Held] = field(default_factory=list)

    def sent(self) -> list[Held]:
        return [held for held in self.held if held.result]


def is_open(decide: Callable[[], None]) -> bool:
    try:
        decide()
    except outbox.NotOpen:
        return False
    return True


def rotated(items: list[Any], first: int) -> list[Any]:
    first = first % len(items) if items else 0
    return items[first:] + items[:first]
