"""The page that retries all refused operations of a time window."""

import re
from datetime import timedelta

import pytest

from changes.bulk import running
from changes.models import BulkItem, BulkJob
from integrations.models import ExternalSystem, OutgoingOperation
from tests.pages import text, web
from tests.rows import each_row

from .conftest import FAR, NOW, comment, window


@pytest.fixture
def stuck(given, to_beta):
    """ACME has a refused and a waiting operation, BETA a refused one, recorded 10, 20 and 30 minutes ago."""
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
    [
        (window(60, 0), [0, 1, 2]),
        (window(60, 0, "ACME"), [0, 1]),
        (window(25, 15), [1]),
        (window(30, 20), [1, 2]),
        (window(30, 21), [2]),
    ],
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


@pytest.mark.any_database
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
    assert "There are more than 2 operations in this time. These are the oldest." in said
    assert [item.target for item in BulkItem.objects.order_by("position")] == [str(stuck[2].pk), str(stuck[1].pk)]


@pytest.mark.any_database
def test_where_nothing_is_stuck_the_page_says_so(ingrid, stuck):
    response = web(ingrid).post("/exchange/retry/", window(600, 300))
    assert "Nothing to retry" in text(response)
    assert not BulkJob.objects.exists()


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (window(29, 30), "The end must not be before the beginning."),
        ({**window(60, 0), "since": ""}, "Enter the start."),
        ({**window(60, 0), "system": "NOBODY"}, "System"),
    ],
)
def test_a_window_that_is_none_is_said(ingrid, stuck, asked, said):
    response = web(ingrid).post("/exchange/retry/", asked)
    assert "Not previewed" in text(response)
    assert said in text(response)
    assert not BulkJob.objects.exists()


@pytest.mark.any_database
@pytest.mark.parametrize("person", ["alice", "carol", "audrey"])
def test_who_may_retry_one_may_retry_many_and_nobody_else(request, stuck, person):
    client = web(request.getfixturevalue(person))
    assert client.get("/exchange/retry/").status_code == 403
    assert client.post("/exchange/retry/", window(60, 0)).status_code == 403
    assert "/exchange/retry/" not in client.get("/exchange/").content.decode()
    assert not BulkJob.objects.exists()


@pytest.mark.any_database
def test_the_log_leads_to_the_window_with_its_own_filters(ingrid, stuck):
    content = web(ingrid).get("/exchange/?system=ACME&since=2026-01-01T00:00&status=Refused").content.decode()
    address = re.search(r'href="(/exchange/retry/[^"]*)"', content)[1].replace("&amp;", "&")
    page = web(ingrid).get(address).content.decode()
    assert 'value="2026-01-01T00:00"' in page
    assert re.search(r'<option value="ACME"\s+selected', page)


@each_row("moment", FAR)
def test_a_far_time_retries_nothing(ingrid, zone, given, moment):
    for asked in ({"since": moment, "until": "2026-01-01T00:00"}, {"since": "2026-01-01T00:00", "until": moment}):
        response = web(ingrid).post("/exchange/retry/", asked)
        assert "The year must lie between 1900 and 9998." in text(response)
    assert not BulkJob.objects.exists()
