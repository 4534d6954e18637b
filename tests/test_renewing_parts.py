"""Every part that updates itself gets status 204 if it has not changed, otherwise the new part."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from changes.actor import acting
from changes.choices import Decision, Phase
from changes.models import Approval, BulkJob, Change, Comment
from changes.waiting import CAN_WAIT
from integrations.models import ExternalReference, OutgoingOperation
from integrations.outgoing import breaker
from integrations.pages.test_operation import sending

from .changes.bulk.conftest import started
from .factories import ChangeFactory, change_in
from .pages import asked_for, posted, web
from .rows import each_row

pytestmark = pytest.mark.django_db


class World(NamedTuple):
    """`change` waits for approval. ACME, its partner, also has the test operation `test`. The bulk job `job` runs."""

    ingrid: Any
    alice: Any
    acme: Any
    change: Change
    job: BulkJob
    job_page: str
    test: Change

    @property
    def pages(self) -> dict[str, str]:
        return {
            "desk": "/",
            "status": "/exchange/status/",
            "test": f"/exchange/status/ACME/test/{self.test.number}/",
            "change": f"/changes/{self.change.number}/",
            "job": self.job_page,
            "operation": f"/exchange/{self.change.outgoing_operations.first().pk}/",
            "log": "/exchange/",
        }


class Row(NamedTuple):
    """One part. `page` shows it, it is the element with the id `element`, and polls the page `asks`.

    After `happens`, the part contains `says`.
    """

    page: str
    element: str
    asks: str
    happens: Callable[[World], Any]
    says: str


def refused(world: World) -> None:
    OutgoingOperation.objects.filter(change=world.change).update(status="Refused", last_http_status=422)


def settled(world: World) -> None:
    OutgoingOperation.objects.filter(change=world.test).update(status="Skipped", is_next=False)


def edited(world: World) -> None:
    with acting(world.alice):
        change = Change.objects.get(pk=world.change.pk)
        change.title = "Another title"
        change.save()


def held(world: World) -> None:
    breaker.open_by_hand(world.acme, world.ingrid, "its desk moves")


def referred(world: World) -> None:
    ExternalReference.objects.create(change=world.change, system=world.acme, external_id="A-1")


PARTS = {
    "what needs a person, on the desk": Row("desk", "desk-now", "desk", refused, "Refused by the partner"),
    "the systems, on the status page": Row("status", "live", "status", held, "Paused by hand"),
    "what became of a test operation": Row("test", "live", "test", settled, "was given up"),
    "what happened on a change: a comment": Row(
        "change",
        "news",
        "change",
        lambda world: Comment(change=world.change, author=world.alice, body="I am on it").save(),
        "I am on it",
    ),
    "what happened on a change: a save": Row("change", "news", "change", edited, "Another title"),
    "what happened on a change: a decision": Row(
        "change",
        "news",
        "change",
        lambda world: Approval(change=world.change, author=world.ingrid, decision=Decision.DENIED, comment="No").save(),
        "Denied",
    ),
    "the exchange of a change": Row("change", "news", "change", referred, "A-1"),
    "an operation": Row("operation", "operation", "operation", refused, "It will not be retried automatically"),
    "the exchange log": Row("log", "log", "log", settled, "Skipped"),
    "a bulk job's progress": Row(
        "job", "job-progress", "job", lambda world: world.job.items.update(status="done"), "1 of 1"
    ),
}


@pytest.fixture
def world(alice, ingrid, acme):
    ours = change_in(Phase.APPROVE_PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)
    address = started(web(alice), "comment", [ours], body="Hello", visibility="private")
    test = sending.send(acme, acme.external_groups.get().group, ingrid)
    return World(ingrid, alice, acme, ours, BulkJob.objects.get(), address, test)


def tag_of(content: str, element: str) -> str:
    return re.search(rf'<[^<>]*\bid="{element}"[^<>]*>', content)[0]


def attribute(tag: str, name: str) -> str:
    return re.search(rf'{name}="([^"]*)"', tag)[1]


@each_row("part", PARTS)
def test_a_part_says_how_it_asks_and_is_sent_again_only_with_news(still, world, part):
    row = PARTS[part]
    person = world.alice if row.page == "job" else world.ingrid
    client = web(person)
    tag = tag_of(client.get(world.pages[row.page]).content.decode(), row.element)
    version, address = attribute(tag, "data-version"), attribute(tag, "hx-get")
    assert re.match(r"every \d+s, renew", attribute(tag, "hx-trigger"))
    assert address.partition("?")[0] == world.pages[row.asks]

    for _ in range(2):
        same = client.get(address, headers=asked_for(version, Target=row.element))
        assert (same.status_code, same.content) == (204, b"")
        assert {"X-Version", "HX-Request", "HX-Target"} <= {*same["Vary"].split(", ")}
    row.happens(world)
    news = client.get(address, headers=asked_for(version, Target=row.element))
    content = news.content.decode()
    assert news.status_code == 200
    assert row.says in content
    assert "<html" not in content
    fresh = attribute(tag_of(content, row.element), "data-version")
    assert fresh != version
    if "hx-get" in tag_of(content, row.element):
        assert client.get(address, headers=asked_for(fresh, Target=row.element)).status_code == 204
    # A request without a version, or one for Back, never gets 204.
    assert client.get(address, headers=asked_for(Target=row.element)).status_code == 200
    back = asked_for(fresh, Target=row.element) | {"HX-History-Restore-Request": "true"}
    page = client.get(address, headers=back, follow=True)
    assert "<html" in page.content.decode()


def test_what_a_save_would_send_is_sent_again_only_with_news(world):
    client, address = web(world.alice), f"/changes/{world.change.number}/edit/preview/"
    data = posted(world.change, title="Another title")
    first = client.post(address, data, headers=asked_for())
    version = attribute(first.content.decode(), "data-version")
    assert client.post(address, data, headers=asked_for(version)).status_code == 204
    data["owning_group"] = ""
    assert "Saving this will send" in client.post(address, data, headers=asked_for(version)).content.decode()


def test_a_filter_of_the_timeline_hides_no_news_of_the_rest_of_the_page(world):
    client, address = web(world.ingrid), world.pages["change"]
    version = attribute(tag_of(client.get(address).content.decode(), "news"), "data-version")
    edited(world)
    chosen = client.get(f"{address}?show=comments", headers=asked_for(version, Target="timeline")).content.decode()
    tag = tag_of(chosen, "news")
    assert "hx-swap-oob" in tag
    assert "Another title" not in chosen
    asking = asked_for(attribute(tag, "data-version"), Target="news")
    assert "Another title" in client.get(attribute(tag, "hx-get"), headers=asking).content.decode()


def test_while_older_entries_are_shown_they_stay_and_the_rest_is_renewed(world):
    client, address = web(world.ingrid), world.pages["change"]
    for number in range(40):
        Comment(change=world.change, author=world.alice, body=f"Comment {number}").save()
    older = re.search(r'id="older-link" href="([^"#]*)', client.get(address).content.decode())[1].replace("&amp;", "&")
    tag = tag_of(client.get(older).content.decode(), "news")
    asking = asked_for(attribute(tag, "data-version"), Target="news")
    asked = attribute(tag, "hx-get").replace("&amp;", "&")
    Comment(change=world.change, author=world.alice, body="One more", visibility="private").save()
    assert client.get(asked, headers=asking).status_code == 204
    referred(world)
    news = client.get(asked, headers=asking).content.decode()
    assert "A-1" in news and 'id="timeline"' not in news


def test_a_job_that_is_done_comes_with_its_results_and_asks_no_more(world):
    client, address = web(world.alice), world.pages["job"]
    BulkJob.objects.update(finished_at="2026-01-01T00:00Z")
    done = client.get(address, headers=asked_for("any", Target="job-progress"))
    assert done["HX-Retarget"] == "#job"
    assert "hx-get" not in tag_of(done.content.decode(), "job-progress")


def test_a_page_never_takes_the_place_of_a_part(world):
    change = ChangeFactory()
    for address in ("/", "/changes/", "/exchange/", "/calendar/", "/keyboard/", f"/changes/{change.number}/"):
        response = web(world.alice).get(address)
        assert {"private", "no-cache"} <= {*response["Cache-Control"].split(", ")}, address
        assert {"HX-Request", "HX-History-Restore-Request", "HX-Target"} <= {*response["Vary"].split(", ")}, address


@pytest.mark.parametrize("page", ["change", "operation", "log"])
def test_a_page_asks_each_second_only_where_its_answer_waits(world, page):
    """A WSGI server lets no answer wait, so it is asked less often."""
    element = {"change": "news"}.get(page, page)
    for extra, every in (({}, 8), ({CAN_WAIT: True}, 1)):
        content = web(world.ingrid).get(world.pages[page], **extra).content.decode()
        assert attribute(tag_of(content, element), "hx-trigger").startswith(f"every {every}s, renew"), extra
    tag = tag_of(web(world.ingrid).get(world.pages[page]).content.decode(), element)
    same = asked_for(attribute(tag, "data-version"), Target=element)
    assert web(world.ingrid).get(attribute(tag, "hx-get"), headers=same).status_code == 204
