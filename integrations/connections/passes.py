"""A list that goes on by page number, and may change while its pages are asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

# How often a list is read, if it is another one each time.
MOST_PASSES = 5


class Passes:
    """How often the list was read, and how far it is certain that no item was missed.

    An item that is changed between two pages moves to the end of the list, and all behind its old place move up. One of
    them may slip from a page that is still to be read to one that was read. So a list of several pages is read until it
    is twice the same. Where it never is, its beginning is certain as far as it is the same in the last two passes: an
    item can slip past us only behind the place where one was taken away.
    """

    def __init__(self, cursor_of: Callable[[Any], object]) -> None:
        self._cursor_of = cursor_of
        self._cursors: dict[bytes, object] = {}
        self._before: list[bytes] | None = None
        self._now: list[bytes] = []
        self._page: Sequence[bytes] = ()

    def begin(self) -> None:
        """Another pass begins."""
        if self._now:
            self._before = self._now
        self._now, self._page = [], ()

    def is_same_page(self, items: Sequence[Any]) -> bool:
        """Whether the page before had the same items. Call it for each page of a pass."""
        before, self._page = self._page, [_mark(item) for item in items]
        return bool(before) and before == self._page

    def is_new(self, item: Any) -> bool:
        """Whether no pass has met this item, as it is now. Call it for each item of a pass, in order."""
        mark = _mark(item)
        self._now.append(mark)
        if mark in self._cursors:
            return False
        self._cursors[mark] = self._cursor_of(item)
        return True

    @property
    def is_settled(self) -> bool:
        """Whether this pass met what the one before did."""
        return self._before == self._now

    def certain_cursor(self, of_one_page: bool) -> object:
        """The cursor before which nothing was missed; None if there is none."""
        pairs = zip(self._now, self._now if of_one_page else self._before or (), strict=False)
        certain = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        cursors = (self._cursors[mark] for mark in reversed(certain))
        return next((cursor for cursor in cursors if cursor not in (None, "")), None)


def _mark(item: Any) -> bytes:
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).digest()
