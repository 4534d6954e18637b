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

    def __init__(self, cursor_of: Callable[[Any], object] | None) -> None:
        """`cursor_of`: the cursor of an item; None if the whole answer has one, which `end()` is told."""
        self._cursor_of = cursor_of
        self._cursors: dict[bytes, object] = {}
        self._before: list[bytes] = []
        self._now: list[bytes] = []
        self._page: Sequence[bytes] = ()
        self._pages = 0
        self._behind_before: object = None
        self._behind: object = None

    def begin(self) -> None:
        """Another pass begins."""
        self._before, self._now, self._page, self._pages = self._now, [], (), 0

    def is_same_page(self, items: Sequence[Any]) -> bool:
        """Whether the page before had the same items. Call it for each page of a pass."""
        before, self._page = self._page, [_mark(item) for item in items]
        self._pages += 1
        return bool(before) and before == self._page

    def is_new(self, item: Any) -> bool:
        """Whether no pass has met this item, as it is now. Call it for each item of a pass, in order."""
        mark = _mark(item)
        self._now.append(mark)
        if mark in self._cursors:
            return False
        self._cursors[mark] = self._cursor_of(item) if self._cursor_of else None
        return True

    def end(self, behind: object) -> None:
        """A pass is over. `behind`: the cursor of its last answer."""
        self._behind_before, self._behind = self._behind, behind

    @property
    def is_certain(self) -> bool:
        """Whether nothing was missed: the list has one page, or this pass met what the one before did."""
        return self._pages < 2 or self._before == self._now

    @property
    def certain_cursor(self) -> object:
        """The cursor before which nothing was missed; None if there is none."""
        if self._cursor_of is None:
            # What was changed after the pass before ended, this one met only by chance.
            behind = self._behind if self._pages < 2 else self._behind_before
            return behind if self.is_certain and behind != "" else None
        met = zip(self._now, self._now if self.is_certain else self._before, strict=False)
        certain = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], met)]
        cursors = (self._cursors[mark] for mark in reversed(certain))
        return next((cursor for cursor in cursors if cursor not in (None, "")), None)


def _mark(item: Any) -> bytes:
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).digest()
