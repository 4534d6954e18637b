"""The calendar of planned windows: a day, a week or a month, narrowed by the filters of the list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import cached_property
from itertools import pairwise
from typing import Any

from django.db.models import Q
from django.db.models.functions import Lower
from django.forms import NullBooleanField
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from changes.choices import Phase
from changes.models import Change
from changes.pages.access import StaffPage
from changes.pages.list.filters import ChangeFilter, tidy
from changes.querysets import PLANNED_START, ChangeQuerySet, rows_of_each

from . import days
from . import drawing as timeline_drawing

# The maximum number of windows on a page, or of one day in a month. If there are more, the page says so.
MOST = {days.DAY: 300, days.WEEK: 300, days.MONTH: 20}
IN_A_CELL = 3
# The maximum number of windows that are searched for those that the filters hide.
MOST_HIDDEN = 1000
# The most windows of a month that are shown when its days are not read one by one.
MOST_FOUND = 500
_COLUMNS = ("pk", "number", "title", "service", "phase", "owning_group__name", "planned_start", "planned_end")


@dataclass(frozen=True)
class Line:
    """One window on one day, with those that it overlaps on the same service."""

    entry: days.Entry
    overlapping: list[days.Window]

    @property
    def window(self) -> days.Window:
        return self.entry.window


@dataclass(frozen=True)
class Cell:
    """One day with its lines. In a month, the page shows only the first `shown`.

    `is_cut`: more windows begin on this day than `lines` has.
    """

    date: date
    lines: list[Line]
    is_today: bool
    is_outside: bool
    href: str
    shown: int
    is_cut: bool

    @property
    def first_lines(self) -> list[Line]:
        return self.lines[: self.shown]

    @property
    def more(self) -> int:
        return max(0, len(self.lines) - self.shown)


class CalendarPage(StaffPage):
    def get(self, request: HttpRequest) -> HttpResponse:
        now, zone = timezone.now(), timezone.get_current_timezone()
        return render(request, "changes/calendar.html", {"calendar": Calendar(request, now, zone)})


class Calendar:
    """The content of the calendar page."""

    def __init__(self, request: HttpRequest, now: datetime, zone: tzinfo) -> None:
        self.request, self.now = request, now
        self.today = now.astimezone(zone).date()
        view = request.GET.get("view", "")
        self.view = view if view in days.VIEWS else days.WEEK
        self.period = days.period(self.view, _day(request.GET.get("date", ""), self.today), zone)

    # --- The request ---

    @cached_property
    def filter(self) -> ChangeFilter:
        return ChangeFilter(self.filters, self.request.user)

    @cached_property
    def filters(self) -> QueryDict:
        """The filters of the list that are in the address."""
        query = tidy(self.request.GET)
        query.pop("sort", None)
        return query

    @property
    def list_href(self) -> str:
        return f"{reverse('changes:list')}?{self.filters.urlencode()}" if self.filters else reverse("changes:list")

    @property
    def plain_href(self) -> str:
        """The same days without any filter."""
        return f"?view={self.view}&date={self.period.anchor.isoformat()}"

    @property
    def active_filters(self) -> list[tuple[str, str]]:
        """The label and the value, in words, of each active filter."""
        return [(str(self.filter.form[name].label), self._in_words(name)) for name in self.filter.active]

    def _in_words(self, name: str) -> str:
        typed = self.filters.getlist(name)
        if isinstance(self.filter.form.fields[name], NullBooleanField):
            return ""
        choices = getattr(self.filter.form.fields[name], "choices", ())
        named = {str(getattr(value, "value", value)): str(label) for value, label in choices} if choices else {}
        return ", ".join(named.get(value, value) for value in typed)

    @property
    def zone_name(self) -> str:
        return timezone.get_current_timezone_name()

    def href(self, view: str, day: date) -> str:
        query = self.filters.copy()
        query["view"], query["date"] = view, day.isoformat()
        return f"?{query.urlencode()}"

    @property
    def previous_href(self) -> str:
        return self.href(self.view, self.period.previous)

    @property
    def next_href(self) -> str:
        return self.href(self.view, self.period.next)

    @property
    def today_href(self) -> str:
        return self.href(self.view, self.today)

    @property
    def views(self) -> list[tuple[str, str]]:
        return [(view, self.href(view, self.period.anchor)) for view in days.VIEWS]

    @property
    def shows_today(self) -> bool:
        return self.today in self.period.days and self.period.contains(self.today)

    # --- The planned windows ---

    @property
    def leaves_out_abandoned(self) -> bool:
        return self.filters.get("phase") != Phase.ABANDON

    @cached_property
    def _rows(self) -> list[days.Window]:
        if not self.filter.is_valid():
            return []
        changes = self.filter.qs
        if self.leaves_out_abandoned:
            changes = changes.exclude(phase=Phase.ABANDON)
        if self._is_by_day:
            return self._first_between(self.period.boundaries, changes, self.most + 1)
        return self._first_between([self.period.start, self.period.end], changes, self.most + 1)

    @property
    def _is_by_day(self) -> bool:
        """Whether each day of a month is read on its own. Not with a search or a filter of another app: their
        subqueries would be repeated for each day."""
        is_plain = not self.filter.is_scattered and {*self.filter.active} <= {*ChangeFilter.declared_filters}
        return self.view == days.MONTH and is_plain

    def _first_between(self, boundaries: list[datetime], changes: ChangeQuerySet, limit: int) -> list[days.Window]:
        """The first windows that begin between two boundaries, up to `limit` for each pair, and as many that began
        before all of them and still run then. Each part reads an index from the front."""
        first = boundaries[0]
        began = changes.planned_within(first, first + timedelta.resolution).filter(planned_start__lt=first)
        ordered = changes.alias(begins=PLANNED_START).order_by("begins", "pk")
        begin = (ordered.filter(begins__gte=start, begins__lt=end) for start, end in pairwise(boundaries))
        # Not in the order of an index, which would be read from the first window ever.
        parts = [began.order_by("planned_start", "pk"), *begin]
        rows = rows_of_each([part[:limit] for part in parts], *_COLUMNS)
        return sorted((_window(*row) for row in rows), key=lambda window: (window.start, window.pk))

    @cached_property
    def cut_from(self) -> date | None:
        """The first day of a month that has more windows than were read. They may run on all later days too."""
        if not self._is_by_day:
            return None
        first = self.period.days[0]
        began = Counter(max(first, window.start.astimezone(self.period.zone).date()) for window in self._rows)
        # Those that began before the first day are a part of their own.
        before = sum(window.start < self.period.start for window in self._rows)
        full = [day for day, count in began.items() if count - (before if day == first else 0) > self.most]
        return min([*full, *([first] if before > self.most else [])], default=None)

    @property
    def windows(self) -> list[days.Window]:
        return self._rows if self._is_by_day else self._rows[: self.most]

    @property
    def most(self) -> int:
        """The most windows that are shown: in all, or of each day."""
        return MOST_FOUND if self.view == days.MONTH and not self._is_by_day else MOST[self.view]

    @property
    def is_capped(self) -> bool:
        return not self._is_by_day and len(self._rows) > self.most

    @property
    def last_shown(self) -> datetime:
        """The start of the last window shown, if the page cannot show all of them."""
        return self.windows[-1].start

    @cached_property
    def overlaps(self) -> dict[int, list[days.Window]]:
        return days.overlaps([*self.windows, *self._others])

    @property
    def _others(self) -> list[days.Window]:
        """Windows on the shown services that the filters hide. They overlap the shown ones nevertheless."""
        services = {window.service for window in self.windows if window.service}
        if not (self.filters and services):
            return []
        everything = Change.objects.visible_to(self.request.user).annotate(lower=Lower("service"))
        same = everything.filter(Q(service__in=services) | Q(lower__in={service.lower() for service in services}))
        shown = {window.pk for window in self.windows}
        return [
            window
            for window in self._first_between([self.period.start, self.period.end], same, MOST_HIDDEN)
            if window.pk not in shown
        ]

    @cached_property
    def cells(self) -> list[Cell]:
        return [self._cell(day) for day in days.by_day(self.windows, self.period)]

    def _cell(self, day: days.Day) -> Cell:
        lines = [Line(entry, self.overlaps.get(entry.window.pk, [])) for entry in day.entries]
        return Cell(
            date=day.date,
            lines=lines,
            is_today=day.date == self.today,
            is_outside=not self.period.contains(day.date),
            href=self.href(days.DAY, day.date),
            shown=IN_A_CELL if self.view == days.MONTH else len(lines),
            is_cut=self.cut_from is not None and day.date >= self.cut_from,
        )

    @property
    def weeks(self) -> list[list[Cell]]:
        return [self.cells[place : place + 7] for place in range(0, len(self.cells), 7)]

    @cached_property
    def drawing(self) -> timeline_drawing.Drawing:
        return timeline_drawing.draw(self.windows, self.period, self.overlaps, self.now)


def _day(text: str, default: date) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return default


def _window(*row: Any) -> days.Window:
    pk, number, title, service, phase, group, start, end = row
    is_off = phase == Phase.ABANDON
    return days.Window(pk, number, title, service, phase, group or "", start, end, is_off)
