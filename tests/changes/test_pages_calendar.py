"""The change calendar: days, weeks, months, time zones, overlaps, and the filters of the list."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.choices import ChangeType, Phase
from changes.pages.calendar import views as calendar_views
from tests.factories import ChangeFactory, SupportGroupFactory, change_in
from tests.pages import text, web

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def plan(start=NOON, end=None, **fields):
    """A change with this planned window. Without an end the window lasts two hours."""
    return ChangeFactory(planned_start=start, planned_end=end or start + 2 * HOUR, **fields)


def get(user, query="", zone=None):
    client = web(user)
    if zone:
        client.cookies["timezone"] = zone
    return client.get(f"/calendar/?date=2026-11-24&{query}")


def boxes(response) -> dict[str, tuple[int, int]]:
    """The column of each change of a day or week, and the number of its columns, in the order of the page."""
    found = re.findall(
        r'<li class="box at-(\d+) for-(\d+).*?<a class="box-what" href="/changes/(CHG\d+)/"',
        response.content.decode(),
        re.DOTALL,
    )
    return {number: (int(column), int(span)) for column, span, number in found}


def lanes(response) -> dict[str, list[str]]:
    """The numbers of the changes in each lane."""
    sections = re.findall(r'<section class="lane".*?</section>', response.content.decode(), re.DOTALL)
    return {
        re.search(r"<h2[^>]*>(.*?)</h2>", section)[1]: re.findall(r'box-what" href="/changes/(CHG\d+)/"', section)
        for section in sections
    }


def new_at(response) -> list[str]:
    """The planned starts that a click on a day or an hour gives a new change."""
    found = re.findall(r'class="new-here" href="/changes/new/\?planned_start=([^"]+)"', response.content.decode())
    return [unquote(start) for start in found]


def test_a_week_shows_each_change_on_its_days(alice):
    one = plan(NOON)
    long = plan(NOON - 24 * HOUR, NOON + 24 * HOUR)
    before = plan(NOON - 7 * 24 * HOUR, NOON - 25 * HOUR)
    plan(NOON - 14 * 24 * HOUR), plan(NOON + 14 * 24 * HOUR)
    ChangeFactory(planned_start=None, planned_end=None)
    response = get(alice, "view=week")
    # Monday is the first column.
    assert boxes(response) == {before.number: (1, 1), long.number: (1, 3), one.number: (2, 1)}
    said = text(response)
    assert "Tue 24 Nov 12:00 – 14:00" in said
    assert "Mon 23 Nov 12:00 – Wed 25 Nov 12:00" in said
    for change in (one, long, before):
        assert said.count(f"{change.number} {change.title}") == 1


def test_a_day_shows_each_change_at_its_hours(alice):
    early, late = plan(NOON - 11 * HOUR), plan(NOON + 11 * HOUR, NOON + 30 * HOUR)
    long = plan(NOON, NOON + 8 * HOUR)
    # A short window gets a box of five hours, so that its text is not cut.
    assert boxes(get(alice, "view=day")) == {early.number: (2, 5), long.number: (13, 8), late.number: (20, 5)}


LANES = [
    ("", {"LAN": "switch router", "Mail": "relay", "No service": "other"}),
    ("lanes=service", {"LAN": "switch router", "Mail": "relay", "No service": "other"}),
    ("lanes=group", {"Network": "switch relay", "No group": "other router"}),
    ("lanes=rooms", {"LAN": "switch router", "Mail": "relay", "No service": "other"}),
]


@pytest.mark.parametrize(("query", "shown"), LANES)
def test_there_is_a_lane_for_each_service_or_group(alice, query, shown):
    network = SupportGroupFactory(name="Network")
    titles = {
        plan(title="switch", service="LAN", owning_group=network).number: "switch",
        plan(NOON + HOUR, title="router", service=" lan", owning_group=None).number: "router",
        plan(title="relay", service="Mail", owning_group=network).number: "relay",
        plan(title="other", service="", owning_group=None).number: "other",
    }
    for view in ("week", "day"):
        found = lanes(get(alice, f"view={view}&{query}"))
        assert {name: " ".join(titles[number] for number in numbers) for name, numbers in found.items()} == shown


def test_without_lanes_all_changes_are_in_one_and_the_choice_stays_in_the_address(alice):
    one, other = plan(service="LAN"), plan(NOON + HOUR, service="Mail")
    response = get(alice, "lanes=none&type=Normal")
    assert [*lanes(response).values()] == [[one.number, other.number]]
    content = response.content.decode()
    for href in (
        "?type=Normal&amp;view=week&amp;date=2026-12-01&amp;lanes=none",
        "?type=Normal&amp;view=month&amp;date=2026-11-24&amp;lanes=none",
        "?type=Normal&amp;view=week&amp;date=2026-11-24&amp;lanes=group",
    ):
        assert f'href="{href}"' in content
    assert '<input type="hidden" name="lanes" value="none">' in content


def test_days_are_those_of_the_persons_time_zone(alice):
    change = plan(datetime(2026, 11, 23, 23, 30, tzinfo=UTC))
    assert boxes(get(alice)) == {change.number: (1, 2)}
    berlin = get(alice, zone="Europe/Berlin")
    assert boxes(berlin) == {change.number: (2, 1)}
    assert "Tue 24 Nov 00:30 – 02:30" in text(berlin)
    assert "Times are those of Europe/Berlin." in text(berlin)


def test_the_day_on_which_the_clocks_go_back_has_25_hours(alice):
    client = web(alice)
    client.cookies["timezone"] = "Europe/Berlin"
    plan(datetime(2026, 10, 25, 0, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC))
    plan(datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 10, 25, 2, tzinfo=UTC))
    response = client.get("/calendar/?view=day&date=2026-10-25")
    assert response.content.decode().count('class="column-name"') == 25
    assert [column for column, _ in boxes(response).values()] == [3, 4]
    assert "02:00 – 02:00" in text(response) and "02:00 – 03:00" in text(response)
    assert "Overlaps" not in text(response)


def test_overlaps_on_one_service_name_each_other(alice):
    one, other = plan(service="LAN", title="Switch"), plan(NOON + HOUR, service="lan", title="Router")
    plan(NOON + HOUR, service="Mail", title="Relay")
    plan(NOON + 3 * HOUR, service="LAN", title="Afterwards")
    said = text(get(alice))
    assert f"{one.number} Switch Overlaps {other.number}" in said
    assert f"{other.number} Router Overlaps {one.number}" in said
    assert said.count("Overlaps CHG") == 2
    assert f"overlaps {other.number}" in text(get(alice, "view=month"))


# The phases that are planned, and what the legend says of their colours.
LEGEND = [
    ([Phase.PLAN], "Planning"),
    ([Phase.LOG, Phase.EVALUATE, Phase.DEPLOY], "Classification Deployment"),
    ([Phase.BACKOUT, Phase.CLOSE], "Backout Done"),
]


@pytest.mark.parametrize(("phases", "said"), LEGEND)
def test_a_legend_names_the_colours_that_are_on_the_page(alice, phases, said):
    for number, phase in enumerate(phases):
        change_in(phase, planned_start=NOON, planned_end=NOON + HOUR, service=f"Service {number}")
    for view in ("day", "week", "month"):
        with time_machine.travel("2026-11-23T12:00:00+00:00", tick=False):
            content = get(alice, f"view={view}").content.decode()
        legend = re.search(r'<ul class="legend".*?</ul>', content, re.DOTALL)[0]
        now = " Now" if view == "week" else ""
        assert " ".join(re.sub(r"<[^>]+>", " ", legend).split()) == said + now


NEW = [
    # the view, the zone, what is now, the planned starts that are offered
    ("week", "UTC", "2026-11-28T12:00", ["2026-11-28T13:00+00:00", "2026-11-29T09:00+00:00"]),
    ("week", "Europe/Berlin", "2026-11-29T04:10", ["2026-11-29T09:00+01:00"]),
    ("week", "Asia/Kolkata", "2026-11-29T12:10", ["2026-11-29T18:00+05:30"]),
    ("week", "UTC", "2026-12-01T00:00", []),
    ("month", "UTC", "2026-12-05T23:12", ["2026-12-06T09:00+00:00"]),
    ("day", "Europe/Berlin", "2026-11-24T21:10", ["2026-11-24T22:00+01:00", "2026-11-24T23:00+01:00"]),
]


@pytest.mark.parametrize(("view", "zone", "now", "offered"), NEW)
def test_a_day_or_an_hour_that_is_not_over_leads_to_a_new_change_then(alice, view, zone, now, offered):
    with time_machine.travel(f"{now}:00+00:00", tick=False):
        response = get(alice, f"view={view}", zone=zone)
        assert new_at(response) == offered
        for start in offered[:1]:
            form = web(alice).get("/changes/new/", {"planned_start": start}).content.decode()
            shown = datetime.fromisoformat(start).astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
            assert re.search(rf'name="planned_start" value="{shown}"', form)


def test_who_may_not_create_changes_is_not_offered_it(audrey):
    assert new_at(get(audrey, "date=2099-01-01")) == []
    assert "Nothing is planned here" in text(get(audrey, "date=2099-01-01"))


def test_an_abandoned_change_is_in_nobodys_way_and_left_out(alice):
    plan()
    gone = change_in(Phase.ABANDON, planned_start=NOON, planned_end=NOON + HOUR)
    assert gone.number not in text(get(alice))
    assert "Overlaps" not in text(get(alice))
    assert [*boxes(get(alice, "phase=Abandon"))] == [gone.number]


def test_the_filters_of_the_list_narrow_it_and_lead_back(alice):
    kept = plan(change_type=ChangeType.STANDARD, service="Mail")
    plan()
    response = get(alice, "type=Standard&open=true")
    assert [*boxes(response)] == [kept.number]
    said = text(response)
    assert "Type: Standard" in said
    assert "Open only" in said
    content = response.content.decode()
    assert 'href="/changes/?type=Standard&amp;open=true"' in content
    assert "type=Standard&amp;open=true&amp;view=week&amp;date=2026-12-01" in content


FILTERS = [
    ("group={network}", "switch router"),
    ("group=null", "relay"),
    ("service=lan", "switch"),
    ("service=LAN&group=null", ""),
    ("phase=Plan", "router"),
    ("metaphase=Classification", "switch relay"),
]


@pytest.mark.parametrize("view", ["week", "month"])
@pytest.mark.parametrize(("query", "shown"), FILTERS)
def test_the_page_has_fields_for_group_service_phase_and_metaphase(alice, view, query, shown):
    network = SupportGroupFactory(name="Network")
    plan(title="switch", service="LAN", owning_group=network)
    change_in(
        Phase.PLAN, title="router", service="WAN", owning_group=network, planned_start=NOON, planned_end=NOON + HOUR
    )
    plan(title="relay", service="Mail", owning_group=None)
    query = query.format(network=network.pk)
    response = get(alice, f"view={view}&{query}")
    assert " ".join(title for title in ("switch", "router", "relay") if title in text(response)) == shown
    content = response.content.decode()
    form = re.search(r'<form class="filters card".*?</form>', content, re.DOTALL)[0]
    assert all(f'name="{name}"' in form for name in ("group", "service", "phase", "metaphase"))
    assert f'<input type="hidden" name="view" value="{view}">' in form
    for name, value in (part.split("=") for part in query.split("&")):
        assert re.search(rf'name="{name}" value="{value}"|<option value="{value}" selected>', form), name


def test_the_list_leads_to_it_with_its_filters(alice):
    plan(change_type=ChangeType.STANDARD)
    content = web(alice).get("/changes/?type=Standard&open=true").content.decode()
    assert 'href="/calendar/?type=Standard&amp;open=true"' in content


def test_what_the_filters_hide_overlaps_all_the_same(alice):
    plan(change_type=ChangeType.STANDARD)
    hidden = plan(title="Hidden")
    response = get(alice, "type=Standard")
    assert hidden.number not in boxes(response)
    assert f"Overlaps {hidden.number}" in text(response)


def test_a_filter_that_does_not_exist_is_said(alice):
    plan()
    response = get(alice, "phase=Nowhere")
    assert response.status_code == 200
    assert "A filter has a value that does not exist." in text(response)


def test_a_full_day_of_a_month_leads_to_the_day(alice):
    changes = [plan(NOON + n * timedelta(minutes=5), service="") for n in range(calendar_views.IN_A_CELL + 2)]
    content = get(alice, "view=month").content.decode()
    assert re.findall(r'<a href="/changes/(CHG\d+)/"', content) == [change.number for change in changes[:3]]
    href = re.search(r'<a href="([^"]+)">\+2 more', content)[1].replace("&amp;", "&")
    assert href == "?view=day&date=2026-11-24"
    assert [*boxes(web(alice).get(f"/calendar/{href}"))] == [change.number for change in changes]


def test_today_is_marked(alice):
    for view in ("day", "week", "month"):
        assert 'aria-current="date"' in web(alice).get(f"/calendar/?view={view}").content.decode()
        elsewhere = web(alice).get(f"/calendar/?view={view}&date=2031-01-01").content.decode()
        assert 'aria-current="date"' not in elsewhere


@pytest.mark.parametrize(
    ("view", "previous", "following"),
    [("day", "2026-11-23", "2026-11-25"), ("week", "2026-11-17", "2026-12-01"), ("month", "2026-10-01", "2026-12-01")],
)
def test_it_leads_to_the_days_before_and_after(alice, view, previous, following):
    content = get(alice, f"view={view}").content.decode()
    assert f'href="?view={view}&amp;date={previous}"' in content
    assert f'href="?view={view}&amp;date={following}"' in content


@pytest.mark.parametrize(
    "query", ["view=year", "date=tomorrow", "date=0001-01-01", "date=9999-12-31", "view=month&date=9999-12-31"]
)
def test_an_address_that_makes_no_sense_shows_some_days(alice, query):
    assert "Nothing is planned here" in text(web(alice).get(f"/calendar/?{query}"))


def test_nothing_planned_is_said(alice):
    for view in ("day", "week", "month"):
        assert "Nothing is planned here" in text(get(alice, f"view={view}"))


def test_more_than_a_page_can_show_is_said(alice, monkeypatch):
    monkeypatch.setitem(calendar_views.MOST, "week", 2)
    for _ in range(3):
        plan(service="")
    response = get(alice)
    assert "More than 2 changes are planned here." in text(response)
    assert len(boxes(response)) == 2


def month(response):
    """What each day of the month says of more changes: `+2`, `2?` for at least two, `?` for perhaps, nothing."""
    cells = re.findall(r"<td class=\"([^\"]*)\".*?</td>", response.content.decode(), re.DOTALL)
    assert len(cells) == 42
    bodies = re.findall(r"<td class=.*?</td>", response.content.decode(), re.DOTALL)
    said = {}
    for day, body in enumerate(bodies):
        found = re.search(r"\+(\d+) more|at least (\d+) more|(perhaps) more", body)
        said[day] = found and (f"+{found[1]}" if found[1] else f"{found[2]}?" if found[2] else "?")
    return said, [day for day, name in enumerate(cells) if "is-free" in name]


# The month of November 2026 begins with the 26th of October: the 24th of November is its day 29.
def test_a_month_shows_the_first_of_each_day_and_says_that_there_are_more(alice, monkeypatch):
    monkeypatch.setitem(calendar_views.MOST, "month", 4)
    for n in range(6):
        plan(NOON + n * timedelta(minutes=5), service="")
    for _ in range(4):
        plan(NOON - timedelta(days=2), service="")
    response = get(alice, "view=month")
    said, free = month(response)
    assert [day for day in range(42) if said[day]] == [27, *range(29, 42)]
    assert (said[27], said[29], said[30], said[41]) == ("+1", "2?", "?", "?")
    assert free == [*range(27), 28]
    assert "On 24 November or a later day more than 4 changes begin." in text(response).replace("Tuesday ", "")
    assert "changes begin" not in text(get(alice, "view=month&type=Standard"))


def test_of_a_month_also_those_that_began_before_it_are_cut_and_told(alice, monkeypatch):
    monkeypatch.setitem(calendar_views.MOST, "month", 4)
    start = datetime(2026, 10, 20, tzinfo=UTC)
    long = [plan(start - n * timedelta(days=1), datetime(2026, 10, 28, tzinfo=UTC), service="") for n in range(5)]
    said, free = month(get(alice, "view=month"))
    assert said[0] == "2?"
    assert free == []
    monkeypatch.setitem(calendar_views.MOST, "month", 5)
    said, free = month(get(alice, "view=month"))
    assert (said[0], said[1], said[2], len(long)) == ("+2", "+2", None, 5)
    assert free == [*range(2, 42)]


def test_a_search_in_a_month_is_made_once(alice):
    plan(title="Replace a switch")
    client, sizes = web(alice), []
    for view in ("week", "month"):
        with CaptureQueriesContext(connection) as captured:
            assert "Replace a switch" in text(client.get(f"/calendar/?date=2026-11-24&view={view}&q=replace+switch"))
        sizes.append(sum(len(query["sql"]) for query in captured))
    assert sizes[1] < 1.1 * sizes[0]


def test_a_partner_has_no_calendar(acme):
    assert get(acme.authorized_user).status_code == 403
    assert web().get("/calendar/")["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("query", ["", "view=month", "view=day", "type=Normal"])
def test_the_number_of_queries_does_not_depend_on_the_changes(alice, query):
    client = web(alice)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(f"/calendar/?date=2026-11-24&{query}")
        return len(captured)

    plan()
    few = queries()
    for number in range(12):
        plan(owning_group=SupportGroupFactory(name=f"Group {number % 3}"))
    assert queries() == few <= 8


def test_german_days_have_their_dot(alice):
    start = datetime(2026, 3, 18, 12, tzinfo=UTC)
    ChangeFactory(planned_start=start, planned_end=start + timedelta(hours=1))
    client = web(alice)
    for view, written in (
        ("day", "Sonntag, 22. März 2026"),
        ("week", "16. März – 22. März 2026"),
        ("month", "Sonntag, 22. März"),
        ("week", "So 22. Mär"),
    ):
        page = client.get(f"/calendar/?view={view}&date=2026-03-22", headers={"Accept-Language": "de"})
        assert written in text(page), (view, written)
    assert "Sunday, 22 March 2026" in text(client.get("/calendar/?view=day&date=2026-03-22"))
