"""A form is read in the time zone in which it was rendered. Times in the nights of a clock change are handled."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from changes.models import Change, Preferences
from integrations.models import OutgoingOperation
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory
from tests.html_forms import errors, post_form, read_form
from tests.pages import text, web

pytestmark = pytest.mark.django_db
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
START, END = datetime(2026, 12, 1, 21, 0, tzinfo=UTC), datetime(2026, 12, 1, 23, 0, tzinfo=UTC)
FIRST, SECOND = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
TWICE, MISSING = "2026-10-25T02:30", "2027-03-28T02:30"
SAID_TWICE = "02:30 comes twice that night: choose the first (CEST) or the second (CET)."
SAID_MISSING = "That hour does not exist that night: write 03:30."


def browser(user, zone=BERLIN):
    client = web(user)
    client.cookies["timezone"] = zone
    return client


def superuser():
    return UserFactory(username="root", is_superuser=True, is_staff=True)


def travel_by_cookie(client):
    client.cookies["timezone"] = NEW_YORK


def travel_by_preferences(client):
    assert post_form(client, "/preferences/", time_zone=NEW_YORK).status_code == 302


def test_a_form_that_is_sent_in_another_zone_is_read_in_its_own():
    root = superuser()
    for travel in (travel_by_cookie, travel_by_preferences):
        for address in ("/changes/{}/edit/", "/admin/changes/change/{}/change/"):
            Preferences.objects.all().delete()
            change = ChangeFactory(planned_start=START, planned_end=END)
            key = change.pk if "admin" in address else change.number
            client = browser(root)
            page = client.get(address.format(key))
            travel(client)
            sent = post_form(client, address.format(key), page=page, title="After", planned_end="2026-12-02T01:30")
            assert sent.status_code == 302, errors(sent)
            change.refresh_from_db()
            assert (change.title, change.planned_start) == ("After", START), (address, travel)
            assert change.planned_end == datetime(2026, 12, 2, 0, 30, tzinfo=UTC)


def test_what_is_shown_again_is_still_in_that_zone(alice):
    client = browser(alice)
    page = client.get("/changes/new/")
    travel_by_cookie(client)
    again = post_form(client, "/changes/new/", page=page, title="", planned_start="2026-12-01T22:00")
    assert "Planned start (Europe/Berlin)" in text(again)
    post_form(client, "/changes/new/", page=again, title="Mended")
    assert Change.objects.get(title="Mended").planned_start == START


def test_two_who_edit_in_two_zones_choose_between_the_same_moments(alice, carol):
    change = ChangeFactory(planned_start=START, planned_end=None)
    hers, address = browser(carol), f"/changes/{change.number}/edit/"
    opened = hers.get(address)
    post_form(browser(alice, NEW_YORK), address, planned_start="2026-12-01T17:00")
    travel_by_cookie(hers)
    clash = post_form(hers, address, page=opened, planned_start="2026-12-01T22:30")
    assert clash.status_code == 409
    post_form(hers, address, page=clash, choice_planned_start="mine")
    change.refresh_from_db()
    assert change.planned_start == datetime(2026, 12, 1, 21, 30, tzinfo=UTC)


def test_what_was_typed_before_a_session_ran_out_is_shown_in_its_zone(alice):
    client = browser(alice)
    page = client.get("/changes/new/")
    client.logout()
    client.cookies["timezone"] = NEW_YORK
    post_form(client, "/changes/new/", page=page, title="Kept", planned_start="2026-12-01T22:00")
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    shown = client.get("/changes/new/")
    assert "Planned start (Europe/Berlin)" in text(shown)
    post_form(client, "/changes/new/", page=shown, title="Kept")
    assert Change.objects.get(title="Kept").planned_start == START


def test_a_zone_that_does_not_exist_is_refused(alice):
    client = browser(alice)
    page = client.post("/changes/new/", {"title": "T", "planned_start": "2026-12-01T22:00", "zone": "Mars/Base"})
    assert (page.status_code, Change.objects.count()) == (400, 0)
    assert "names a time zone that does not exist" in text(page)


# --- The nights in which the clocks are put back or forward ---


def test_every_form_asks_which_of_two_hours_is_meant_and_refuses_the_one_that_is_missing(time_machine):
    # Some forms offer a time that is counted from now, which in such a night has a choice of its own.
    time_machine.move_to("2026-03-02T12:00:00Z", tick=False)
    root, client = superuser(), browser(superuser())
    change = ChangeFactory(planned_start=None, planned_end=None)
    forms = [  # the page, its field, and the other typed fields
        (f"/changes/{change.number}/edit/", "planned_start", {}),
        ("/changes/new/", "planned_start", {"title": "New"}),
        (f"/admin/changes/change/{change.pk}/change/", "planned_start", {}),
        ("/admin/changes/change/add/", "planned_start", {"title": "New"}),
        ("/admin/knox/authtoken/add/", "expiry", {"user": str(root.pk)}),
        ("/exchange/retry/", "since", {}),
    ]
    for address, field, typed in forms:
        for value, said in ((TWICE, SAID_TWICE), (MISSING, SAID_MISSING)):
            page = post_form(client, address, **typed, **{field: value})
            assert page.status_code == 200, address
            assert errors(page)[field] == [said], address
            assert read_form(page, field)["fields"][field] == [value]
            assert ("Which of the two?" in page.content.decode()) == (value == TWICE), address
    assert Change.objects.count() == 1


def test_either_hour_can_be_chosen_and_stays_until_it_is_edited(alice):
    client = browser(alice)
    for offset, moment in (("+02:00", FIRST), ("+01:00", SECOND)):
        change = ChangeFactory(planned_start=None, planned_end=None)
        address = f"/changes/{change.number}/edit/"
        asked = post_form(client, address, planned_start=TWICE)
        post_form(client, address, page=asked, planned_start_offset=offset)
        change.refresh_from_db()
        assert change.planned_start == moment
        assert post_form(client, address, title="Other").status_code == 302
        change.refresh_from_db()
        assert (change.title, change.planned_start) == ("Other", moment)
        # The choice belonged to a time that was replaced, so it no longer counts.
        post_form(client, address, planned_start="2026-10-25T05:30")
        change.refresh_from_db()
        assert change.planned_start == datetime(2026, 10, 25, 4, 30, tzinfo=UTC)


# --- The exchange log ---


def recorded(*moments):
    """Operations that were recorded at these moments."""
    for moment in moments:
        change = ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))
        OutgoingOperation.objects.filter(change=change).update(created_at=moment)


def found(client, **asked) -> int:
    return client.get("/exchange/", asked).content.decode().partition("<tbody")[2].count("<tr")


def test_the_log_reads_its_times_in_the_zone_of_the_address_and_counts_both_hours(alice, acme):
    recorded(*(datetime(2026, 10, 25, hour, 45, tzinfo=UTC) for hour in (0, 1)))
    for asked, zone, count in [
        ({"since": TWICE, "until": "2026-10-25T02:50"}, BERLIN, 2),
        ({"since": TWICE, "until": "2026-10-25T02:45"}, BERLIN, 2),
        ({"since": TWICE, "until": "2026-10-25T02:44"}, BERLIN, 1),
        ({"since": TWICE, "until": "2026-10-25T02:59+02:00"}, BERLIN, 1),
        ({"since": TWICE, "until": "2026-10-25T02:59", "until_offset": "+02:00"}, BERLIN, 1),
        ({"since": "2026-10-25T02:40", "until": "2026-10-25T02:50", "zone": BERLIN}, NEW_YORK, 2),
        ({"since": "2026-10-25T02:40", "until": "2026-10-25T02:50"}, NEW_YORK, 0),
        ({"since": "2026-10-25T02:40+02:00"}, NEW_YORK, 2),
        ({"since": "2026-10-25T02:40+01:00"}, NEW_YORK, 1),
    ]:
        assert found(browser(alice, zone), **asked) == count, asked
    page = browser(alice).get("/exchange/", {"since": MISSING})
    assert SAID_MISSING in text(page)
    page = browser(alice, NEW_YORK).get("/exchange/", {"since": "2026-10-25T02:40+02:00"})
    assert read_form(page, "since")["fields"]["since"] == ["2026-10-24T20:40"]


def test_a_script_that_filters_hears_what_is_wrong_and_gets_an_address_with_the_zone(alice, acme):
    client = browser(alice)
    part = client.get("/exchange/", {"since": MISSING, "zone": BERLIN}, headers={"HX-Request": "true"})
    assert SAID_MISSING in part.content.decode()
    with_times, without = {"since": "2026-12-01T22:00", "zone": BERLIN}, {"error": "x", "zone": BERLIN}
    for asked, zone in ((with_times, [BERLIN]), (without, None)):
        part = client.get("/exchange/", asked, headers={"HX-Request": "true"})
        assert parse_qs(urlsplit(part["HX-Push-Url"]).query).get("zone") == zone
