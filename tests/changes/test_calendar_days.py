"""Planned windows by day, and their overlaps: properties of any windows, and days of 23 or 25 hours."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes.pages.calendar import days as calendar
from changes.pages.calendar import planner
from changes.pages.calendar.days import DAY, MONTH, VIEWS, WEEK, Window, by_day, day_start, overlaps, period, share_time

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [UTC, BERLIN, ZoneInfo("America/Sao_Paulo"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia")]
BEGIN = datetime(2026, 10, 1, tzinfo=UTC)

moments = st.integers(0, 45 * 24 * 4).map(lambda quarters: BEGIN + timedelta(minutes=15 * quarters))


@st.composite
def windows(draw, most=12):
    found = []
    for pk in range(1, draw(st.integers(0, most)) + 1):
        start = draw(moments)
        length = draw(st.one_of(st.none(), st.integers(1, 800)))
        end = None if length is None else start + timedelta(minutes=15 * length)
        service = draw(st.sampled_from(["", "LAN", "lan ", "Mail"]))
        off = draw(st.booleans())
        found.append(Window(pk, f"CHG{pk:07}", "A title" * pk, service, "Plan", "Network", start, end, off))
    return found


periods = st.builds(
    period, st.sampled_from(VIEWS), st.dates(date(2026, 9, 20), date(2026, 11, 30)), st.sampled_from(ZONES)
)


def same_service(one, other):
    return one.service.strip().lower() == other.service.strip().lower() != ""


@given(windows())
def test_overlaps_are_all_pairs_on_one_service_that_share_time(given_windows):
    found = {(pk, other.pk) for pk, others in overlaps(given_windows).items() for other in others}
    expected = {
        (one.pk, other.pk)
        for one in given_windows
        for other in given_windows
        if one.pk != other.pk and same_service(one, other) and not one.is_off and not other.is_off
        if share_time(one, other)
    }
    assert found == expected


@given(windows())
def test_sharing_time_does_not_depend_on_who_asks(given_windows):
    for one in given_windows:
        assert share_time(one, one)
        for other in given_windows:
            assert share_time(one, other) == share_time(other, one)


@given(windows(), periods)
def test_a_window_is_on_each_day_that_it_shares_time_with_and_on_no_other(given_windows, shown):
    for day in by_day(given_windows, shown):
        whole = Window(
            0, "", "", "", "Plan", "", *(day_start(day.date + timedelta(days=n), shown.zone) for n in (0, 1))
        )
        if whole.start == whole.end:  # a day that a zone has skipped
            assert not day.entries
            continue
        assert {entry.window.pk for entry in day.entries} == {
            window.pk for window in given_windows if share_time(window, whole)
        }
        for entry in day.entries:
            assert entry.begins == (whole.start <= entry.window.start < whole.end)
            assert entry.ends == (whole.start < entry.window.until <= whole.end or entry.window.is_moment)


@given(periods)
def test_days_follow_one_another_without_a_gap(shown):
    boundaries = shown.boundaries
    assert boundaries == sorted(boundaries)
    assert (boundaries[0], boundaries[-1]) == (shown.start, shown.end)
    assert shown.anchor in shown.days
    assert calendar.period(shown.view, shown.next, shown.zone).days[0] <= shown.end.astimezone(shown.zone).date()
    assert calendar.period(shown.view, shown.previous, shown.zone).days[-1] >= shown.days[0] - timedelta(days=1)


@given(
    windows(most=20),
    st.sampled_from([DAY, WEEK]),
    st.dates(date(2026, 10, 1), date(2026, 11, 10)),
    st.sampled_from(ZONES),
)
def test_each_window_has_one_box_with_room_that_covers_its_time(given_windows, view, anchor, zone):
    shown = period(view, anchor, zone)
    inside = [window for window in given_windows if window.until > shown.start and window.start < shown.end]
    columns = planner.columns(shown, shown.start)
    assert (columns[0].start, columns[-1].end) == (shown.start, shown.end)
    for by in planner.LANES:
        boxes = [box for lane in planner.lanes(inside, shown, by) for box in lane.boxes]
        assert sorted(box.window.pk for box in boxes) == [window.pk for window in inside]
        for box in boxes:
            covered = columns[box.column - 1 : box.column - 1 + box.span]
            assert len(covered) == box.span >= planner.LEAST.get(view, 1)
            assert covered[0].start <= max(box.window.start, shown.start)
            assert covered[-1].end >= min(box.window.until, shown.end)
            assert 0 <= box.mark_x < box.mark_x + box.mark_width <= planner.WHOLE


def window(start, end=None, **more):
    values = {"pk": 1, "number": "CHG0000001", "title": "A", "service": "LAN", "phase": "Plan", "group": ""}
    return Window(**{**values, **more}, start=start, end=end)


@pytest.mark.parametrize(
    ("day", "hours", "labels"),
    [
        (date(2026, 3, 29), 23, ["01:00", "03:00"]),
        (date(2026, 10, 25), 25, ["01:00", "02:00", "02:00", "03:00"]),
        (date(2026, 11, 24), 24, ["01:00", "02:00", "03:00"]),
    ],
)
def test_a_day_on_which_the_clocks_change_has_its_own_number_of_hours(day, hours, labels):
    columns = planner.columns(period(DAY, day, BERLIN), BEGIN)
    assert len(columns) == hours
    names = [column.start.astimezone(BERLIN).strftime("%H:%M") for column in columns]
    assert names[1 : 1 + len(labels)] == labels


def test_windows_in_the_hour_that_comes_twice_do_not_overlap():
    first = window(datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 50, tzinfo=BERLIN))
    again = window(
        datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1).astimezone(UTC),
        datetime(2026, 10, 25, 2, 50, tzinfo=BERLIN, fold=1).astimezone(UTC),
        pk=2,
    )
    first = window(first.start.astimezone(UTC), first.until.astimezone(UTC))
    assert overlaps([first, again]) == {}


def test_one_that_begins_when_another_ends_does_not_overlap_it():
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    before, after = window(noon - timedelta(hours=1), noon), window(noon, noon + timedelta(hours=1), pk=2)
    assert overlaps([before, after]) == {}


def test_what_ends_at_midnight_is_not_on_the_next_day():
    shown = period(WEEK, date(2026, 11, 24), BERLIN)
    midnight = day_start(date(2026, 11, 25), BERLIN)
    days = by_day([window(midnight - timedelta(hours=2), midnight)], shown)
    assert [len(day.entries) for day in days] == [0, 1, 0, 0, 0, 0, 0]
    assert days[1].entries[0].begins and days[1].entries[0].ends


def test_a_month_has_whole_weeks_that_begin_on_monday():
    shown = period(MONTH, date(2026, 11, 24), UTC)
    assert (shown.days[0], shown.days[-1], len(shown.days)) == (date(2026, 10, 26), date(2026, 12, 6), 42)
    assert (shown.previous, shown.next) == (date(2026, 10, 1), date(2026, 12, 1))
