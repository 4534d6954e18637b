"""The objects that the rows of one run share: the stack, and databases that are prepared on first use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

from .figures import Figure
from .seeding import OurSeed, seed_baseline, seed_operations, seed_ours
from .sink import Arrival
from .stack import Stack

COMMENTS = 9


class Session:
    """`changes`: the number of changes to drain, with ten operations each. `size`: the number of changes in a large
    database. `minutes`: of the soak. `say`: prints a line of progress."""

    def __init__(self, stack: Stack, changes: int, size: int, minutes: int, say: Callable[[str], None]) -> None:
        self.stack = stack
        self._changes = changes
        self.size = size
        self.minutes = minutes
        self.say = say
        self._messages: list[tuple[str, str]] = []

    @cached_property
    def partners(self) -> OurSeed:
        """Our database with ten partners and no change."""
        return seed_ours(self.stack)

    @cached_property
    def waiting(self) -> OurSeed:
        """The same with the operations to drain."""
        count = self._changes * COMMENTS
        self.say(f"saving {self._changes} changes and {count} comments, from which the operations follow")
        return seed_operations(self.stack, self.partners, self._changes, COMMENTS)

    @cached_property
    def baseline_tokens(self) -> dict[str, str]:
        """The tokens of the baseline's users. The first access creates the baseline's database."""
        return seed_baseline(self.stack)

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Address and body of each operation as casexchange sends them. The baseline sends the same."""
        if not self._messages:
            from .outgoing import drain_ours

            self.say("draining once: what ours sends is what the baseline will send")
            self.keep_messages(drain_ours(self).arrivals)
        return self._messages

    def keep_messages(self, arrivals: Sequence[Arrival]) -> None:
        self._messages = self._messages or [
            (self.stack.sink.url + arrival.path, arrival.body.decode()) for arrival in arrivals
        ]


class Row(Protocol):
    """One measurement, with one or more rows of the table. `measure()` runs one round."""

    name: str
    figures: list[Figure]

    def measure(self) -> None: ...
