"""A model of the contract for outgoing operations, without a database. It is written from the contract and the
docstrings of the outbox, not from its code.

A step of the test consists of events. `Event.on()` returns the effect of an event on one operation. Events of the same
step may have happened in any order.
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
    """The fields of an operation that the protocol changes."""

    status: str = "Waiting"
    tries: int = 0
    claim: int = 0
    claimed_until: datetime | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened to some operations.

    `on()` returns the possible states of an operation after it. An empty list means that the event was not possible.
    """

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
    """Results were settled. Each has the operation's id, the number of its claim, and the outcome."""

    results: tuple[tuple[UUID, int, Outcome], ...]

    def on(self, key: UUID, state: State) -> list[State]:
        own = [(claim, outcome) for operation, claim, outcome in self.results if operation == key]
        # A delivery counts even from a stale claim, unless the operation was refused or settled in the meantime.
        if state.status in ("Sending", "Waiting") and any(outcome is Outcome.DELIVERED for _, outcome in own):
            return [self._after(state, Outcome.DELIVERED)]
        for claim, outcome in own:
            # Every other outcome counts only for the current claim.
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
    """The open ones of these operations were skipped. `count`: the number that the person was told."""

    keys: frozenset[UUID]
    count: int | None = None

    def on(self, key: UUID, state: State) -> list[State]:
        return [replace(state, status="Skipped") if key in self.keys and state.status in OPEN else state]


@dataclass(frozen=True)
class NotOpen(Event):
    """A person was told that the operation is being sent or is settled."""

    key: UUID

    def on(self, key: UUID, state: State) -> list[State]:
        return [] if key == self.key and state.status in OPEN else [state]


@dataclass(frozen=True)
class Released(Event):
    """Stale claims were freed. `alone`: nothing ran at the same time, so no stale claim may be left."""

    now: datetime
    alone: bool = True

    def on(self, key: UUID, state: State) -> list[State]:
        if state.status != "Sending" or state.claimed_until is None:
            return [state]
        free = State("Waiting", state.tries, state.claim)
        if state.claimed_until < self.now:
            return [free] if self.alone else [free, state]
        # Such a late end means that the clock was set back. The sweep may or may not free this claim.
        return [free, state] if state.claimed_until > self.now + LEASE else [state]


def possible(key: UUID, state: State, events: Iterable[Event]) -> set[State]:
    """The possible states of an operation after these events, in any order."""
    found: set[State] = set()
    for order in permutations(events):
        states = [state]
        for event in order:
            states = [after for before in states for after in event.on(key, before)]
        found.update(states)
    return found


# --- Expected operations ---

GROUPS = {"": None, "Network": None, "ACME Networks": "ACME", "BETA Servers": "BETA"}


@dataclass
class Recording:
    """The operations that the edits of one change must cause, by system and in order: name and comment of each."""

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
        # The model has no Reject, so a system that had an Assign stays linked.
        for operations in self.operations.values():
            operations.append(("Update", body))


# --- Arrivals ---


@dataclass
class Arrival:
    """The first arrival of an operation. `taken`: whether the partner accepted it then or later."""

    exchange: tuple[str, str]
    sequence: int
    said: dict[str, Any]
    taken: bool = False


class Partners:
    """Records arrivals. Checks that first arrivals are in the order of `sequence`, except skipped operations."""

    def __init__(self) -> None:
        self.arrived: dict[str, Arrival] = {}

    def receive(self, message: dict[str, Any], takes: bool, skipped: set[str]) -> None:
        """`skipped`: the ids of skipped operations. A suspended worker may still send them at any time."""
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
    """Checks that no period has more claims than the limit allows, plus one burst."""

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
