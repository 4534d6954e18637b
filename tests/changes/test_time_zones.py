"""Time zone names: old names that browsers still report are known everywhere, and unknown names are reported."""

import zoneinfo

import pytest

from changes.models import Preferences
from changes.models.personal.preferences import time_zones
from tests.factories import ChangeFactory
from tests.pages import text, web

pytestmark = pytest.mark.django_db
OLD_NAMES = ["Asia/Calcutta", "Asia/Saigon", "Asia/Katmandu", "America/Buenos_Aires", "Europe/Kiev", "US/Pacific"]


@pytest.fixture
def bare_system():
    """Simulates a machine without a time zone database, such as a slim container or Windows."""
    known = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    time_zones.cache_clear()
    yield
    zoneinfo.reset_tzpath(to=known)
    time_zones.cache_clear()


def test_old_names_are_known_on_every_system(alice, bare_system):
    for name in OLD_NAMES:
        client = web(alice)
        client.cookies["timezone"] = name
        page = client.get("/changes/new/")
        assert f"Planned start ({name})" in text(page)
        assert "is not known here" not in text(page)


def test_a_zone_that_is_not_known_is_said(alice, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    number = ChangeFactory().number
    client = web(alice)
    client.cookies["timezone"] = "Etc/Unknown<b>"
    said = "The time zone Etc/Unknown<b> is not known here: times are shown and read in Europe/Berlin."
    for address in ("/", "/changes/", f"/changes/{number}/edit/", "/exchange/", "/preferences/"):
        assert said in text(client.get(address)), address
    # A chosen time zone takes precedence over the browser's.
    Preferences.objects.create(user=alice, time_zone="Asia/Tokyo")
    client = web(alice)
    client.cookies["timezone"] = "Etc/Unknown"
    assert "is not known here" not in text(client.get("/changes/"))
    # A chosen time zone that the time zone database no longer has.
    Preferences.objects.update(time_zone="Mars/Base")
    assert "The time zone Mars/Base is not known here" in text(web(alice).get("/changes/"))
