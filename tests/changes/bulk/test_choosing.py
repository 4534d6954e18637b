"""Choosing changes for a bulk job, and the preview of what it would do."""

import html
import re
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.choices import Phase
from changes.models import BulkItem, BulkJob
from changes.pages.list.paging import SORTS
from changes.texts.moments import to_the_minute
from integrations import tasks
from integrations.models import Exchange
from tests.factories import ChangeFactory, SupportGroupFactory, change_in
from tests.pages import text, web

from .conftest import choose, previewed, sent, started, work


@pytest.fixture
def beta_group(beta):
    return beta.external_groups.get().group


# --- Choosing ---


def test_the_form_names_the_chosen_changes(alice):
    changes = [ChangeFactory(title=f"Change {n}") for n in range(14)]
    said = text(web(alice).get(choose(web(alice), "reassign", changes)))
    assert "14 changes are chosen" in said
    assert f"{changes[-1].number} Change 13" in said
    assert "and 2 more" in said


def test_all_that_match_the_filters_of_the_list_can_be_chosen(alice):
    wanted = ChangeFactory(title="Wanted one")
    ChangeFactory(title="Another")
    said = text(web(alice).get(choose(web(alice), "comment", "all", "q=wanted")))
    assert "1 change is chosen" in said
    assert wanted.number in said


@pytest.mark.parametrize("sort", [sign + name for name in SORTS for sign in ("", "-")] + ["", "nothing"])
def test_all_that_match_are_those_of_the_list_and_of_the_export_in_every_order(alice, sort):
    planned, unplanned = (
        ChangeFactory(title="Wanted one"),
        ChangeFactory(title="Wanted", planned_start=None, planned_end=None),
    )
    query = f"q=wanted&sort={sort}"
    listed = re.findall(r"/changes/(CHG[0-9]+)/\"", web(alice).get(f"/changes/?{query}").content.decode())
    exported = b"".join(web(alice).get(f"/changes/export.csv?{query}").streaming_content).decode()
    form = web(alice).get(choose(web(alice), "comment", "all", query))
    chosen = {change.number for change in form.context["selection"].changes}
    both = {planned.number, unplanned.number}
    assert chosen == ({planned.number} if "planned_start" in sort else both)
    assert chosen == set(listed) == {number for number in both if number in exported}


def test_above_the_cap_nothing_is_done_and_the_page_says_so(alice, network, monkeypatch):
    monkeypatch.setattr("changes.bulk.selection.LARGEST", 3)
    monkeypatch.setattr("changes.bulk.views.LARGEST", 3)
    for _ in range(4):
        ChangeFactory()
    client = web(alice)
    form = choose(client, "reassign", "all")
    assert "More than 3 changes match" in text(client.get(form))
    assert "More than 3 changes match" in text(client.post(form, {"preview": "1", "group": network.pk}))
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize("scope", ["ticked", "all"])
def test_with_nothing_chosen_the_list_comes_back_and_says_so(alice, scope):
    response = web(alice).post("/changes/bulk/reassign/", {"scope": scope, "query": "q=x"}, follow=True)
    assert response.redirect_chain[-1][0] == "/changes/?q=x"
    assert ("Tick at least one change first." if scope == "ticked" else "No change matches.") in text(response)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [("reassign", {"alice", "carol"}), ("comment", {"alice", "carol"}), ("approve", {"carol"}), ("abandon", {"carol"})],
)
def test_who_may_do_it_to_one_change_may_do_it_to_many(alice, carol, ingrid, audrey, kind, allowed):
    change = ChangeFactory(title="Replace core switch")
    for person in (alice, carol, ingrid, audrey):
        answer = web(person).post(f"/changes/bulk/{kind}/", {"scope": "ticked", "change": change.number, "query": ""})
        assert answer.status_code == (302 if person.username in allowed else 403)
        form = web(person).get(f"/changes/bulk/{kind}/?change={change.number}")
        assert form.status_code == (200 if person.username in allowed else 403)


def test_an_unknown_action_answers_404(alice):
    assert web(alice).get("/changes/bulk/delete/?change=CHG0000001").status_code == 404


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("reassign", {"group": ""}, "Choose a group, or No group."),
        ("reassign", {"group": "999999"}, "There is no such group."),
        ("comment", {"body": "  ", "visibility": "public"}, "Write something first."),
        ("comment", {"body": "\u200b", "visibility": "public"}, "Write something first."),
        ("comment", {"body": "Hello", "visibility": "secret"}, "Visibility"),
        ("abandon", {}, "Choose Withdrawn or Rejected."),
        ("abandon", {"code": "Successful"}, "Completion code"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_kept(carol, kind, fields, said):
    client = web(carol)
    response = client.post(choose(client, kind, [ChangeFactory()]), {"preview": "1", **fields})
    assert response.status_code == 200
    assert "Not previewed" in text(response)
    assert said in text(response)
    assert not BulkJob.objects.exists()


# --- The preview ---


def test_the_preview_says_what_each_partner_gets_and_what_each_change_sends(alice, network, acme_group, beta_group):
    ours = ChangeFactory(owning_group=network)
    theirs = ChangeFactory(owning_group=beta_group)
    there = ChangeFactory(owning_group=acme_group)
    closed = change_in(Phase.CLOSE, owning_group=network)
    said = text(previewed(web(alice), "reassign", [ours, theirs, there, closed], group=acme_group.pk))
    assert "Reassign to ACME Networks?" in said
    assert "2 changes can be done 1 stays unchanged 1 cannot be done" in said
    assert "ACME 2 Assign BETA 1 Accept" in said
    for change, rest in (
        (theirs, "Log BETA Servers Accept to BETA Assign to ACME"),
        (ours, "Log Network Assign to ACME"),
    ):
        window = f"{to_the_minute(change.planned_start)} – {to_the_minute(change.planned_end)}"
        about = f"Priority: {change.get_priority_display()} · Risk: {change.get_risk_display()} · planned for {window}"
        assert f"{change.number} Replace core switch {about} {rest}" in said
    assert "ACME Networks has it already." in said
    assert "It is in Close: its fields are read-only." in said
    assert "Reassign 2 changes" in said
    assert [sent(change) for change in (ours, theirs)] == [[], ["Assign to BETA"]]


def test_the_preview_of_a_private_comment_says_that_no_partner_hears_of_it(alice, acme_group):
    change = ChangeFactory(owning_group=acme_group)
    said = text(previewed(web(alice), "comment", [change], body="Between us", visibility="private"))
    assert "Nothing is sent to partners." in said
    said = text(previewed(web(alice), "comment", [change], body="For all", visibility="public"))
    assert "ACME 1 Update" in said


def test_the_preview_of_abandoning_says_why_one_cannot_be(carol, network, acme_group):
    at_partner = ChangeFactory(owning_group=acme_group)
    deployed = change_in(Phase.DEPLOY, owning_group=network)
    said = text(previewed(web(carol), "abandon", [at_partner, deployed], code="Withdrawn"))
    assert "ACME 1 Cancel" in said
    assert "Normal changes have no transition from Deploy to Abandon." in said
    said = text(previewed(web(carol), "abandon", [at_partner], code="Rejected"))
    assert "Nothing is sent to partners." in said


def test_where_nothing_can_be_done_nothing_can_be_started(carol):
    page = previewed(web(carol), "abandon", [change_in(Phase.DEPLOY)], code="Withdrawn")
    assert "/start/" not in page.content.decode()


def test_the_preview_makes_as_many_queries_for_many_changes_as_for_few(carol, acme_group, beta_group):
    client = web(carol)
    changes = [ChangeFactory(owning_group=[acme_group, beta_group][n % 2]) for n in range(40)]
    counts = []
    for some in (changes[:2], changes):
        for kind, fields in (
            ("reassign", {"group": beta_group.pk}),
            ("comment", {"body": "Hello", "visibility": "public"}),
            ("abandon", {"code": "Withdrawn"}),
        ):
            page = previewed(client, kind, some, **fields)
            with CaptureQueriesContext(connection) as queries:
                client.get(page.job)
            counts.append(len(queries))
    assert counts[:3] == counts[3:]
    assert max(counts) <= 12


@pytest.mark.parametrize("how", ["reassign", "comment", "abandon", "withdraw"])
def test_the_preview_says_what_is_then_really_sent(carol, acme, beta, network, acme_group, beta_group, how):
    """For every earlier history of the exchange."""
    changes = []
    for group in (network, acme_group, beta_group):
        plain = ChangeFactory(owning_group=group)
        moved = ChangeFactory(owning_group=acme_group)
        moved.owning_group = group
        moved.save()
        rejected = ChangeFactory(owning_group=group)
        for exchange in Exchange.objects.filter(change=rejected):
            exchange.state = exchange.state.after_reject()
            exchange.save()
        cancelled = ChangeFactory(owning_group=group)
        cancelled.completion_code = "Withdrawn"
        cancelled.save()
        changes += [plain, moved, rejected, cancelled]
    kind, fields = {
        "reassign": ("reassign", {"group": beta_group.pk}),
        "comment": ("comment", {"body": "Hello", "visibility": "public"}),
        "abandon": ("abandon", {"code": "Rejected"}),
        "withdraw": ("abandon", {"code": "Withdrawn"}),
    }[how]
    page = previewed(web(carol), kind, changes, **fields)
    foreseen = {row.change.pk: [f"{s.operation} to {s.system}" for s in row.sent] for row in page.context["rows"]}
    before = {change.pk: len(sent(change)) for change in changes}
    web(carol).post(f"{page.job}start/")
    work()
    assert {change.pk: sent(change)[before[change.pk] :] for change in changes} == foreseen
    assert any(foreseen.values()) or how == "abandon"


def test_going_back_from_the_preview_forgets_it_and_shows_the_form_again(alice):
    change = ChangeFactory()
    client = web(alice)
    page = previewed(client, "comment", [change], body="Hello", visibility="public")
    response = client.post(f"{page.job}drop/", follow=True)
    assert "1 change is chosen" in text(response)
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize("button", ["start", "again", "drop"])
def test_a_preview_that_stayed_open_says_what_became_of_its_job(alice, button):
    client = web(alice)
    address = started(client, "comment", [ChangeFactory()], body="Hello", visibility="public")
    response = client.post(f"{address}{button}/", follow=True)
    assert response.redirect_chain == [(address, 302)]
    assert "It was started already." in text(response)
    assert BulkJob.objects.get().is_running
    draft = previewed(client, "comment", [ChangeFactory()], body="Hello", visibility="public").job
    client.post(f"{draft}drop/")
    response = client.post(f"{draft}{button}/", follow=True)
    assert response.redirect_chain == [("/changes/bulk/", 302)]
    assert "This preview is not there any more" in text(response)
    assert BulkJob.objects.count() == 1


def test_a_preview_that_nobody_started_is_forgotten_after_a_day(alice):
    page = previewed(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    tasks.resume_bulk()
    assert web(alice).get(page.job).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)):
        tasks.resume_bulk()
    assert (BulkJob.objects.count(), BulkItem.objects.count()) == (0, 0)


def test_many_groups_are_a_list_beside_buttons_for_those_used_most(alice, network):
    change = ChangeFactory(owning_group=network)
    many = [SupportGroupFactory(name=f"Team {number}") for number in range(7)]
    address = choose(web(alice), "reassign", [change])

    def offered() -> tuple[list[str], list[str]]:
        page = web(alice).get(address).content.decode()
        buttons = re.findall(r'<button[^>]*name="group" value="[^"]*">([^<]*)<', page)
        return [html.unescape(name).strip("\u2068\u2069") for name in buttons], re.findall(
            r"<option[^>]*>([^<]*)<", page
        )

    assert offered() == (["No group", "Network", *(group.name for group in many)], [])
    many += [SupportGroupFactory(name=f"Team {number}") for number in range(7, 20)]
    for place, group in enumerate(many[10:17]):
        ChangeFactory.create_batch(place + 2, owning_group=group)
    used, listed = offered()
    assert used == [group.name for group in reversed(many[11:17])]
    assert listed[:3] == ["Choose a group", "No group", "Network"]
    assert {group.name for group in many} < {*listed}

    for form, title in (
        ({"group": "", "other": many[3].pk}, "Reassign to Team 3?"),
        ({"other": "none"}, "Remove from the owning group"),
        ({"group": many[4].pk, "other": many[3].pk}, "Reassign to Team 4?"),
        ({"other": ""}, "Choose a group, or No group."),
        ({"other": "999999"}, "There is no such group."),
    ):
        said = text(web(alice).post(address, {"preview": "1", **form}, follow=True))
        assert title in said, form
