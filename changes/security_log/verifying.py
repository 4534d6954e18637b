"""Checks the chain from its first entry, or from a kept one, to its last, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connection

from changes.models.append_only import is_installed
from changes.models.installation.security_event import NO_HASH, SecurityEvent

AT_ONCE = 1000


@dataclass
class Walk:
    """The state of a check. Iterate over `faults()`, then read the other attributes.

    `since`: the id and hash of an entry that was kept elsewhere; only it and those after it are read. `kept`: the hash
    of what once was the last entry, which must still be there.
    """

    since: tuple[int, str] | None = None
    kept: str = ""
    count: int = 0
    last_id: int = 0
    last_hash: str = NO_HASH
    _has_kept: bool = field(default=False, init=False)

    def faults(self) -> Iterator[str]:
        """Each fault as a sentence."""
        if not is_installed(connection):
            yield "The triggers that keep the log append-only are missing from the database."
        if self.since:
            self.last_id = self.since[0] - 1
        for event in self._events():
            yield from self._check(event)
            self.count += 1
            self._has_kept = self._has_kept or event.hash == self.kept
        if self.since and not self.count:
            yield f"Entry {self.since[0]} is missing, and all after it: the end of the log was cut off."
        if self.kept and not self._has_kept:
            yield f"No entry has the hash {self.kept}: the end of the log was cut off or altered."

    def _check(self, event: SecurityEvent) -> Iterator[str]:
        number, previous = event.id, self.last_hash
        is_kept_one = self.since is not None and number == self.since[0]
        if number < 1:
            yield f"Entry {number} was inserted: the first entry is 1."
            return
        if number == self.last_id + 2:
            yield f"Entry {number - 1} is missing."
        elif number > self.last_id + 2:
            yield f"Entries {self.last_id + 1} to {number - 1} are missing."
        is_next = number == self.last_id + 1
        if event.computed_hash() != event.hash:
            yield f"Entry {number} was altered or inserted: its hash is not that of its contents."
        elif is_next and not is_kept_one and event.previous_hash != previous:
            yield f"Entry {number} does not follow from the entry before it: one of the two was replaced."
        if is_kept_one and self.since and event.hash != self.since[1]:
            yield f"Entry {number} does not have the kept hash {self.since[1]}: it was altered."
        self.last_id, self.last_hash = number, event.hash

    def _events(self) -> Iterator[SecurityEvent]:
        """In portions: a cursor on the server would not work behind every connection pool."""
        rows = SecurityEvent.objects.order_by("id")
        if self.since:
            rows = rows.filter(id__gte=self.since[0])
        after: int | None = None
        while portion := list((rows if after is None else rows.filter(id__gt=after))[:AT_ONCE]):
            yield from portion
            after = portion[-1].id
