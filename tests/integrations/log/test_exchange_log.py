"""The exchange log: filters and paging by the address, and the page of one operation."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from integrations.models import IncomingOperation, OutgoingOperation
from tests.pages import text, web
from tests.rows import each_row

from .conftest import FAR, NOBODY, NOW, comment


def came(system, change, **values):
    fields = {
        "system": system,
        "user": system.authorized_user,
        "operation": "Update",
        "status": "Applied",
        "payload": {"operation": "Update"},
        "body_sha256": "0" * 64,
        "http_status": 200,
        "change": change,
        **values,
    }
    return IncomingOperation.objects.create(**fields)


def spread_out(model, field, minutes=1):
    """Makes each operation a minute older than the next one. The newest is of the present time."""
    for age, row in enumerate(model.objects.order_by("-id")):
        model.objects.filter(pk=row.pk).update(**{field: NOW - age * timedelta(minutes=minutes)})


def shown(response):
    """The keys of the rows on the page."""
    cells = re.findall(r'data-label="Operation"><a href="/exchange/([^/]+)/', response.content.decode())
    return [*cells]


def link(response, relation):
    found = re.search(rf'rel="{relation}" href="([^"]+)"', response.content.decode())
    return found and found[1].replace("&amp;", "&")


# --- Pages ---


@pytest.mark.parametrize("direction", ["out", "in"])
@pytest.mark.parametrize("same_time", [False, True])
def test_every_operation_is_on_one_page_and_there_is_a_way_back(
    audrey, acme, given, to_beta, direction, same_time, monkeypatch
):
    monkeypatch.setattr("integrations.pages.log.exchange_log.PAGE_SIZE", 3)
    model, field = (OutgoingOperation, "created_at") if direction == "out" else (IncomingOperation, "received_at")
    if direction == "out":
        comment(given, 4)
        comment(to_beta, 3)
    else:
        for _ in range(9):
            came(acme, given)
    if same_time:
        model.objects.update(**{field: NOW})
    else:
        spread_out(model, field)
    expected = [str(row.pk) for row in model.objects.order_by(f"-{field}", "-id")]
    client, found, back = web(audrey), [], []
    page = client.get(f"/exchange/?direction={direction}")
    assert link(page, "prev") is None
    while True:
        found += shown(page)
        if link(page, "next") is None:
            break
        page = client.get(link(page, "next"))
    assert found == expected
    assert len(expected) == 9
    while link(page, "prev") is not None:
        page = client.get(link(page, "prev"))
        back = shown(page) + back
    assert back == expected[:6]


def test_what_comes_meanwhile_moves_no_page(audrey, given, monkeypatch):
    monkeypatch.setattr("integrations.pages.log.exchange_log.PAGE_SIZE", 2)
    comment(given, 3)
    client = web(audrey)
    first = client.get("/exchange/")
    expected = [str(row.pk) for row in OutgoingOperation.objects.order_by("-created_at", "-id")]
    comment(given, 2)
    assert shown(first) + shown(client.get(link(first, "next"))) == expected


@each_row("name", ["after", "before"])
@each_row(
    "place",
    ["nonsense", ".", "1", "1.x", f"x.{NOBODY}", f"1.1.{NOBODY}", f"1e3.{NOBODY}"]
    + [f"{number}.{NOBODY}" for number in ("9999999999999999999", "-99999999999999999", "9" * 30, "\u0661")],
)
def test_a_place_that_is_none_shows_the_newest(audrey, given, place, name):
    response = web(audrey).get("/exchange/", {name: place})
    assert len(shown(response)) == 1


def test_the_filters_go_along_from_page_to_page(audrey, given, to_beta, monkeypatch):
    monkeypatch.setattr("integrations.pages.log.exchange_log.PAGE_SIZE", 1)
    comment(given)
    page = web(audrey).get("/exchange/?system=ACME&operation=Update&status=open")
    assert link(page, "next") is None
    page = web(audrey).get("/exchange/?system=ACME")
    assert link(page, "next").startswith("/exchange/?system=ACME&after=")
    page = web(audrey).get(link(page, "next"))
    assert shown(page) == [str(given.outgoing_operations.get(operation="Assign").pk)]


@pytest.mark.any_database
def test_a_part_of_the_page_is_answered_alone(audrey, given):
    response = web(audrey).get("/exchange/?system=ACME&status=&change=", headers={"HX-Request": "true"})
    content = response.content.decode()
    assert content.lstrip().startswith('<div id="log"')
    assert "Assign 1" in content
    assert "<h1" not in content
    assert response["HX-Push-Url"] == "/exchange/?system=ACME"
    for before, asked, header in (
        ("/exchange/", "error=time", "HX-Push-Url"),
        ("/exchange/?error=ti", "error=time", "HX-Replace-Url"),
        ("/exchange/?error=ti", "error=time&system=ACME", "HX-Push-Url"),
    ):
        asking = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{before}"}
        assert web(audrey).get(f"/exchange/?{asked}", headers=asking)[header] == f"/exchange/?{asked}"
    back = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<h1" in web(audrey).get("/exchange/?system=ACME", headers=back).content.decode()


# --- Filters ---


@pytest.mark.parametrize("direction", ["out", "in"])
def test_the_log_of_a_time_window(audrey, acme, given, direction):
    model, field = (OutgoingOperation, "created_at") if direction == "out" else (IncomingOperation, "received_at")
    comment(given, 4)
    for _ in range(5):
        came(acme, given)
    spread_out(model, field)
    window = {
        "since": f"{NOW - timedelta(minutes=3):%Y-%m-%dT%H:%M}",
        "until": f"{NOW - timedelta(minutes=1):%Y-%m-%dT%H:%M}",
    }
    response = web(audrey).get("/exchange/", {"direction": direction, **window})
    times = [getattr(model.objects.get(pk=key), field) for key in shown(response)]
    assert times == [NOW - timedelta(minutes=minutes) for minutes in (1, 2, 3)]


@pytest.mark.any_database
@each_row(
    ("asked", "count"),
    [
        ("since=2026-10-25&until=2026-10-25", 3),
        ("since=2026-10-24&until=2026-10-24", 0),
        # An hour that comes twice: both are meant, or the one whose offset is given.
        ("until=2026-10-25T01:59", 0),
        ("until=2026-10-25T02:29", 1),
        ("until=2026-10-25T02:30", 2),
        ("until=2026-10-25T02:30%2B02:00", 1),
        ("since=2026-10-25T02:31", 2),
        ("since=2026-10-25T02:30%2B01:00", 2),
        ("since=2026-10-25T02:30", 3),
    ],
)
def test_both_ends_of_a_time_window_belong_to_it(audrey, acme, given, asked, count):
    for hour, minute in ((0, 30), (1, 30), (22, 59)):
        moment = datetime(2026, 10, 25, hour, minute, 30, tzinfo=UTC)
        IncomingOperation.objects.filter(pk=came(acme, given).pk).update(received_at=moment)
    client = web(audrey)
    client.cookies["timezone"] = "Europe/Berlin"
    assert len(shown(client.get(f"/exchange/?direction=in&{asked}"))) == count


@pytest.mark.any_database
def test_a_time_that_is_none_is_said(audrey, given):
    response = web(audrey).get("/exchange/?since=yesterday")
    assert "A filter has a value that does not exist" in text(response)
    assert shown(response) == []


@each_row("status", ["", "open", "Refused", "Skipped", "Waiting", "Delivered"])
def test_the_text_of_the_error_is_a_filter(audrey, ingrid, acme, given, to_beta, status):
    comment(given, 2)
    refused, skipped, delivered = given.outgoing_operations.order_by("sequence")
    rows = OutgoingOperation.objects
    rows.filter(pk=refused.pk).update(status="Refused", last_error="refused with 422")
    rows.filter(pk=skipped.pk).update(status="Skipped", skip_reason="A 422 is no use", skipped_by=ingrid)
    rows.filter(pk=delivered.pk).update(status="Delivered")
    rows.filter(change=to_beta).update(last_error="answered 503")
    expected = {"": {refused.pk, skipped.pk}, "open": {refused.pk}, "Refused": {refused.pk}, "Skipped": {skipped.pk}}
    response = web(audrey).get("/exchange/", {"error": "422", "status": status})
    assert {*shown(response)} == {str(pk) for pk in expected.get(status, ())}


def test_the_error_of_what_came_is_a_filter(audrey, acme, given):
    failed = came(acme, given, status="Failed", error="There is no such group.")
    came(acme, given, status="Failed", error="Another")
    came(acme, given)
    assert shown(web(audrey).get("/exchange/?direction=in&error=NO+SUCH")) == [str(failed.pk)]


@pytest.mark.any_database
def test_a_change_that_does_not_exist_has_no_operations(audrey, given):
    assert "No operation matches" in text(web(audrey).get("/exchange/?change=CHG9999999"))


# --- One operation ---


@pytest.mark.any_database
def test_an_operation_says_what_it_means_and_leads_to_its_neighbours(audrey, given):
    comment(given, 2)
    first, second, third = given.outgoing_operations.order_by("sequence")
    response = web(audrey).get(f"/exchange/{second.pk}/")
    said = text(response)
    assert f"It sends ACME a comment or an attachment of {given.number}." in said
    assert "Before it: Assign 1 Waiting After it: Update 3 Waiting" in said
    for other in (first, third):
        assert f'href="/exchange/{other.pk}/"' in response.content.decode()


@pytest.mark.any_database
def test_no_secret_and_no_signature_is_on_a_page_of_the_log(audrey, given):
    content = web(audrey).get(f"/exchange/{given.outgoing_operations.get().pk}/").content.decode()
    assert "whsec_" not in content
    assert "webhook-signature" not in content.lower()


@each_row("direction", ["out", "in"])
@each_row("name", ["since", "until"])
@each_row("moment", FAR)
def test_a_far_time_is_a_mistake_in_the_filter(ingrid, zone, acme, given, direction, name, moment):
    came(acme, given)
    response = web(ingrid).get("/exchange/", {"direction": direction, name: moment})
    assert "The year must lie between 1900 and 9998." in text(response)
    assert shown(response) == []


# --- Long payloads ---


@pytest.mark.any_database
@pytest.mark.parametrize("part", ["payload", "result"])
def test_of_a_long_payload_the_page_shows_the_beginning_and_all_of_it_can_be_downloaded(audrey, acme, given, part):
    long = {"text": "ä" * 200_000}
    operation = came(acme, given, **{part: long})
    response = web(audrey).get(f"/exchange/{operation.pk}/")
    assert len(response.content) < 300_000
    assert "The first 64 kB are shown." in text(response)
    assert f"/exchange/{operation.pk}/{part}.json" in response.content.decode()
    file = web(audrey).get(f"/exchange/{operation.pk}/{part}.json")
    assert file.json() == long
    assert file["Content-Type"] == "application/json"
    assert file["Content-Disposition"] == f'attachment; filename="{operation.pk}-{part}.json"'
    assert file["X-Content-Type-Options"] == "nosniff"
    assert file["Cache-Control"] == "private, no-store"


@pytest.mark.any_database
def test_of_a_long_outgoing_payload_the_page_shows_the_beginning(audrey, given):
    operation = OutgoingOperation.objects.get()
    assert "kB are shown" not in text(web(audrey).get(f"/exchange/{operation.pk}/"))
    operation.payload["record"] = {"description": "x" * 100_000}
    OutgoingOperation.objects.filter(pk=operation.pk).update(payload=operation.payload)
    response = web(audrey).get(f"/exchange/{operation.pk}/")
    assert "The first 64 kB are shown." in text(response)
    assert "x" * 70_000 not in response.content.decode()
    assert "x" * 100_000 in web(audrey).get(f"/exchange/{operation.pk}/payload.json").content.decode()


@pytest.mark.any_database
def test_a_payload_is_downloaded_by_those_who_may_see_its_page(acme, given, client):
    operation = OutgoingOperation.objects.get()
    for asking, status in ((client, 302), (web(acme.authorized_user), 403)):
        assert asking.get(f"/exchange/{operation.pk}/").status_code == status
        assert asking.get(f"/exchange/{operation.pk}/payload.json").status_code == status


@pytest.mark.any_database
def test_what_an_operation_does_not_have_is_not_found(audrey, given):
    operation = OutgoingOperation.objects.get()
    for path in (f"{operation.pk}/result.json", f"{NOBODY}/payload.json", f"{operation.pk}/x.json"):
        assert web(audrey).get(f"/exchange/{path}").status_code == 404
