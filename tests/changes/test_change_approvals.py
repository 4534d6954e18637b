"""Approving and denying a plan from the page of its change."""

import pytest

from changes.actor import acting
from changes.choices import ChangeType, Phase
from changes.models import Approval
from tests.factories import change_in
from tests.html_forms import read_form
from tests.pages import text, web


def page_of(user, change):
    return web(user).get(f"/changes/{change.number}/")


def move(user, change, phase):
    data = {"phase": phase, "version": change.version}
    return web(user).post(f"/changes/{change.number}/transition/", data, follow=True)


def test_the_page_says_what_the_round_still_lacks(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    missing = "Missing: one approval, by a Change manager with no part in the change or its plan."
    assert missing in text(page_of(alice, change))
    decide(carol, change)
    assert "One approval is enough: nothing is missing." in text(page_of(alice, change))
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    decide(carol, change, "Denied")
    assert "The plan was denied: it goes back for rework, and then to a new round." in text(page_of(alice, change))


def decide(user, change, decision="Approved", **data):
    reason = "No way back" if decision == "Denied" else ""
    data = {"decision": decision, "version": change.version, "comment": reason, **data}
    return web(user).post(f"/changes/{change.number}/approvals/", data, follow=True)


def test_a_change_manager_approves_with_a_reason_that_is_shown(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    assert "Nobody has decided in this round yet." in text(page_of(carol, change))
    said = text(decide(carol, change, comment="Sound plan"))
    assert f"You have approved the plan of {change.number}." in said
    assert "Approved by carol" in said
    assert "Sound plan" in said
    assert "You have decided in this round already" in said


def test_a_denial_is_shown_and_blocks_the_way(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    said = text(decide(carol, change, "Denied", comment="No backout"))
    assert "Denied by carol" in said
    assert "The plan was denied in the current round: send it back for rework." in said


def test_the_requester_may_not_approve_but_deny(carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=carol)
    content = page_of(carol, change).content.decode()
    assert "You requested this change, so you may not approve it. You may deny it." in content
    assert 'value="Approved"' not in content
    assert "Nobody may approve a change that they requested." in text(decide(carol, change))
    assert not Approval.objects.exists()
    assert "Denied by carol" in text(decide(carol, change, "Denied"))


def test_who_may_not_decide_reads_who_does(alice):
    content = page_of(alice, change_in(Phase.APPROVE_PLAN, requested_by=alice)).content.decode()
    assert "A Change manager approves or denies." in content
    assert 'name="decision"' not in content


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (ChangeType.NORMAL, "A plan is approved or denied while the change is in Approve plan."),
        (ChangeType.STANDARD, "A Standard change is pre-approved: it needs no approval."),
    ],
)
def test_outside_approveplan_the_page_says_when_a_plan_is_decided(carol, alice, kind, said):
    change = change_in(Phase.PLAN, kind, requested_by=alice)
    assert said in text(page_of(carol, change))
    assert "a plan is decided in Approve plan" in text(decide(carol, change))
    assert not Approval.objects.exists()


def test_a_plan_is_approved_only_as_it_was_read(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    seen = change.version
    with acting(alice):
        change.implementation_plan = "Something else"
        change.save()
    response = decide(carol, change, version=seen)
    assert response.status_code == 409
    said = text(response)
    assert "was changed by alice since you opened the page (implementation plan)" in said
    assert "Your decision was not recorded." in said
    assert not Approval.objects.exists()


def shown_reason(response):
    return read_form(response, "decision")["fields"]["comment"]


def test_the_reason_of_a_decision_that_came_too_late_stays_in_the_form(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    with acting(alice):
        change.title = "Another title"
        change.save()
    response = decide(carol, change, "Denied", version=change.version - 1, comment="No way back\r\nafter step 3")
    assert response.status_code == 409
    assert shown_reason(response) == ["No way back\r\nafter step 3"]
    assert not Approval.objects.exists()


def test_the_reason_of_a_decision_that_nobody_can_make_any_more_is_shown_to_copy(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    seen = change.version
    with acting(alice):
        change.move_to(Phase.PLAN)
        change.save()
    response = decide(carol, change, "Denied", version=seen, comment="No way back after step 3")
    assert response.status_code == 409
    said = text(response)
    assert "Your reason was not recorded, and cannot be any more. Copy it, into a comment for example:" in said
    assert "No way back after step 3" in said
    assert "Your reason was not recorded" not in text(page_of(carol, change))
    assert not Approval.objects.exists()


def test_the_reason_of_a_decision_that_is_refused_is_kept(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    decide(carol, change)
    said = text(decide(carol, change, "Denied", comment="I had overlooked step 3"))
    assert "You have decided in this round already; rework starts a new one." in said
    assert "Your reason was not recorded" in said
    assert "I had overlooked step 3" in said
    assert Approval.objects.get().decision == "Approved"
    own = change_in(Phase.APPROVE_PLAN, requested_by=carol)
    response = decide(carol, own, comment="It is mine, and it is good")
    assert "Nobody may approve a change that they requested." in text(response)
    assert shown_reason(response) == ["It is mine, and it is good"]
    assert not own.approvals.exists()


def test_rework_shows_the_earlier_round_apart(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    decide(carol, change, "Denied", comment="First try")
    move(alice, change, "Plan")
    change.refresh_from_db()
    move(alice, change, "ApprovePlan")
    said = text(page_of(carol, change))
    assert "round 2" in said
    assert "Earlier rounds (1)" in said
    assert "Nobody has decided in this round yet." in said


@pytest.mark.parametrize("decision", ["", "Perhaps", "approved"])
def test_a_decision_that_does_not_exist_is_refused(alice, carol, decision):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    assert decide(carol, change, decision).status_code == 200
    assert not Approval.objects.exists()
