"""The timeline of a change: all kinds of entries, the newest first, filtered, and paged without gaps or repeats."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changes.actor import acting
from changes.choices import Decision, Phase
from changes.models import Approval, Attachment, Change, Comment
from changes.pages.change.timeline import PAGE_SIZE, SHOWS, Timeline
from integrations.choices import IncomingStatus
from integrations.models import IncomingOperation, OutgoingOperation
from tests.examples import examples
from tests.factories import UserFactory, change_in
from tests.pages import text, web

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def page_of(user, change, query="", **headers):
    return web(user).get(f"/changes/{change.number}/{query}", headers=headers)


def entries(response) -> list[str]:
    """The text of each entry of the timeline, in the order of the page."""
    content = response.content.decode().partition('id="entries"')[2].partition("</ol>\n  </div>")[0]
    parts = re.split(r'<li class="entry entry-\w+">', content)[1:]
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", part)).strip() for part in parts]


def kinds(response) -> list[str]:
    return re.findall(r'<li class="entry entry-(\w+)">', response.content.decode())


def attach(change, author, name="plan.txt"):
    Attachment(change=change, author=author, file=ContentFile(b"x", name=name), file_name=name).save()


def receive(change, system, status=IncomingStatus.APPLIED):
    return IncomingOperation.objects.create(
        system=system,
        user=system.authorized_user,
        operation="Update",
        status=status,
        change=change,
        payload={},
        body_sha256="",
        http_status=200,
        error="Boom" if status == IncomingStatus.FAILED else "",
    )


@pytest.fixture
def busy(alice, carol, acme):
    """A change with every kind of entry in its timeline."""
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)
    Comment(change=change, author=alice, body="Parts ordered").save()
    attach(change, alice)
    Approval(change=change, author=carol, decision=Decision.APPROVED, comment="Sound").save()
    receive(change, acme)
    return change


def test_all_kinds_stand_in_one_timeline_the_newest_first(alice, busy):
    said = entries(page_of(alice, busy))
    assert len(said) == 11
    assert said[0].startswith("Update from ACME Applied")
    assert said[1].startswith("carol approved the plan in round 1")
    assert [line.partition(" to ACME")[0] for line in said if " to ACME " in line] == [
        "Update 3",
        "Update 2",
        "Assign 1",
    ]
    assert any(line.startswith("plan.txt") for line in said)
    assert "moved it from Plan to Approve plan" in " ".join(said)
    assert "created the change in Log" in said[-1] or "created the change in Log" in said[-2]


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        ("comments", ["comment"]),
        ("attachments", ["attachment"]),
        ("approvals", ["approval"]),
        ("phases", ["save"] * 4),
        ("edits", []),
        ("operations", ["incoming", "outgoing", "outgoing", "outgoing"]),
        ("nonsense", None),
        ("\x00", None),
    ],
)
def test_a_filter_shows_its_kind_alone_and_an_unknown_one_everything(alice, busy, show, expected):
    response = page_of(alice, busy, f"?show={show}")
    assert response.status_code == 200
    everything = kinds(page_of(alice, busy))
    assert sorted(kinds(response)) == (sorted(everything) if expected is None else expected)


def test_phase_changes_and_field_edits_are_told_apart(alice, carol):
    change = change_in(Phase.EVALUATE, requested_by=alice)
    with acting(carol):
        change.risk = "High"
        change.save()
    [edit] = entries(page_of(alice, change, "?show=edits"))
    assert edit.startswith("carol edited 1 field")
    assert "Risk Low → became High" in edit
    moves = entries(page_of(alice, change, "?show=phases"))
    assert ["moved it from Log to Evaluate" in moves[0], "created the change in Log" in moves[1]] == [True, True]
    assert len(moves) == 2


@pytest.mark.any_database
def test_what_came_from_a_partner_says_so(alice, acme):
    change = change_in(Phase.PLAN)
    with acting(acme.authorized_user, "ACME"):
        change.risk = "High"
        change.save()
        Comment(change=change, author=acme.authorized_user, author_name="J. Doe", body="Done").save()
    receive(change, acme, IncomingStatus.FAILED)
    said = entries(page_of(alice, change))
    assert "from ACME" in said[0] and "Boom" in said[0]
    assert "J. Doe (ACME) from ACME, acting as acme-integration" in said[1]
    assert said[2].startswith("ACME acting as acme-integration edited 1 field")


@pytest.mark.any_database
@pytest.mark.parametrize("show", [show for show in SHOWS if show])
def test_an_empty_filter_says_so(alice, show):
    change = change_in(Phase.LOG)
    said = text(page_of(alice, change, f"?show={show}"))
    if show == "phases":
        assert "created the change in Log" in said
    else:
        assert any(words in said for words in ("No comments yet", "No files yet", "No decisions", "Nothing"))


# --- Paging ---


def walk(user, change, show=""):
    """The anchors of all entries, found by following the links to older ones."""
    seen, query = [], f"?show={show}"
    for _ in range(50):
        content = page_of(user, change, query).content.decode()
        part = content.partition('id="entries"')[2]
        seen += re.findall(r'id="((?:comment|attachment|approval|save|operation)-[\w-]+)"', part)
        older = re.search(r'id="older-link" href="[^"?]*(\?[^"#]*)', part)
        if older is None:
            return seen
        query = older[1].replace("&amp;", "&")
    raise AssertionError("The timeline does not end.")


def test_older_entries_are_reached_page_by_page_without_javascript(alice):
    change = change_in(Phase.LOG)
    for number in range(2 * PAGE_SIZE):
        Comment(change=change, author=alice, body=f"Comment number {number}.").save()
    first = text(page_of(alice, change))
    assert f"Comment number {2 * PAGE_SIZE - 1}." in first
    assert "Comment number 0." not in first
    seen = walk(alice, change)
    assert len(seen) == len(set(seen)) == 2 * PAGE_SIZE + 1
    assert seen[-1] == "save-1"
    assert len(walk(alice, change, "comments")) == 2 * PAGE_SIZE


@pytest.mark.parametrize(
    "after",
    [
        "",
        "x",
        "1.Y29tbWVudA",
        "x.Y29tbWVudA.MQ",
        "99999999999999999999.Y29tbWVudA.MQ",
        "1.\u0661.MQ",
        "1.AA.MQ",
        "1.gIA.MQ",
    ],
)
def test_a_place_that_does_not_exist_begins_with_the_newest(alice, after):
    change = change_in(Phase.LOG)
    Comment(change=change, author=alice, body="The newest").save()
    assert "The newest" in text(page_of(alice, change, f"?after={after}"))


# Few different times, so that many events have the same one.
events = st.lists(
    st.tuples(st.sampled_from(["comment", "attachment", "save", "operation"]), st.integers(0, 3)), max_size=9
)


@given(happened=events, size=st.integers(1, 4), show=st.sampled_from(["", "comments", "phases", "edits", "operations"]))
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_of_any_size_hold_each_event_once_in_order_whatever_happened_at_the_same_moment(
    alice, acme, monkeypatch, happened, size, show
):
    change = change_in(Phase.LOG, requested_by=alice, owning_group=acme.external_groups.get().group)
    for kind, minute in happened:
        with time_machine.travel(NOON + timedelta(minutes=minute), tick=False):
            _happen(kind, change, alice, acme)
    monkeypatch.setattr("changes.pages.change.timeline.PAGE_SIZE", 1000)
    whole = Timeline(change, show).keys
    monkeypatch.setattr("changes.pages.change.timeline.PAGE_SIZE", size)
    paged, after = [], ""
    while True:
        page = Timeline(change, show, after)
        assert len(page.keys) <= size
        paged += page.keys
        after = page.older
        if not after:
            break
    assert paged == whole
    assert [key.moment for key in whole] == sorted((key.moment for key in whole), reverse=True)
    assert len(whole) == len(set(whole)) == _expected(change, show)


def _happen(kind, change, alice, acme):
    if kind == "comment":
        Comment(change=change, author=alice, body="x").save()
    elif kind == "attachment":
        attach(change, alice)
    elif kind == "operation":
        receive(change, acme)
    else:
        change.risk = "High" if change.risk != "High" else "Low"
        change.save()


def _expected(change, show):
    counts = {
        "comments": change.comments.count(),
        "phases": 1,
        "edits": change.history.count() - 1,
        "operations": change.outgoing_operations.count() + change.incoming_operations.count(),
    }
    return counts[show] if show else sum(counts.values()) + change.attachments.count()


# --- By htmx ---


@pytest.mark.any_database
def test_htmx_gets_the_timeline_alone_and_its_entries_for_older_ones(alice, busy):
    for target in ("timeline", "older"):
        response = page_of(alice, busy, "?show=comments", HX_Request="true", HX_Target=target)
        content = response.content.decode()
        assert content.count('id="timeline"') == 1
        assert "<main" not in content
        assert kinds(response) == ["comment"]
        assert "HX-Request" in response["Vary"]


def seen_in(response):
    return re.search(r'id="news" data-version="([^"]+)"', response.content.decode())[1]


def news(user, change, seen, show=""):
    return page_of(user, change, f"?show={show}", HX_Request="true", HX_Target="news", X_Version=seen)


@pytest.mark.any_database
def test_an_open_page_is_told_nothing_while_nothing_happens(alice, busy, still):
    seen = seen_in(page_of(alice, busy))
    response = news(alice, busy, seen)
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.any_database
def test_a_comment_of_somebody_else_renews_the_timeline_and_no_form(alice, carol, busy, still):
    seen = seen_in(page_of(alice, busy))
    Comment(change=busy, author=carol, body="I am on it").save()
    response = news(alice, busy, seen)
    content = response.content.decode()
    assert "I am on it" in content
    assert 'id="timeline" hx-swap-oob="true"' in content
    assert "<textarea" not in content
    assert 'id="details"' not in content
    assert news(alice, busy, seen_in(response)).status_code == 204


@pytest.mark.any_database
def test_a_save_of_somebody_else_renews_the_facts_the_path_and_the_sections(alice, carol, busy):
    seen = seen_in(page_of(alice, busy))
    with acting(carol):
        change = Change.objects.get(pk=busy.pk)
        change.title, change.risk = "Another switch", "High"
        change.save()
    content = news(alice, busy, seen).content.decode()
    assert f"<title>{change.number} Another switch · casexchange</title>" in content
    for part in ("change-title", "facts", "path", "timeline", "approvals", "about", "details", "plan"):
        assert re.search(rf'id="{part}"[^>]*hx-swap-oob="true"', content), part
    assert f'name="version" value="{change.version}"' in content


@pytest.mark.any_database
def test_an_operation_that_is_delivered_renews_the_timeline(alice, busy):
    seen = seen_in(page_of(alice, busy))
    OutgoingOperation.objects.filter(change=busy).update(status="Delivered")
    assert 'id="timeline"' in news(alice, busy, seen).content.decode()


@pytest.mark.any_database
def test_news_follow_the_filter_that_is_chosen(alice, busy, still):
    seen = seen_in(page_of(alice, busy, "?show=attachments"))
    Comment(change=busy, author=alice, body="Between us", visibility="private").save()
    assert news(alice, busy, seen, "attachments").status_code == 204


@pytest.mark.any_database
def test_a_decision_renews_the_path_whatever_the_filter(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    seen = seen_in(page_of(alice, change, "?show=comments"))
    Approval(change=change, author=carol, decision=Decision.APPROVED).save()
    content = news(alice, change, seen, "comments").content.decode()
    assert 'id="move-Deploy"' in content
    assert "carol" in content.partition('id="decisions"')[2]


# --- Queries ---


def grow(change, alice, acme, number):
    for place in range(number):
        Comment(change=change, author=UserFactory(), body=f"Comment {place}").save()
        attach(change, alice, f"{place}.txt")
        receive(change, acme)
        change.risk = "High" if change.risk != "High" else "Low"
        change.save()


def count(user, path, **headers):
    client = web(user)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path, headers=headers).status_code == 200
    return len(queries)


@pytest.mark.any_database
def test_the_page_makes_at_most_18_queries_with_1_and_with_60_of_everything(alice, carol, acme, beta):
    group = beta.external_groups.get().group
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice, owning_group=group)
    change.owning_group = acme.external_groups.get().group
    change.save()
    Approval(change=change, author=carol, decision=Decision.APPROVED).save()
    grow(change, alice, acme, 1)
    paths = [f"/changes/{change.number}/{show}" for show in ("", "?show=comments", "?show=operations", "?show=phases")]
    few = {path: count(carol, path) for path in paths}
    grow(change, alice, acme, 60)  # two pages of comments alone
    for _ in range(3):
        Approval(change=change, author=UserFactory(), decision=Decision.APPROVED).save()
    many = {path: count(carol, path) for path in paths}
    parts = {path: count(carol, path, HX_Request="true", HX_Target="timeline", X_Version="1.0.a/b") for path in paths}
    assert max(few.values()) <= 18, few
    assert max(many.values()) <= 18, many
    assert max(parts.values()) <= 10, parts


# --- New since you looked ---


def marks(page):
    return page.content.decode().count("New since you looked")


def test_what_came_since_a_person_looked_is_marked_and_their_own_is_not(alice, carol, busy):
    assert marks(page_of(alice, busy)) == 0, "the first look"
    Comment(change=busy, author=carol, body="I am on it").save()
    Comment(change=busy, author=alice, body="Thank you").save()
    assert marks(page_of(alice, busy)) == 1
    assert marks(page_of(alice, busy)) == 0, "they have been seen"
    assert marks(page_of(carol, busy)) == 0, "she had never looked"


@pytest.mark.any_database
@pytest.mark.parametrize("query", ["?show=approvals", "?show=comments", "?after={place}"])
def test_a_page_that_shows_only_a_part_is_no_look_at_everything(alice, carol, busy, query, monkeypatch):
    monkeypatch.setattr("changes.pages.change.timeline.PAGE_SIZE", 2)
    place = re.search(r"after=([^&\"]+)", page_of(alice, busy).content.decode())[1]
    Comment(change=busy, author=carol, body="I am on it").save()
    page_of(alice, busy, query.format(place=place))
    assert marks(page_of(alice, busy)) == 1, "it had not been shown"
    assert marks(page_of(alice, busy)) == 0
