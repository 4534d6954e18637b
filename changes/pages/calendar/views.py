"""The calendar of planned windows: a day, a week or a month, narrowed by the filters of the list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from django.forms import BoundField
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from changes.choices import Phase
from changes.models import Change
from changes.pages.access import StaffPage
from changes.pages.from_replica import reads_from_replica
from changes.pages.list.filters import ChangeFilter, tidy
from changes.queries.querysets import PLANNED_START, ChangeQuerySet, rows_of_each

from . import days, planner

# The maximum number of windows on a page, or of one day in a month. If there are more, the page says so.
MOST = {days.DAY: 300, days.WEEK: 300, days.MONTH: 20}
IN_A_CELL = 3
# The maximum number of windows that are searched for those that the filters hide.
MOST_HIDDEN = 1000
# The most windows of a month that are shown when its days are not read one by one.
MOST_FOUND = 500
# The filters that the page has fields for. Others of the list come with the address.
FILTERS = ("group", "service", "phase", "metaphase")
# The planned start of a change that is created by a click on a day.
MORNING = time(9)
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
class Column:
    """A day or an hour of the drawing. `href` leads to the day; `new_href` creates a change, "" in the past."""

    column: planner.Column
    date: date
    is_today: bool
    href: str
    new_href: str


@dataclass(frozen=True)
class Item:
    """One window in a lane, with those that it overlaps on the same service."""

    box: planner.Box
    overlapping: list[days.Window]

    @property
    def window(self) -> days.Window:
        return self.box.window


@dataclass(frozen=True)
class Cell:
    """One day of a month with its lines, of which the page shows only the first `shown`.

    `is_cut`: more windows begin on this day than `lines` has.
    """

    date: date
    lines: list[Line]
    is_today: bool
    is_outside: bool
    href: str
    new_href: str
    shown: int
    is_cut: bool

    @property
    def first_lines(self) -> list[Line]:
        return self.lines[: self.shown]

    @property
    def more(self) -> int:
        return max(0, len(self.lines) - self.shown)


class CalendarPage(StaffPage):
    @reads_from_replica
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
        by = request.GET.get("lanes", "")
        self.by = by if by in planner.LANES else planner.SERVICE
        self.period = days.period(self.view, _day(request.GET.get("date", ""), self.today), zone)

    # --- The request ---

    @cached_property
    def filter(self) -> ChangeFilter:
        found = ChangeFilter(self.filters, self.request.user)
        found.form.fields["service"].widget.attrs["list"] = "services"
        return found

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
        return self._href(QueryDict(mutable=True), self.view, self.period.anchor)

    @property
    def fields(self) -> list[BoundField]:
        return [self.filter.form[name] for name in FILTERS]

    @property
    def services(self) -> list[str]:
        """The services that the page shows, to choose from."""
        names = {days.service_key(window.service): window.service for window in self.windows if window.service}
        return [names[key] for key in sorted(names)]

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What the form of the filters must keep of the address."""
        others = [(name, str(value)) for name, value in self.filters.items() if name not in FILTERS]
        return [*others, ("view", self.view), ("date", self.period.anchor.isoformat()), *self._lanes]

    @property
    def _lanes(self) -> list[tuple[str, str]]:
        return [("lanes", self.by)] if self.by != planner.SERVICE else []

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """The filters without a field here, each with its value in words and the address without it."""
        shown = {str(self.filter.filters[name].label) for name in FILTERS}
        return [
            (chip.label, chip.value, self._href(QueryDict(chip.without, mutable=True), self.view, self.period.anchor))
            for chip in self.filter.chips
            if chip.label not in shown
        ]

    @property
    def tones(self) -> list[tuple[str, str]]:
        """The legend: the colours of the phases on the page, and what each means."""
        used = {window.tone for window in self.windows}
        named: dict[str, str] = {}
        for phase in Phase:
            is_own = phase.tone != phase.metaphase.lower()
            named.setdefault(phase.tone, str(phase.label if is_own else phase.metaphase.label))
        return [(tone, name) for tone, name in named.items() if tone in used]

    @property
    def zone_name(self) -> str:
        return timezone.get_current_timezone_name()

    def href(self, view: str, day: date) -> str:
        return self._href(self.filters.copy(), view, day)

    def _href(self, query: QueryDict, view: str, day: date) -> str:
        query["view"], query["date"] = view, day.isoformat()
        for name, value in self._lanes:
            query[name] = value
        return f"?{query.urlencode()}"

    @property
    def lane_choices(self) -> list[tuple[str, str]]:
        choices = []
        for by in planner.LANES:
            query = self.filters.copy()
            query["view"], query["date"], query["lanes"] = self.view, self.period.anchor.isoformat(), by
            choices.append((by, f"?{query.urlencode()}"))
        return choices

    def _new_href(self, start: datetime, end: datetime) -> str:
        """The form for a new change with this planned start; "" for a time that is over or without the permission."""
        if end <= self.now or not self._may_create:
            return ""
        local = start.astimezone(self.period.zone).isoformat(timespec="minutes")
        return f"{reverse('changes:create')}?{urlencode({'planned_start': local})}"

    @cached_property
    def _may_create(self) -> bool:
        return self.request.user.has_perm("changes.add_change")

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
        same = Change.objects.visible_to(self.request.user).on_service(services)
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
            new_href=self._new_on(day.date),
            shown=IN_A_CELL,
            is_cut=self.cut_from is not None and day.date >= self.cut_from,
        )

    def _new_on(self, day: date) -> str:
        """The form for a new change on this day: in the morning, or in the next hour of today."""
        end = days.day_start(day + timedelta(days=1), self.period.zone)
        start = datetime.combine(day, MORNING, self.period.zone).astimezone(UTC)
        if day == self.today:
            # Of the person's clock, which may differ from UTC by half an hour.
            hour = self.now.astimezone(self.period.zone).replace(minute=0, second=0, microsecond=0)
            start = max(start, hour.astimezone(UTC) + timedelta(hours=1))
        return self._new_href(start, end) if start < end else ""

    @property
    def weeks(self) -> list[list[Cell]]:
        return [self.cells[place : place + 7] for place in range(0, len(self.cells), 7)]

    @cached_property
    def columns(self) -> list[Column]:
        return [self._column(column) for column in planner.columns(self.period, self.now)]

    def _column(self, column: planner.Column) -> Column:
        day = column.start.astimezone(self.period.zone).date()
        is_hour = self.view == days.DAY
        new = self._new_href(column.start, column.end) if is_hour else self._new_on(day)
        return Column(column, day, day == self.today and not is_hour, self.href(days.DAY, day), new)

    @cached_property
    def lanes(self) -> list[tuple[str, list[Item]]]:
        """The name of each lane, and what is planned in it."""
        return [
            (lane.name, [Item(box, self.overlaps.get(box.window.pk, [])) for box in lane.boxes])
            for lane in planner.lanes(self.windows, self.period, self.by)
        ]


def _day(text: str, default: date) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return default


def _window(*row: Any) -> days.Window:
    pk, number, title, service, phase, group, start, end = row
    is_off = phase == Phase.ABANDON
    return days.Window(pk, number, title, service, phase, group or "", start, end, is_off)
