"""Times near the years 1 and 9999, in any time zone: refused by every interface, and displayed if stored."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from changes.models import Change
from tests.factories import ChangeFactory, UserFactory
from tests.html_forms import errors, post_form
from tests.pages import text, web
from tests.stored import store

pytestmark = pytest.mark.django_db
ZONES = ["UTC", "America/New_York", "Asia/Tokyo"]
BEYOND = ["0001-01-01T00:00", "1899-12-31T23:59", "9999-01-01T00:00", "9999-12-31T23:59"]
ENDS = [datetime(1900, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, 23, 59, tzinfo=UTC)]


def test_a_time_beyond_the_limits_is_refused_on_every_way_in(alice, api, acme, partner_api):
    root = UserFactory(username="root", is_superuser=True, is_staff=True)
    change = ChangeFactory(planned_end=None)
    for moment in BEYOND:
        exact = datetime.fromisoformat(f"{moment}:00+00:00")
        for zone in ZONES:
            local = _shown(exact, zone)
            if local is None:
                continue  # the time does not exist
            forms = [
                (web(alice), "/changes/new/"),
                (web(alice), f"/changes/{change.number}/edit/"),
                (web(root), f"/admin/changes/change/{change.pk}/change/"),
            ]
            # The zones are read alike by all three.
            for client, address in forms if zone == ZONES[0] else forms[:1]:
                client.cookies["timezone"] = zone
                page = post_form(client, address, title="T", planned_end=local)
                assert page.status_code == 200 and "year must lie between 1900 and 9998" in text(page), (address, local)
            written = {"title": "T", "planned_end": exact.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")}
            if len(written["planned_end"]) == 25:  # the offset must be whole minutes
                answer = api(alice).post("/api/v1/changes/", written, format="json")
                assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "planned_end")
                sent = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": written}
                assert partner_api(acme).post("/api/v1/operations/", sent, format="json").status_code == 400
                asked = {"updated_since": written["planned_end"]}
                assert api(alice).get("/api/v1/changes/", asked).status_code == 400
        with pytest.raises(ValidationError):
            Change(title="T", planned_end=exact).save()
    assert [row.planned_end for row in Change.objects.all()] == [None]


def test_what_lies_at_the_limits_is_taken_shown_edited_and_found(alice, api):
    root = web(UserFactory(username="root", is_superuser=True, is_staff=True))
    for moment in ENDS:
        written = {"title": "T", "planned_start": moment.isoformat()}
        number = api(alice).post("/api/v1/changes/", written, format="json").json()["number"]
        for zone in [*ZONES, "Europe/Paris"]:  # Its offset of 1900 has seconds, which no form shows.
            client = web(alice)
            client.cookies["timezone"] = zone
            assert client.get(f"/changes/{number}/").status_code == 200
            # Sent back without a change.
            local = _shown(moment, zone)
            for title, planned in ((f"In {zone}", {}), (f"Typed in {zone}", {"planned_start": local})):
                edited = post_form(client, f"/changes/{number}/edit/", title=title, **planned)
                assert edited.status_code == 302, errors(edited)
            address = f"/admin/changes/change/{Change.objects.get(number=number).pk}/change/"
            root.cookies["timezone"] = zone
            edited = post_form(root, address, description=f"In {zone}")
            assert edited.status_code == 302, errors(edited)
            change = Change.objects.get(number=number)
            assert (change.title, change.planned_start) == (f"Typed in {zone}", moment)
            assert change.description == f"In {zone}"
            day = moment.astimezone(ZoneInfo(zone)).date().isoformat()
            for view in ("day", "week", "month"):
                assert "shows changes that have a planned start" in text(
                    client.get("/calendar/", {"view": view, "date": day})
                )
        day = moment.date().isoformat()
        assert number in text(web(alice).get("/changes/", {"planned_from": day, "planned_to": day}))


def _shown(moment, zone):
    try:
        return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M").rjust(16, "0")
    except OverflowError:
        return None


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [1, 9999])
def test_one_that_is_stored_all_the_same_is_shown(alice, settings, zone, year):
    moment = datetime(1, 1, 1, tzinfo=UTC) if year == 1 else datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    change = ChangeFactory(planned_start=None, planned_end=None)
    store(change, planned_end=connection.ops.adapt_datetimefield_value(moment))
    settings.TIME_ZONE = zone
    for address in (f"/changes/{change.number}/", "/changes/"):
        assert change.title in text(web(alice).get(address))


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
