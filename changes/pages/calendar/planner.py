"""The drawing of a day or a week: a column for each hour or day, and a lane for each service or group.

Pure: no database, no clock. Positions are numbers of columns, counted from 1, and shares of a box in thousandths. So
the page needs no inline styles.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil

from .days import DAY, Period, Window, in_order, service_key

SERVICE, GROUP, NONE = "service", "group", "none"
LANES = (SERVICE, GROUP, NONE)
WHOLE = 1000
# The least width of a box, in columns: a narrower one has no room for its text.
LEAST = {DAY: 5}
# The least width of the mark of a time, in thousandths of its box.
LEAST_MARK = 12


@dataclass(frozen=True)
class Column:
    """One day, or one hour of a day. `now`: the place of the present time in it, in thousandths; None if elsewhere."""

    start: datetime
    end: datetime
    now: int | None


@dataclass(frozen=True)
class Box:
    """The text of one window, with the mark of its exact time.

    It fills `span` columns from `column` on. A short window has a box that is wider than its time.
    """

    window: Window
    column: int
    span: int
    mark_x: int
    mark_width: int
    is_in_one_day: bool


@dataclass
class Lane:
    """The boxes of one service or group. An empty name means that they have none."""

    name: str
    boxes: list[Box] = field(default_factory=list)


def columns(shown: Period, now: datetime) -> list[Column]:
    edges = _edges(shown)
    return [
        Column(start, end, _share(now, start, end) if start <= now < end else None) for start, end in pairwise(edges)
    ]


def lanes(windows: Iterable[Window], shown: Period, by: str) -> list[Lane]:
    """The lanes in the order of their names; windows without a service or group come last. `by` is one of LANES."""
    edges, least = _edges(shown), LEAST.get(shown.view, 1)
    found: dict[str, Lane] = {}
    for window in in_order(windows):
        name = {SERVICE: window.service, GROUP: window.group}.get(by, "")
        lane = found.setdefault(service_key(name), Lane(name.strip()))
        lane.boxes.append(_box(window, edges, least, shown))
    return [found[key] for key in sorted(found, key=lambda key: (not key, key))]


def _edges(shown: Period) -> list[datetime]:
    """The start of each column, and then the end of the last one."""
    if shown.view != DAY:
        return shown.boundaries
    # 23 or 25 hours when the clocks change, and somewhere half an hour.
    hours = ceil((shown.end - shown.start) / timedelta(hours=1))
    return [*(shown.start + timedelta(hours=n) for n in range(hours)), shown.end]


def _box(window: Window, edges: list[datetime], least: int, shown: Period) -> Box:
    most = len(edges) - 2
    first = min(max(bisect_right(edges, window.start) - 1, 0), most)
    # A window that ends where a column begins is not in that column.
    last = first if window.is_moment else min(max(bisect_left(edges, window.until) - 1, first), most)
    last = min(max(last, first + least - 1), most)
    first = max(min(first, last - least + 1), 0)
    start, end = edges[first], edges[last + 1]
    x = min(_share(window.start, start, end), WHOLE - LEAST_MARK)
    width = max(_share(window.until, start, end) - x, LEAST_MARK)
    until = max(window.start, window.until - timedelta.resolution)  # midnight still belongs to the day that it ends
    days = {moment.astimezone(shown.zone).date() for moment in (window.start, until)}
    return Box(window, first + 1, last - first + 1, x, width, is_in_one_day=len(days) == 1)


def _share(moment: datetime, start: datetime, end: datetime) -> int:
    """The place of a time between two others, in thousandths; one outside of them is moved to the nearer end."""
    if start == end:  # a day that a time zone has skipped
        return 0
    return round((min(max(moment, start), end) - start) / (end - start) * WHOLE)
