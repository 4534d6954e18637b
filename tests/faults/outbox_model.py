"""What the contract says of outgoing operations, as a model without a database: it is written from the contract's
page and the outbox' docstrings, not from its code.

A step of the test consists of events. What an event does to one operation is told by `Event.on()`; what happened at
the same time may have happened in any order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

from integrations.outgoing.outbox import Outcome

LEASE = timedelta(seconds=10)
SCHEDULE = [5, 20, 40]
SETTLED = {"Delivered", "Skipped"}
OPEN = {"Waiting", "Refused"}


# --- One operation ---


@dataclass(frozen=True)
class State:
    """Of an operation, as far as the protocol changes it."""

    status: str = "Waiting"
    tries: int = 0
    claim: int = 0
    claimed_until: datetime | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened to these operations. `on()`: what it can have made of one; nothing: it cannot be."""

    def on(self, key: UUID, state: State) -> list[State]:
        raise TypeError(self)


@dataclass(frozen=True)
class Claimed(Event):
    keys: frozenset[UUID]
    now: datetime

    def on(self, key: UUID, state: State) -> list[State]:
        if key not in self.keys:
            return [state]
        if state.status != "Waiting":
            return []
        return [State("Sending", state.tries, state.claim + 1, self.now + LEASE)]


@dataclass(frozen=True)
class Tried(Event):
    """Results were settled: for each the operation, the number of its claim, and the outcome."""

    results: tuple[tuple[UUID, int, Outcome], ...]

    def on(self, key: UUID, state: State) -> list[State]:
        own = [(claim, outcome) for operation, claim, outcome in self.results if operation == key]
        # That the partner has it counts whoever says so, while nothing newer was settled.
        if state.status in ("Sending", "Waiting") and any(outcome is Outcome.DELIVERED for _, outcome in own):
            return [self._after(state, Outcome.DELIVERED)]
        for claim, outcome in own:
            # The fence: what else a worker says whose claim is not the latest, or was ended, counts for nothing.
            if (state.status, state.claim) == ("Sending", claim):
                return [self._after(state, outcome)]
        return [state]

    @staticmethod
    def _after(state: State, outcome: Outcome) -> State:
        if outcome is Outcome.DELIVERED:
            return State("Delivered", state.tries, state.claim)
        if outcome is Outcome.PAUSE:
            return State("Waiting", state.tries, state.claim)
        tries = state.tries + 1
        is_given_up = outcome is Outcome.REFUSED or tries > len(SCHEDULE)
        return State("Refused" if is_given_up else "Waiting", tries, state.claim)


@dataclass(frozen=True)
class Retried(Event):
    key: UUID

    def on(self, key: UUID, state: State) -> list[State]:
        if key != self.key:
            return [state]
        return [replace(state, status="Waiting", tries=0)] if state.status in OPEN else []


@dataclass(frozen=True)
class Skipped(Event):
    """Those of these that were open then; as many as the person was told."""

    keys: frozenset[UUID]
    count: int | None = None

    def on(self, key: UUID, state: State) -> list[State]:
        return [replace(state, status="Skipped") if key in self.keys and state.status in OPEN else state]


@dataclass(frozen=True)
class NotOpen(Event):
    """A person was told that it is being sent or settled."""

    key: UUID

    def on(self, key: UUID, state: State) -> list[State]:
        return [] if key == self.key and state.status in OPEN else [state]


@dataclass(frozen=True)
class Released(Event):
    """Stale claims were looked for. `alone`: nobody was at work at the same time, so none may be left."""

    now: datetime
    alone: bool = True

    def on(self, key: UUID, state: State) -> list[State]:
        if state.status != "Sending" or state.claimed_until is None:
            return [state]
        free = State("Waiting", state.tries, state.claim)
        if state.claimed_until < self.now:
            return [free] if self.alone else [free, state]
        # A lease that ends so late is of a clock that was set back since: it may or may not be seen.
        return [free, state] if state.claimed_until > self.now + LEASE else [state]


def possible(key: UUID, state: State, events: Iterable[Event]) -> set[State]:
    """What can have become of an operation after these events, in any order."""
    found: set[State] = set()
    for order in permutations(events):
        states = [state]
        for event in order:
            states = [after for before in states for after in event.on(key, before)]
        found.update(states)
    return found


# --- What is to be sent ---

GROUPS = {"": None, "Network": None, "ACME Networks": "ACME", "BETA Servers": "BETA"}


@dataclass
class Recording:
    """Which operations the edits of one change must have caused, by system, in order: what it is, and the comment."""

    group: str = ""
    operations: dict[str, list[tuple[str, str | None]]] = field(default_factory=lambda: defaultdict(list))

    def reassigned(self, group: str) -> None:
        before, after = GROUPS[self.group], GROUPS[group]
        self.group = group
        if before == after:
            return
        if before:
            self.operations[before].append(("Accept", None))
        if after:
            self.operations[after].append(("Assign", None))

    def commented(self, body: str) -> None:
        # There is no Reject here, so who had an Assign stays linked.
        for operations in self.operations.values():
            operations.append(("Update", body))


# --- What arrives ---


@dataclass
class Arrival:
    """The first time that an operation came to the partner, and what the partner made of it later."""

    exchange: tuple[str, str]
    sequence: int
    said: dict[str, Any]
    taken: bool = False


class Partners:
    """Notes what arrives. The order of first arrivals is that of the sequence, but for what a person skipped."""

    def __init__(self) -> None:
        self.arrived: dict[str, Arrival] = {}

    def receive(self, message: dict[str, Any], takes: bool, skipped: set[str]) -> None:
        """`skipped`: the ids of operations that a person gave up, which a worker that slept may send ever so late."""
        key = message["id"]
        exchange = (message["change"]["number"], message["system_id"])
        said = {name: value for name, value in message.items() if name != "external_reference"}
        if key in self.arrived:
            assert self.arrived[key].said == said, f"a repeat differs: {self.arrived[key].said} {said}"
        else:
            later = [
                arrival.sequence
                for other, arrival in self.arrived.items()
                if arrival.exchange == exchange and other not in skipped and arrival.sequence > message["sequence"]
            ]
            assert key in skipped or not later, f"{exchange}: {message['sequence']} came after {later}"
            self.arrived[key] = Arrival(exchange, message["sequence"], said)
        self.arrived[key].taken |= takes


# --- The rate limit ---


@dataclass
class Rate:
    """No stretch of time sees more claims than the limit allows for it, and one burst."""

    per_minute: int | None = None
    claims: list[tuple[datetime, int]] = field(default_factory=list)

    def set(self, per_minute: int | None) -> None:
        self.per_minute = per_minute
        self.claims.clear()

    def clock_set_back(self) -> None:
        self.claims.clear()

    def claimed(self, count: int, now: datetime) -> None:
        if not self.per_minute:
            return
        self.claims.append((now, count))
        pause = timedelta(minutes=1) / self.per_minute
        burst = max(timedelta(seconds=1), pause)
        for index, (since, _) in enumerate(self.claims):
            total = sum(count for _, count in self.claims[index:])
            assert total * pause <= now - since + burst, f"{total} within {now - since} at {self.per_minute} a minute"
