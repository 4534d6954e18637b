"""Times at the ends of the calendar, in any time zone: refused alike on every way in, and shown if they are there."""

from datetime import UTC, datetime

import pytest

from changes.models import Change
from tests.factories import ChangeFactory
from tests.html_forms import post_form
from tests.pages import text, web

pytestmark = pytest.mark.django_db
ZONES = ["UTC", "America/New_York", "Asia/Tokyo"]
ENDS = ["0001-01-01T00:00", "1899-12-31T23:59", "9999-12-31T23:59"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("moment", ENDS)
def test_a_year_that_no_plan_has_is_refused(alice, api, settings, zone, moment):
    settings.TIME_ZONE = zone
    page = web(alice).post("/changes/new/", {"title": "T", "planned_end": moment})
    assert page.status_code == 200
    assert "The year must lie between 1900 and 9998." in text(page)
    answer = api(alice).post("/api/v1/changes/", {"title": "T", "planned_end": f"{moment}:00Z"})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "planned_end")
    assert not Change.objects.exists()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [1, 9999])
def test_one_that_is_stored_all_the_same_is_shown(alice, settings, zone, year):
    moment = datetime(1, 1, 1, tzinfo=UTC) if year == 1 else datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    change = ChangeFactory(planned_start=None, planned_end=moment)
    settings.TIME_ZONE = zone
    assert web(alice).get(f"/changes/{change.number}/").status_code == 200
    assert web(alice).get("/changes/").status_code == 200


# --- The nights in which the clocks are put back or forward: also test_form_zones.py ---


def in_berlin(user):
    client = web(user)
    client.cookies["timezone"] = "Europe/Berlin"
    return client


@pytest.mark.parametrize("hour", [0, 1])
def test_a_time_in_the_hour_that_comes_twice_stays_exactly_when_something_else_is_edited(alice, hour):
    start, end = datetime(2026, 10, 25, hour, 30, 17, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, 18, tzinfo=UTC)
    change = ChangeFactory(title="Before", planned_start=start, planned_end=end)
    client, address = in_berlin(alice), f"/changes/{change.number}/edit/"
    response = post_form(client, address, title="After")
    assert response.status_code == 302
    change.refresh_from_db()
    assert (change.title, change.planned_start, change.planned_end, change.version) == ("After", start, end, 2)
