"""The progress and the results of a bulk job, and who may see them."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.choices import Role
from changes.models import BulkJob
from tests.factories import ChangeFactory, UserFactory
from tests.pages import text, web

from .conftest import previewed, started, statuses, work


def test_the_progress_is_asked_for_alone_until_it_is_done_and_then_comes_with_the_results(alice):
    client = web(alice)
    address = started(client, "comment", [ChangeFactory(), ChangeFactory()], body="Hello", visibility="public")
    part = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert 'hx-trigger="every 1s, renew"' in part
    assert "Waiting for a worker" in part
    work()
    response = client.get(address, headers={"HX-Request": "true"})
    part = response.content.decode()
    assert response["HX-Retarget"] == "#job"
    assert "hx-trigger" not in part
    assert part.count("The comment was added.") == 2
    assert re.search(r'hx-swap-oob="innerHTML">\s*Finished: 2 of 2; 2 done, 0 not done', part)


def test_without_scripts_a_link_refreshes_and_the_results_lead_to_each_change(alice):
    client = web(alice)
    change = ChangeFactory()
    address = started(client, "comment", [change], body="Hello", visibility="public")
    content = client.get(address).content.decode()
    assert f'id="job-refresh" href="{address}">Refresh</a>' in content
    assert "http-equiv" not in content
    assert f'href="/changes/{change.number}/"' in content


def test_results_are_narrowed_and_paged_by_the_address(alice, network, storage, monkeypatch):
    monkeypatch.setattr("changes.bulk.progress.PAGE_SIZE", 2)
    changes = [ChangeFactory(title=f"Change {n}", owning_group=network) for n in range(4)]
    changes.append(ChangeFactory(title="Change 4", owning_group=storage))
    client = web(alice)
    address = started(client, "reassign", changes, group=storage.pk)
    work()
    assert [item.label[-1] for item, _ in client.get(address).context["results"].rows] == ["4", "3"]
    page = client.get(f"{address}?show=done&after=2")
    assert [item.label[-1] for item, _ in page.context["results"].rows] == ["2", "1"]
    assert 'href="?show=done&amp;after=4"' in page.content.decode()
    assert client.get(f"{address}?show=nonsense&after=-1").status_code == 200


def test_the_page_of_a_job_makes_few_queries_whatever_the_number_of_records(alice):
    client = web(alice)
    counts = []
    for number in (2, 30):
        changes = [ChangeFactory() for _ in range(number)]
        address = started(client, "comment", changes, body="Hello", visibility="public")
        work()
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


def test_later_the_jobs_of_a_person_are_found_again_and_those_of_others_are_not(alice, carol):
    address = started(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    previewed(web(alice), "comment", [ChangeFactory()], body="Never started", visibility="private")
    work()
    content = web(alice).get("/changes/bulk/").content.decode()
    assert content.count("Add a public comment") == 1
    assert f'href="{address}"' in content
    assert "private" not in content
    other = web(UserFactory(roles=[Role.AGENT]))
    assert "No bulk jobs yet" in text(other.get("/changes/bulk/"))
    for method, path in (("get", address), ("post", f"{address}start/"), ("post", f"{address}stop/")):
        assert getattr(other, method)(path).status_code == 404


@pytest.mark.parametrize("who", ["change manager", "superuser"])
def test_a_running_job_of_somebody_else_can_be_seen_and_stopped_by_those_who_watch_over_all(alice, carol, who):
    client = web(carol if who == "change manager" else UserFactory(is_staff=True, is_superuser=True))
    draft = previewed(web(alice), "comment", [ChangeFactory()], body="Never started", visibility="private").job
    address = started(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    page = client.get("/changes/bulk/").content.decode()
    assert f'href="{address}"' in page
    assert f'href="{draft}"' not in page
    assert "alice" in page
    assert "Started by alice." in text(client.get(address))
    for path in (draft, f"{draft}start/", f"{draft}stop/", f"{draft}drop/", f"{draft}again/"):
        assert client.post(path).status_code in (404, 405)
    assert client.get(draft).status_code == 404
    assert client.post(f"{address}start/").status_code == 404
    client.post(f"{address}stop/")
    work()
    assert "Stopped 0 of 1" in text(client.get(address))
    assert statuses() == ["waiting", "waiting"]
    assert f'href="{address}"' not in client.get("/changes/bulk/").content.decode()


def test_running_jobs_of_others_are_shown_to_nobody_else(alice, ingrid, audrey):
    address = started(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    for person in (ingrid, audrey, UserFactory(roles=[Role.AGENT])):
        assert address not in web(person).get("/changes/bulk/").content.decode()
        assert web(person).get(address).status_code == 404
        assert web(person).post(f"{address}stop/").status_code in (403, 404)
    assert BulkJob.objects.get().is_running


def test_the_list_of_jobs_makes_few_queries_whatever_their_number(alice):
    client = web(alice)
    counts = []
    for number in (1, 6):
        for _ in range(number):
            started(client, "comment", [ChangeFactory()], body="Hello", visibility="public")
        work()
        with CaptureQueriesContext(connection) as queries:
            client.get("/changes/bulk/")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


def test_a_job_that_no_worker_looks_at_says_so(alice):
    address = started(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    assert "No worker has worked on this job" not in text(web(alice).get(address))
    BulkJob.objects.update(confirmed_at=timezone.now() - timedelta(minutes=1))
    assert "No worker has worked on this job" in text(web(alice).get(address))
