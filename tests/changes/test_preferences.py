"""Language, time zone, theme and keyboard shortcuts of a user: their own choice, or the setting of their browser."""

import re
from datetime import UTC, datetime

import pytest

from changes.models import Change, Preferences
from tests.factories import UserFactory
from tests.pages import text, web

pytestmark = pytest.mark.django_db

CHOSEN = {"language": "de", "time_zone": "Asia/Tokyo", "keyboard_shortcuts": "on"}


@pytest.fixture
def change(alice):
    return Change.objects.create(title="New switch", requested_by=alice)


def test_a_person_chooses_language_time_zone_and_keys(alice):
    client = web(alice)
    response = client.post("/preferences/", {"language": "de", "time_zone": "Asia/Tokyo"})
    assert response["Location"] == "/preferences/"
    kept = Preferences.objects.get()
    assert (kept.user, kept.language, kept.time_zone, kept.keyboard_shortcuts) == (alice, "de", "Asia/Tokyo", False)
    assert 'lang="de"' in client.get("/preferences/").content.decode()


def test_what_was_chosen_holds_after_the_next_sign_in(alice):
    web(alice).post("/preferences/", CHOSEN)
    response = web(alice).get("/preferences/")
    assert response["Content-Language"] == "de"
    assert "JST" in response.content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("theme", "neon"), ("language", "tlh"), ("time_zone", "Mars/Olympus"), ("time_zone", "../../etc/passwd")],
)
def test_what_does_not_exist_is_refused_and_named(alice, field, value):
    response = web(alice).post("/preferences/", {**CHOSEN, field: value})
    assert response.status_code == 200
    assert value in text(response)
    assert not Preferences.objects.exists()


LANGUAGES = [
    # the languages that the browser requests, the language of the page
    ("de-AT,de;q=0.9,en;q=0.5", "de"),
    ("en-GB", "en"),
    ("fr,de;q=0.4", "de"),
    ("fr", "en"),
    ("", "en"),
]


@pytest.mark.parametrize(("asked", "given"), LANGUAGES)
def test_without_a_choice_the_page_is_in_the_browsers_language(alice, asked, given):
    response = web(alice).get("/preferences/", headers={"accept-language": asked})
    assert response["Content-Language"] == given
    assert f'<html lang="{given}">' in response.content.decode()


THEMES = [
    # what a person chose, and what the pages and the administration then say
    ("", '<html lang="en">', "light dark", ""),
    ("light", '<html lang="en" data-theme="light">', "light", "light"),
    ("dark", '<html lang="en" data-theme="dark">', "dark", "dark"),
]


@pytest.mark.parametrize(("chosen", "head", "scheme", "admin_class"), THEMES)
def test_the_server_sends_each_page_in_the_chosen_theme(change, chosen, head, scheme, admin_class):
    root = UserFactory(is_staff=True, is_superuser=True)
    client = web(root)
    client.post("/preferences/", {**CHOSEN, "language": "en", "theme": chosen})
    again = web(root)  # signed in anew
    pages = ("/", "/preferences/", f"/changes/{change.number}/", "/nowhere/")
    of_admin = ("/admin/", f"/admin/changes/change/{change.pk}/change/", "/admin/auth/user/?_popup=1")
    # What signing in anew reads is the same for every page.
    for browser, some, others in ((client, pages, of_admin), (again, pages[-1:], of_admin[-1:])):
        for address in some:
            content = browser.get(address).content.decode()
            assert head in content, address
            assert f'<meta name="color-scheme" content="{scheme}">' in content, address
        for address in others:
            content = browser.get(address).content.decode()
            assert f'<meta name="color-scheme" content="{scheme}">' in content, address
            classes = {*re.search(r'<body class="([^"]*)"', content)[1].split()}
            assert classes & {"light", "dark"} == ({admin_class} if chosen else set()), address
            assert "admin/js/theme" not in content, "this script would take another theme from the browser's storage"


@pytest.mark.parametrize(
    ("cookie", "zone"),
    [("Europe/Berlin", "CET"), ("America/New_York", "EST"), ("Nowhere/Land", "UTC"), ("../x", "UTC"), ("", "UTC")],
)
def test_without_a_choice_times_are_in_the_browsers_zone(alice, change, cookie, zone, time_machine):
    time_machine.move_to("2026-11-24T12:00:00Z", tick=False)
    client = web(alice)
    client.cookies["timezone"] = cookie
    assert f' {zone}"' in client.get("/preferences/").content.decode()


def test_the_choice_of_a_time_zone_beats_the_browsers(alice):
    client = web(alice)
    client.cookies["timezone"] = "America/New_York"
    client.post("/preferences/", CHOSEN)
    assert ' JST"' in client.get("/preferences/").content.decode()


def test_the_api_is_english_whatever_a_client_asks_for(alice, api):
    client = api(alice)
    answer = client.post("/api/v1/changes/", {}, headers={"accept-language": "de"})
    assert answer.status_code == 400
    assert "Content-Language" not in answer.headers
    assert answer.json()["errors"][0]["detail"] == client.post("/api/v1/changes/", {}).json()["errors"][0]["detail"]


def test_the_keyboard_map_is_a_page_and_a_part_of_one(alice):
    client = web(alice)
    page = client.get("/keyboard/").content.decode()
    part = client.get("/keyboard/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" in page and "<html" not in part
    assert "<kbd>?</kbd>" in page and "<kbd>?</kbd>" in part


def test_who_turned_the_single_keys_off_has_none(alice):
    client = web(alice)
    assert 'data-shortcuts="on"' in client.get("/keyboard/").content.decode()
    client.post("/preferences/", {"language": "", "time_zone": ""})
    assert 'data-shortcuts="on"' not in client.get("/keyboard/").content.decode()


def test_a_part_of_a_page_without_a_session_answers_401_and_no_login_page(client):
    response = client.get("/keyboard/", headers={"HX-Request": "true"})
    assert (response.status_code, response.content) == (401, b"")
    assert client.get("/keyboard/")["Location"] == "/accounts/login/?next=/keyboard/"


def test_pages_are_compressed_and_the_api_is_not(alice, api):
    headers = {"accept-encoding": "gzip"}
    assert web(alice).get("/preferences/", headers=headers)["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in api(alice).get("/api/v1/changes/", headers=headers).headers


WRITTEN = [
    # the language, how the pages write a time and the tooltip with the exact one
    ("en", "2026-11-28 14:05", "2026-11-28 14:05:09 CET"),
    ("de", "28.11.2026 14:05", "28.11.2026 14:05:09 CET"),
]


@pytest.mark.parametrize(("language", "shown", "exact"), WRITTEN)
def test_times_are_written_as_the_language_writes_them(alice, change, language, shown, exact):
    start = datetime(2026, 11, 28, 13, 5, 9, tzinfo=UTC)
    change.planned_start = start
    change.save()
    client = web(alice)
    client.post("/preferences/", {"language": language, "time_zone": "Europe/Berlin"})
    time = f'<time datetime="2026-11-28T14:05:09+01:00" title="{exact}">{shown}</time>'
    assert time in client.get(f"/changes/{change.number}/").content.decode()
    assert time in client.get("/changes/").content.decode()
    assert f'title="{exact}">14:05</time>' in client.get("/calendar/?date=2026-11-28").content.decode()
