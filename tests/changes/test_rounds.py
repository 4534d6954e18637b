"""An approval is of a plan: altering the plan in ApprovePlan starts a new round, whoever alters it and however."""

import pytest
from django.urls import reverse

from changes.actor import acting
from changes.choices import ChangeType, Phase, Role
from changes.models import Approval, Change
from integrations.models import ExternalReference
from tests.factories import ChangeFactory, UserFactory, change_in
from tests.html_forms import messages, post_form, read_form
from tests.pages import text, web
from tests.rows import each_row

PLAN = {
    "implementation_plan": "Swap it by day.",
    "backout_plan": "Leave it out.",
    "planned_start": "2026-11-24T09:00:00Z",
    "planned_end": "2036-11-24T09:00:00Z",
    "risk": "High",
}
OTHERS = {"title": "Another title", "description": "More of it", "urgency": "SevereDisruption", "owning_group": None}
WAYS = ("page", "admin", "api", "partner", "shell")


@pytest.fixture
def change(alice, carol, acme):
    """A change with an approved plan, linked to ACME."""
    with acting(alice):
        change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    ExternalReference.objects.create(change=change, system=acme, external_id="C-1")
    Approval(change=change, author=carol, decision="Approved").save()
    return change


@pytest.fixture
def edit(alice, acme, api, partner_api):
    """`edit(way, change, implementation_plan="...")`: alice edits, or ACME. Returns the response, None in a shell."""

    def by_page(change, **fields):
        return post_form(web(alice), f"/changes/{change.number}/edit/", "title", follow=True, **fields)

    def by_admin(change, **fields):
        address = reverse("admin:changes_change_change", args=[change.pk])
        return post_form(web(alice), address, "title", follow=True, **fields)

    def by_api(change, **fields):
        return api(alice).patch(f"/api/v1/changes/{change.number}/", fields, format="json")

    def by_partner(change, **fields):
        body = {"system_id": "ACME", "operation": "Update", "external_id": "C-1", "properties": fields}
        return partner_api(acme).post("/api/v1/operations/", body, format="json")

    def by_shell(change, **fields):
        change = Change.objects.get(pk=change.pk)
        for name, value in fields.items():
            setattr(change, name, value)
        change.save()

    ways = {"page": by_page, "admin": by_admin, "api": by_api, "partner": by_partner, "shell": by_shell}
    return lambda way, change, **fields: ways[way](change, **fields)


def approve(client, change, **fields):
    body = {"decision": "Approved", **fields}
    return client.post(f"/api/v1/changes/{change.number}/approvals/", body, format="json")


def to_deploy(client, change):
    return client.post(f"/api/v1/changes/{change.number}/transitions/", {"phase": "Deploy"}, format="json")


# --- What starts a round ---


@pytest.mark.any_database
@each_row("name", PLAN)
def test_altering_any_field_of_the_plan_starts_a_round(api, alice, carol, edit, change, name):
    answer = edit("api", change, **{name: PLAN[name]})
    assert (answer.status_code, answer.json()["approval_round"]) == (200, 2)
    assert to_deploy(api(alice), change).status_code == 422
    assert approve(api(carol), change).status_code == 201
    assert to_deploy(api(alice), change).status_code == 200


@pytest.mark.any_database
@each_row("name", OTHERS)
def test_altering_anything_else_starts_none(api, alice, edit, change, name):
    answer = edit("api", change, **{name: OTHERS[name]})
    assert (answer.status_code, answer.json()["approval_round"]) == (200, 1)
    assert to_deploy(api(alice), change).status_code == 200


@each_row("way", WAYS)
def test_a_round_starts_by_whichever_way_the_plan_is_altered(edit, change, way):
    edit(way, change, implementation_plan="Swap it by day.")
    stored = Change.objects.get()
    assert (stored.implementation_plan, stored.approval_round) == ("Swap it by day.", 2)
    assert stored.current_approvals() == []


@pytest.mark.any_database
@each_row("way", WAYS)
def test_saving_the_same_plan_starts_none(edit, change, way):
    edit(way, change, implementation_plan=change.implementation_plan, title="Another title")
    stored = Change.objects.get()
    assert (stored.title, stored.approval_round) == ("Another title", 1)


@pytest.mark.any_database
@each_row("phase", ["Plan", "Deploy"])
def test_outside_of_approve_plan_the_plan_is_altered_without_a_round(api, alice, phase):
    change = change_in(phase)
    answer = api(alice).patch(f"/api/v1/changes/{change.number}/", {"risk": "High"}, format="json")
    assert (answer.status_code, answer.json()["approval_round"]) == (200, change.approval_round)


def test_an_emergency_change_has_rounds_too(edit, alice, carol):
    change = change_in(Phase.APPROVE_PLAN, ChangeType.EMERGENCY, requested_by=alice)
    Approval(change=change, author=carol, decision="Approved").save()
    assert edit("api", change, backout_plan="Leave it").json()["approval_round"] == 2


def test_a_denial_of_the_old_plan_no_longer_counts(api, alice, carol, edit):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    assert approve(api(carol), change, decision="Denied", comment="No way back").status_code == 201
    edit("api", change, backout_plan="Put the old one back, and test it")
    assert approve(api(carol), change).status_code == 201
    assert to_deploy(api(alice), change).status_code == 200


@each_row("fields", [["implementation_plan"], ["risk", "planned_end"]])
def test_an_operation_that_alters_the_plan_and_asks_for_deploy_fails_whole(edit, change, fields):
    before = Change.objects.values().get()
    answer = edit("partner", change, title="New", phase="Deploy", **{name: PLAN[name] for name in fields})
    assert answer.status_code == 422
    told = {error["attr"]: error["detail"] for error in answer.json()["errors"]}
    assert {*told} == {f"properties.{name}" for name in fields}
    assert "starts a new round of approvals" in next(iter(told.values()))
    assert Change.objects.values().get() == before


@pytest.mark.any_database
def test_an_operation_that_repeats_the_plan_and_asks_for_deploy_is_applied(edit, change):
    answer = edit("partner", change, implementation_plan=change.implementation_plan, phase="Deploy")
    assert (answer.status_code, Change.objects.get().phase) == (200, "Deploy")


def test_a_refused_save_does_not_start_a_round_in_the_next_one(change):
    change.implementation_plan, change.planned_end = "Swap it by day.", change.planned_start
    with pytest.raises(Exception, match="Planned end must be after planned start"):
        change.save()
    change.refresh_from_db()
    change.title = "Another title"
    change.save()
    assert Change.objects.get().approval_round == 1


# --- Who may not approve ---


@pytest.fixture
def dora(db):
    """A change manager, who may do all that alice may, and approve."""
    return UserFactory(username="dora", roles=[Role.CHANGE_MANAGER])


def _requested(dora, change):
    change.requested_by = dora
    change.save()
    return change


def _altered(dora, change):
    with acting(dora):
        change.backout_plan = "Leave it out."
        change.save()
    return change


def _altered_before_the_round(dora, change):
    change.move_to("Plan")
    change.save()
    _altered(dora, change)
    with acting(UserFactory(username="alice")):
        change.move_to("ApprovePlan")
        change.save()
    return change


NOT_THEIRS = {
    _requested: ("a change that they requested", "You requested this change"),
    _altered: ("a plan that they were the last to alter", "You were the last to alter this plan"),
    _altered_before_the_round: ("a plan that they were the last to alter", "You were the last to alter this plan"),
}


@each_row("make", NOT_THEIRS)
def test_nobody_approves_what_is_their_own_but_may_deny_it(api, dora, change, make):
    rule, told = NOT_THEIRS[make]
    change = make(dora, change)
    page = web(dora).get(f"/changes/{change.number}/")
    assert f"{told}, so you may not approve it. You may deny it." in text(page)
    assert 'value="Approved"' not in page.content.decode()
    answer = approve(api(dora), change)
    assert answer.status_code == 403
    (error,) = answer.json()["errors"]
    assert (error["attr"], error["detail"]) == ("decision", f"Nobody may approve {rule}.")
    posted = web(dora).post(f"/changes/{change.number}/approvals/", {"decision": "Approved", "version": change.version})
    assert posted.status_code == 403
    assert f"Nobody may approve {rule}." in text(posted)
    assert not Approval.objects.filter(author=dora).exists()
    assert approve(api(dora), change, decision="Denied", comment="No").status_code == 201


def test_nobody_approves_a_change_that_they_created(api, alice, dora):
    """Created by a script of hers, with her token, and requested by somebody else since."""
    number = api(dora).post("/api/v1/changes/", {"title": "T", "change_type": "Emergency"}).json()["number"]
    change = Change.objects.get(number=number)
    ready = ChangeFactory.build(requested_by=alice, owning_group=None)
    for name in ("description", "reason", "justification", "category", "service", "requested_by", *PLAN):
        setattr(change, name, getattr(ready, name))
    with acting(alice):
        change.save()
        change.move_to("ApprovePlan")
        change.save()
    assert (change.created_by, change.requested_by, change.plan_altered_by) == (dora, alice, alice)
    answer = approve(api(dora), change)
    assert answer.status_code == 403
    assert "Nobody may approve a change that they created." in answer.json()["detail"]
    assert "You created this change" in text(web(dora).get(f"/changes/{change.number}/"))
    assert change.number not in web(dora).get("/").content.decode()


def test_who_altered_the_plan_may_approve_once_somebody_else_has_altered_it(api, alice, dora, change, edit):
    _altered(dora, change)
    assert approve(api(dora), change).status_code == 403
    edit("partner", change, backout_plan="Put the old one back, and test it.")
    stored = Change.objects.get()
    assert (stored.plan_altered_by, stored.approval_round) == (None, 3)
    assert approve(api(dora), change).status_code == 201


def test_an_approval_by_somebody_who_became_the_requester_does_not_count(api, alice, carol, change):
    _requested(carol, change)
    answer = to_deploy(api(alice), change)
    assert answer.status_code == 422
    assert "Nobody may approve a change or a plan of their own" in answer.json()["detail"]


@each_row(("seen", "status"), [("now", 201), ("before", 412)])
def test_an_approval_may_name_the_version_that_was_read(api, dora, change, edit, seen, status):
    version = change.version + 1 if seen == "now" else change.version
    edit("api", change, backout_plan="Leave it out.")
    address = f"/api/v1/changes/{change.number}/approvals/"
    answer = api(dora).post(address, {"decision": "Approved"}, HTTP_IF_MATCH=f'"{version}"')
    assert answer.status_code == status, answer.content
    assert Approval.objects.filter(author=dora).exists() == (status == 201)


# --- A denial needs a comment ---


@pytest.mark.any_database
@each_row("comment", [None, "", " \n"])
def test_a_denial_needs_a_comment(api, dora, change, comment):
    fields = {} if comment is None else {"comment": comment}
    answer = approve(api(dora), change, decision="Denied", **fields)
    assert answer.status_code == 400
    assert [error["attr"] for error in answer.json()["errors"]] == ["comment"]
    data = {"decision": "Denied", "version": change.version, **fields}
    page = web(dora).post(f"/changes/{change.number}/approvals/", data)
    assert "Say why you deny the plan." in text(page)
    assert not Approval.objects.filter(author=dora).exists()


# --- What the pages say ---


@pytest.mark.any_database
def test_the_form_says_which_approvals_an_edit_of_the_plan_would_cost(alice, carol, change):
    warning = "Altering one of these fields starts a new round of approvals: Implementation plan, Backout plan,"
    lost = "These decisions then no longer count: carol (Approved)."
    for address in (f"/changes/{change.number}/edit/", reverse("admin:changes_change_change", args=[change.pk])):
        page = web(carol).get(address)
        assert warning in text(page)
        assert lost in text(page)
    before = change_in(Phase.PLAN)
    assert "starts a new round" not in text(web(carol).get(f"/changes/{before.number}/edit/"))


@pytest.mark.any_database
@each_row(("fields", "is_warned"), [({"risk": "High"}, True), ({"title": "Another title"}, False)])
def test_the_preview_of_a_save_says_that_it_starts_a_round(alice, change, fields, is_warned):
    preview = f"/changes/{change.number}/edit/preview/"
    page = web(alice).get(f"/changes/{change.number}/edit/")
    data = {name: values[0] for name, values in read_form(page, "title")["fields"].items()} | fields
    part = web(alice).post(preview, data, headers={"HX-Request": "true"})
    assert ("A save starts a new round of approvals" in part.content.decode()) == is_warned


@pytest.mark.any_database
@each_row("way", ["page", "admin"])
def test_after_the_save_the_page_says_what_was_lost(edit, change, way):
    answer = edit(way, change, backout_plan="Leave it out.")
    said = [each for each in messages(answer) if "round 2" in each]
    lost = "These decisions no longer count: carol (Approved)."
    assert said == [f"The plan was altered, so round 2 of the approvals has begun. {lost}"]


@pytest.mark.any_database
def test_the_page_of_the_change_shows_the_new_round(alice, edit, change):
    edit("partner", change, backout_plan="Leave it out.")
    said = text(web(alice).get(f"/changes/{change.number}/"))
    assert "round 2" in said
    assert "Nobody has decided in this round yet." in said
    assert "Earlier rounds (1), which no longer count" in said
    assert said.count("The plan was altered: round 2 of the approvals began") == 1
    edit("api", change, backout_plan="Leave it out by all means.")
    assert "The plan was last altered by alice." in text(web(alice).get(f"/changes/{change.number}/"))
