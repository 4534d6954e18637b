"""The exchange log: filters and pages in the address, one operation, and retrying a time window."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from changes.bulk import running
from changes.models import BulkItem, BulkJob, Comment, Preferences
from integrations.models import ExternalSystem, IncomingOperation, OutgoingOperation
from tests.factories import ChangeFactory
from tests.pages import text, web
from tests.rows import each_row

NOW = timezone.now().replace(microsecond=0, second=0)


@pytest.fixture
def given(acme):
    """A change that was given to ACME: an Assign is recorded."""
    return ChangeFactory(owning_group=acme.external_groups.get().group)


@pytest.fixture
def to_beta(beta):
    return ChangeFactory(owning_group=beta.external_groups.get().group)


def comment(change, count=1):
    for number in range(count):
        Comment(change=change, author=change.requested_by, body=f"Remark {number}").save()


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


NOBODY = "00000000-0000-0000-0000-000000000000"


def spread_out(model, field, minutes=1):
    """Makes each a minute older than the one after it; the newest is of now."""
    for age, row in enumerate(model.objects.order_by("-id")):
        model.objects.filter(pk=row.pk).update(**{field: NOW - age * timedelta(minutes=minutes)})


def shown(response):
    """The keys of the rows."""
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
    monkeypatch.setattr("integrations.pages.exchange_log.PAGE_SIZE", 3)
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
    monkeypatch.setattr("integrations.pages.exchange_log.PAGE_SIZE", 2)
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
    monkeypatch.setattr("integrations.pages.exchange_log.PAGE_SIZE", 1)
    comment(given)
    page = web(audrey).get("/exchange/?system=ACME&operation=Update&status=open")
    assert link(page, "next") is None
    page = web(audrey).get("/exchange/?system=ACME")
    assert link(page, "next").startswith("/exchange/?system=ACME&after=")
    page = web(audrey).get(link(page, "next"))
    assert shown(page) == [str(given.outgoing_operations.get(operation="Assign").pk)]


def test_a_part_of_the_page_is_answered_alone(audrey, given):
    response = web(audrey).get("/exchange/?system=ACME&status=&change=", headers={"HX-Request": "true"})
    content = response.content.decode()
    assert content.lstrip().startswith('<div id="log">')
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
    assert times == [NOW - timedelta(minutes=2), NOW - timedelta(minutes=3)]


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


def test_a_change_that_does_not_exist_has_no_operations(audrey, given):
    assert "No operation matches" in text(web(audrey).get("/exchange/?change=CHG9999999"))


# --- One operation ---


def test_an_operation_says_what_it_means_and_leads_to_its_neighbours(audrey, given):
    comment(given, 2)
    first, second, third = given.outgoing_operations.order_by("sequence")
    response = web(audrey).get(f"/exchange/{second.pk}/")
    said = text(response)
    assert f"It sends ACME a comment or an attachment of {given.number}." in said
    assert "Before it: Assign 1 Waiting After it: Update 3 Waiting" in said
    for other in (first, third):
        assert f'href="/exchange/{other.pk}/"' in response.content.decode()


def test_no_secret_and_no_signature_is_on_a_page_of_the_log(audrey, given):
    content = web(audrey).get(f"/exchange/{given.outgoing_operations.get().pk}/").content.decode()
    assert "whsec_" not in content
    assert "webhook-signature" not in content.lower()


# --- Retrying a time window ---


@pytest.fixture
def stuck(given, to_beta):
    """For ACME one is refused and one waits, for BETA one is refused; recorded ten, twenty and thirty minutes ago."""
    comment(given)
    OutgoingOperation.objects.filter(operation="Assign").update(
        status="Refused", tries=5, last_error="refused with 422"
    )
    assign, update = given.outgoing_operations.order_by("sequence")
    rows = [assign, update, to_beta.outgoing_operations.get()]
    for number, row in enumerate(rows):
        moment = NOW - timedelta(minutes=10 * (number + 1))
        OutgoingOperation.objects.filter(pk=row.pk).update(created_at=moment, tries=5)
    return rows


def window(minutes_from, minutes_to, system=""):
    return {
        "system": system,
        "since": f"{NOW - timedelta(minutes=minutes_from):%Y-%m-%dT%H:%M}",
        "until": f"{NOW - timedelta(minutes=minutes_to):%Y-%m-%dT%H:%M}",
    }


def states(rows):
    return [
        (row.status, row.tries)
        for row in OutgoingOperation.objects.filter(pk__in=[r.pk for r in rows]).order_by("-created_at")
    ]


def test_the_preview_counts_what_is_retried_and_says_how_old_it_is(ingrid, stuck):
    response = web(ingrid).post("/exchange/retry/", window(60, 0), follow=True)
    said = text(response)
    assert "3 operations are retried" in said
    assert f"The oldest {NOW - timedelta(minutes=30):%Y-%m-%d %H:%M}" in said
    assert f"The newest {NOW - timedelta(minutes=10):%Y-%m-%d %H:%M}" in said
    assert "ACME 1 Refused ACME 1 Waiting BETA 1 Refused" in said
    assert "Retry 3 operations" in said
    assert states(stuck) == [("Refused", 5), ("Waiting", 5), ("Refused", 5)]


@pytest.mark.parametrize(
    ("asked", "retried"),
    [(window(60, 0), [0, 1, 2]), (window(60, 0, "ACME"), [0, 1]), (window(25, 15), [1]), (window(30, 20), [2])],
)
def test_what_is_retried_begins_its_schedule_anew_and_each_has_a_result(ingrid, stuck, asked, retried):
    client = web(ingrid)
    job = client.post("/exchange/retry/", asked)["Location"]
    client.post(f"{job}start/")
    assert running.run(60) is False
    expected = [("Refused", 5), ("Waiting", 5), ("Refused", 5)]
    for number in retried:
        expected[number] = ("Waiting", 0)
    assert states(stuck) == expected
    response = client.get(job)
    assert text(response).count("It is sent as soon as it is its turn.") == len(retried)
    for number in retried:
        assert f'href="/exchange/{stuck[number].pk}/"' in response.content.decode()


def test_one_that_was_delivered_meanwhile_is_left_alone(ingrid, stuck):
    client = web(ingrid)
    job = client.post("/exchange/retry/", window(60, 0, "BETA"))["Location"]
    OutgoingOperation.objects.filter(pk=stuck[2].pk).update(status="Delivered", is_next=False)
    client.post(f"{job}start/")
    running.run(60)
    assert BulkItem.objects.get().status == "unchanged"
    assert "It is Delivered now." in text(client.get(job))
    assert OutgoingOperation.objects.get(pk=stuck[2].pk).status == "Delivered"


def test_a_retry_for_a_system_that_takes_nothing_says_so(ingrid, stuck):
    client = web(ingrid)
    job = client.post("/exchange/retry/", window(60, 0, "BETA"))["Location"]
    client.post(f"{job}start/")
    ExternalSystem.objects.filter(system_id="BETA").update(enabled=False)
    running.run(60)
    assert "It is sent once BETA is enabled and not paused." in text(client.get(job))


def test_a_job_takes_the_oldest_and_says_that_there_are_more(ingrid, stuck, monkeypatch):
    monkeypatch.setattr("integrations.pages.bulk_operations.LARGEST_RETRY", 2)
    said = text(web(ingrid).post("/exchange/retry/", window(60, 0), follow=True))
    assert "2 operations are retried" in said
    assert "There are more than 2 in this time: these are the oldest." in said
    assert [item.target for item in BulkItem.objects.order_by("position")] == [str(stuck[2].pk), str(stuck[1].pk)]


def test_where_nothing_is_stuck_the_page_says_so(ingrid, stuck):
    response = web(ingrid).post("/exchange/retry/", window(600, 300))
    assert "there is nothing to retry" in text(response)
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({**window(0, 60)}, "The end must be after the beginning."),
        ({**window(60, 0), "since": ""}, "Say from when on."),
        ({**window(60, 0), "system": "NOBODY"}, "System"),
    ],
)
def test_a_window_that_is_none_is_said(ingrid, stuck, asked, said):
    response = web(ingrid).post("/exchange/retry/", asked)
    assert "Not previewed" in text(response)
    assert said in text(response)
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize("person", ["alice", "carol", "audrey"])
def test_who_may_retry_one_may_retry_many_and_nobody_else(request, stuck, person):
    client = web(request.getfixturevalue(person))
    assert client.get("/exchange/retry/").status_code == 403
    assert client.post("/exchange/retry/", window(60, 0)).status_code == 403
    assert "/exchange/retry/" not in client.get("/exchange/").content.decode()
    assert not BulkJob.objects.exists()


def test_the_log_leads_to_the_window_with_its_own_filters(ingrid, stuck):
    content = web(ingrid).get("/exchange/?system=ACME&since=2026-01-01T00:00&status=Refused").content.decode()
    address = re.search(r'href="(/exchange/retry/[^"]*)"', content)[1].replace("&amp;", "&")
    page = web(ingrid).get(address).content.decode()
    assert 'value="2026-01-01T00:00"' in page
    assert re.search(r'<option value="ACME"\s+selected', page)


# --- Times that no time zone has room for ---

FAR = ["0001-01-01T00:00", "0001-01-01", "0001-01-01T00:00+14:00", "9999-12-31T23:59", "9999-12-31T23:59-12:00"]


@pytest.fixture(params=["Europe/Berlin", "Etc/GMT+12", "Etc/GMT-14"])
def zone(request, ingrid):
    Preferences.objects.update_or_create(user=ingrid, defaults={"time_zone": request.param})


@each_row("direction", ["out", "in"])
@each_row("name", ["since", "until"])
@each_row("moment", FAR)
def test_a_far_time_is_a_mistake_in_the_filter(ingrid, zone, acme, given, direction, name, moment):
    came(acme, given)
    response = web(ingrid).get("/exchange/", {"direction": direction, name: moment})
    assert "The year must lie between 1900 and 9998." in text(response)
    assert shown(response) == []


@each_row("moment", FAR)
def test_a_far_time_retries_nothing(ingrid, zone, given, moment):
    for window in ({"since": moment, "until": "2026-01-01T00:00"}, {"since": "2026-01-01T00:00", "until": moment}):
        response = web(ingrid).post("/exchange/retry/", window)
        assert "The year must lie between 1900 and 9998." in text(response)
    assert not BulkJob.objects.exists()


# --- Long payloads ---


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


def test_of_a_long_outgoing_payload_the_page_shows_the_beginning(audrey, given):
    operation = OutgoingOperation.objects.get()
    assert "kB are shown" not in text(web(audrey).get(f"/exchange/{operation.pk}/"))
    operation.payload["record"] = {"description": "x" * 100_000}
    OutgoingOperation.objects.filter(pk=operation.pk).update(payload=operation.payload)
    response = web(audrey).get(f"/exchange/{operation.pk}/")
    assert "The first 64 kB are shown." in text(response)
    assert "x" * 70_000 not in response.content.decode()
    assert "x" * 100_000 in web(audrey).get(f"/exchange/{operation.pk}/payload.json").content.decode()


def test_a_payload_is_downloaded_by_those_who_may_see_its_page(acme, given, client):
    operation = OutgoingOperation.objects.get()
    for asking, status in ((client, 302), (web(acme.authorized_user), 403)):
        assert asking.get(f"/exchange/{operation.pk}/").status_code == status
        assert asking.get(f"/exchange/{operation.pk}/payload.json").status_code == status


def test_what_an_operation_does_not_have_is_not_found(audrey, given):
    operation = OutgoingOperation.objects.get()
    for path in (f"{operation.pk}/result.json", f"{NOBODY}/payload.json", f"{operation.pk}/x.json"):
        assert web(audrey).get(f"/exchange/{path}").status_code == 404
