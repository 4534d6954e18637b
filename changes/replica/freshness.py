"""Whether the replica has what a page must show, as far as this process knows.

A position is a place in the primary's write-ahead log. The process notes the primary's position every `MARK_EVERY`
seconds, as long as pages are asked for. A replica that has replayed a mark shows all that was committed before it, so
pages from it are at most `OLDEST` seconds behind. Between two marks a page costs no query for this.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock

from django.db import DEFAULT_DB_ALIAS, Error, connections

from changes.conflicts import is_conflict

from .reading import REPLICA

logger = logging.getLogger(__name__)

# Seconds between two marks, and the age at which a mark no longer counts.
MARK_EVERY, OLDEST = 2.0, 5.0
# Seconds between two looks at a replica that is behind.
LOOK_EVERY = 0.5
# Seconds for which a replica that failed is left alone. Then one page tries it, while the others leave it alone.
PAUSE = 10.0


class Refusal(StrEnum):
    """Why the primary answers a page that the replica may answer."""

    BEHIND = "behind"
    OWN_WRITE = "own_write"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class _Mark:
    """The primary's position at a time of this process's clock, or a little later."""

    at: float
    position: int


class Freshness:
    """What one process knows of the replica. All its threads share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._marks: deque[_Mark] = deque()
        self._replayed = 0
        self._looked_at = 0.0
        self._is_looking = False
        self._is_failing = False
        self._closed_until = 0.0

    def refusal(self, own: int = 0) -> Refusal | None:
        """Why a page cannot be read from the replica now; None if it can. `own`: the position of what the person wrote.

        Raises the primary's error if the primary fails.
        """
        with self._lock:
            now = time.monotonic()
            if now < self._closed_until:
                return Refusal.UNREACHABLE
            is_turn = not self._is_looking and (self._is_failing or self._is_due(now))
            if self._is_failing and not is_turn:
                return Refusal.UNREACHABLE
            self._is_looking |= is_turn
        try:
            if (is_turn or own > self._replayed) and not self._look():
                return Refusal.UNREACHABLE
        finally:
            if is_turn:
                self._is_looking = False
        with self._lock:
            if own > self._replayed:
                return Refusal.OWN_WRITE
            return None if self._has_replayed_enough(time.monotonic()) else Refusal.BEHIND

    def failed(self, error: Error) -> Refusal:
        """Notes that a query of the replica failed. Returns why the primary answers instead."""
        if is_conflict(error):
            # It replays something that the query was in the way of, and is well.
            return Refusal.CANCELLED
        self._close(str(error).strip())
        return Refusal.UNREACHABLE

    def _is_due(self, now: float) -> bool:
        if not self._marks or now - self._marks[-1].at >= MARK_EVERY:
            return True
        return now - self._looked_at >= LOOK_EVERY and not self._has_replayed_enough(now)

    def _has_replayed_enough(self, now: float) -> bool:
        while self._marks and now - self._marks[0].at > OLDEST:
            self._marks.popleft()
        return bool(self._marks) and self._replayed >= self._marks[0].position

    def _look(self) -> bool:
        """Asks both where they are. Returns whether the replica answered."""
        now = time.monotonic()
        if not self._marks or now - self._marks[-1].at >= MARK_EVERY:
            mark = _Mark(now, written_position())
            with self._lock:
                self._marks.append(mark)
        try:
            replayed = _replayed_position()
        except Error as error:
            self._close(str(error).strip())
            return False
        if replayed is None:
            self._close("it is no standby")
            return False
        with self._lock:
            self._replayed, self._looked_at = replayed, now
            was_failing, self._is_failing = self._is_failing, False
            self._closed_until = 0.0
        if was_failing:
            logger.warning("The replica answers again. Pages are read from it.")
        return True

    def _close(self, why: str) -> None:
        with suppress(Error):
            connections[REPLICA].close()
        with self._lock:
            was_failing, self._is_failing = self._is_failing, True
            self._closed_until = time.monotonic() + PAUSE
            self._replayed = 0
        if not was_failing:
            logger.warning("Pages are read from the primary, since the replica failed: %s", why)


def written_position() -> int:
    """The position up to which the primary's log is on its disk, and so on its way to the replica.

    Not the position for the next record: it may stand behind the head of a page without a record, which no replica
    reaches.
    """
    return _position(DEFAULT_DB_ALIAS, "pg_current_wal_flush_lsn()") or 0


def own_position() -> int:
    """The position behind all that this connection committed, also with `synchronous_commit` off."""
    return _position(DEFAULT_DB_ALIAS, "pg_current_wal_insert_lsn()") or 0


def _replayed_position() -> int | None:
    """Up to where the replica has replayed the log; None if it is no standby, but a database of its own."""
    return _position(REPLICA, "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END")


def _position(alias: str, expression: str) -> int | None:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT ({expression} - '0/0'::pg_lsn)::bigint")
        found: int | None = cursor.fetchone()[0]
        return found


freshness = Freshness()
