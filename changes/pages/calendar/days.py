"""Planned windows on days, and which of them overlap. Pure: no database, no clock.

All datetimes are aware. Days belong to a time zone, so a day may have 23 or 25 hours. Datetimes are converted to UTC
before they are compared or subtracted, because Python ignores the offset between two of the same zone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property

from django.urls import reverse
from django.utils.text import Truncator

from changes.choices import Phase

DAY, WEEK, MONTH = "day", "week", "month"
VIEWS = (DAY, WEEK, MONTH)
# The first and last date that the calendar shows. It needs room for the days before and after.
FIRST, LAST = date(1971, 1, 1), date(9990, 12, 31)


@dataclass(frozen=True)
class Window:
    """The planned window of a change. Without an end it is a single moment."""

    pk: int
    number: str
    title: str
    service: str
    phase: str
    group: str
    start: datetime
    end: datetime | None = None
    is_off: bool = False  # abandoned: it will not be done, so it overlaps nothing

    # A page names a window on each of its days, and beside each that it overlaps.
    @cached_property
    def href(self) -> str:
        return reverse("changes:detail", args=[self.number])

    @cached_property
    def short_title(self) -> str:
        return Truncator(self.title).chars(60)

    @property
    def is_moment(self) -> bool:
        return self.end is None

    @property
    def until(self) -> datetime:
        return self.end or self.start

    @property
    def tone(self) -> str:
        """The name of the colour, as in the badge of the phase."""
        return Phase(self.phase).tone

    @property
    def phase_label(self) -> str:
        return str(Phase(self.phase).label)


def in_order(windows: Iterable[Window]) -> list[Window]:
    """In the order of their start."""
    return sorted(windows, key=lambda window: (window.start, window.pk))


def service_key(name: str) -> str:
    """Equal for names that differ only in capitals and white space."""
    return " ".join(name.split()).casefold()


def share_time(one: Window, other: Window) -> bool:
    """Whether the windows overlap. `end` itself is not part of a window."""
    if one.is_moment and other.is_moment:
        return one.start == other.start
    if one.is_moment:
        return other.start <= one.start < other.until
    if other.is_moment:
        return one.start <= other.start < one.until
    return max(one.start, other.start) < min(one.until, other.until)


def overlaps(windows: Iterable[Window]) -> dict[int, list[Window]]:
    """The other windows on the same service that each window overlaps, by its key and in order of their start.

    Windows without any overlap are left out. Services are compared without regard to capitals and white space.
    """
    by_service: dict[str, list[Window]] = defaultdict(list)
    for window in windows:
        service = service_key(window.service)
        if service and not window.is_off:
            by_service[service].append(window)
    found: dict[int, list[Window]] = defaultdict(list)
    for same in by_service.values():
        present: list[Window] = []
        for window in in_order(same):
            present = [other for other in present if other.until >= window.start]
            for other in present:
                if share_time(window, other):
                    found[window.pk].append(other)
                    found[other.pk].append(window)
            present.append(window)
    return {pk: in_order(others) for pk, others in found.items()}


# --- Days ---


def day_start(day: date, zone: tzinfo) -> datetime:
    """The time, in UTC, at which the day begins in this time zone."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


@dataclass(frozen=True)
class Period:
    """The days that one page shows. `anchor` is the requested day, `view` one of `VIEWS`."""

    view: str
    anchor: date
    days: list[date]
    zone: tzinfo

    @property
    def boundaries(self) -> list[datetime]:
        """The start of each day, and then the end of the last one, in UTC."""
        return [day_start(day, self.zone) for day in (*self.days, self.days[-1] + timedelta(days=1))]

    @property
    def start(self) -> datetime:
        return day_start(self.days[0], self.zone)

    @property
    def end(self) -> datetime:
        return day_start(self.days[-1] + timedelta(days=1), self.zone)

    @property
    def previous(self) -> date:
        if self.view == MONTH:
            return (self.anchor.replace(day=1) - timedelta(days=1)).replace(day=1)
        return self.anchor - timedelta(days=len(self.days))

    @property
    def next(self) -> date:
        if self.view == MONTH:
            return (self.anchor.replace(day=28) + timedelta(days=4)).replace(day=1)
        return self.anchor + timedelta(days=len(self.days))

    @property
    def first(self) -> date:
        return self.days[0]

    @property
    def last(self) -> date:
        return self.days[-1]

    def contains(self, day: date) -> bool:
        """Whether the day belongs to the period itself. Days that only fill up the weeks of a month do not."""
        return self.view != MONTH or (day.year, day.month) == (self.anchor.year, self.anchor.month)


def period(view: str, anchor: date, zone: tzinfo) -> Period:
    """The period of this view around `anchor`. Weeks begin on Monday. A month is filled up to whole weeks."""
    anchor = min(max(anchor, FIRST), LAST)
    first = last = anchor
    if view == MONTH:
        first = anchor.replace(day=1)
        last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    if view != DAY:
        first -= timedelta(days=first.weekday())
        last += timedelta(days=6 - last.weekday())
    return Period(view, anchor, [first + timedelta(days=n) for n in range((last - first).days + 1)], zone)


@dataclass(frozen=True)
class Entry:
    """A window on one day. `begins` and `ends` tell whether it begins or ends on this day."""

    window: Window
    begins: bool
    ends: bool


@dataclass
class Day:
    date: date
    entries: list[Entry] = field(default_factory=list)


def by_day(windows: Iterable[Window], shown: Period) -> list[Day]:
    """Each day of the period with its windows, in order of their start."""
    days = [Day(day) for day in shown.days]
    boundaries = shown.boundaries
    for window in in_order(windows):
        first = bisect_right(boundaries, window.start) - 1
        # A window that ends at midnight is not on the next day.
        last = first if window.is_moment else bisect_left(boundaries, window.until) - 1
        for place in range(max(first, 0), min(last, len(days) - 1) + 1):
            days[place].entries.append(Entry(window, place == first, place == last))
    return days
