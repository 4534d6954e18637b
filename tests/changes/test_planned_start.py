"""The planned start of a new change, as an address gives it to the form: a click in the calendar leads to one."""

import re

import pytest

from changes.models import Change
from tests.pages import text, web

pytestmark = pytest.mark.django_db

STARTS = [
    # the address, the browser's zone, the field "Planned start" of the form
    ("2026-12-01T22:00", "UTC", "2026-12-01T22:00"),
    ("2026-12-01T22:00+00:00", "Europe/Berlin", "2026-12-01T23:00"),
    ("2026-12-01T22:00", "Europe/Berlin", "2026-12-01T22:00"),
    ("2026-10-25T02:00+01:00", "Europe/Berlin", "2026-10-25T02:00"),
    ("", "UTC", ""),
]


@pytest.mark.parametrize(("start", "zone", "shown"), STARTS)
def test_the_address_can_give_a_new_change_its_planned_start(alice, start, zone, shown):
    client = web(alice)
    client.cookies["timezone"] = zone
    content = client.get("/changes/new/", {"planned_start": start}).content.decode()
    field = re.search(r'<input[^>]*name="planned_start"[^>]*>', content)[0]
    assert (re.search(r'value="([^"]*)"', field) or ["", ""])[1] == shown
    is_open = re.search(r'<details class="card" (open)?>\s*<summary><h2 id="how">', content)[1]
    assert is_open == ("open" if shown else None)
    assert not Change.objects.exists()


NO_STARTS = [
    # the address, what the page says
    ("tomorrow", "Enter a valid date/time, as in 2026-12-01 22:00."),
    ("2026-13-01T00:00", "Enter a valid date/time, as in 2026-12-01 22:00."),
    ("\x00", "Enter a valid date/time, as in 2026-12-01 22:00."),
    ("9999-12-31T23:59", "year must lie between 1900 and 9998"),
    ("0001-01-01T00:00-14:00", "year must lie between 1900 and 9998"),
]


@pytest.mark.parametrize(("start", "said"), NO_STARTS)
def test_a_planned_start_in_the_address_that_is_no_time_is_named(alice, start, said):
    response = web(alice).get("/changes/new/", {"planned_start": start})
    assert response.status_code == 200
    shown = text(response)
    assert said in shown[shown.index("Planned start (UTC):") :][:100]
    assert 'name="planned_start" value=""' in response.content.decode()
