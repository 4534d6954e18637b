"""Approving many plans at once: the same rules as for one, each said in the preview and in the result."""

import pytest

from changes.actor import acting
from changes.choices import Decision, Phase
from changes.models import Approval
from tests.factories import UserFactory, change_in
from tests.pages import text, web

from .conftest import done, previewed, sent, started, work


@pytest.fixture
def plans(alice, carol):
    """Five plans that wait for carol, and four changes that do not."""
    five = [change_in(Phase.APPROVE_PLAN, requested_by=alice) for _ in range(5)]
    decided, denied = (change_in(Phase.APPROVE_PLAN, requested_by=alice) for _ in range(2))
    Approval(change=decided, author=carol, decision=Decision.APPROVED).save()
    Approval(change=denied, author=carol, decision=Decision.DENIED, comment="No backout.").save()
    others = [decided, denied, change_in(Phase.APPROVE_PLAN, requested_by=carol), change_in(Phase.PLAN)]
    return five, others


def test_the_preview_says_which_are_not_possible_and_why(plans, carol):
    five, others = plans
    page = text(previewed(web(carol), "approve", [*five, *others], comment=""))
    assert "5 changes can be done" in page
    assert "1 stays unchanged" in page
    assert "3 cannot be done" in page
    assert "You have approved it already." in page
    assert "You have decided in this round already; rework starts a new one." in page
    assert "Nobody may approve a change that they requested." in page
    assert f"{others[3].number} is in Plan: a plan is decided in Approve plan." in page
    assert "Nothing is sent to partners." in page
    assert "Approve 5 plans" in page
    assert Approval.objects.count() == 2


def test_a_plan_that_somebody_else_denied_cannot_be_approved_with_others(plans, carol, alice):
    five, _others = plans
    for author in (alice, UserFactory(username="dora", roles=["Change manager"])):
        Approval(change=five[0], author=author, decision=Decision.DENIED, comment="Not in the freeze.").save()
    page = text(previewed(web(carol), "approve", five, comment=""))
    assert "4 changes can be done" in page
    assert "alice has denied it: approving it as well does not help." in page
    job = started(web(carol), "approve", five[1:3], comment="")
    Approval(change=five[1], author=alice, decision=Decision.DENIED, comment="Not either.").save()
    work()
    assert "alice has denied it" in text(web(carol).get(job))
    assert not Approval.objects.filter(change=five[1], author=carol).exists()


def test_each_plan_is_approved_in_the_name_of_the_person_with_the_comment(plans, carol, acme):
    five, others = plans
    said = done(web(carol), "approve", [*five, *others], comment="Checked in the board.\r\nAll.")
    assert "The plan was approved." in said
    made = Approval.objects.filter(change__in=five)
    assert {(each.author, each.decision, each.comment) for each in made} == {
        (carol, "Approved", "Checked in the board.\nAll.")
    }
    assert made.count() == 5
    assert Approval.objects.exclude(change__in=five).count() == 2
    assert sent(five[0]) == []


def test_a_plan_that_was_altered_after_the_preview_is_not_approved(plans, carol, alice):
    five, _others = plans
    job = started(web(carol), "approve", five[:2], comment="")
    with acting(alice):
        five[0].backout_plan = "Something else"
        five[0].save()
    work()
    said = text(web(carol).get(job))
    assert "It was changed by alice since the preview (Backout plan). Look at it again." in said
    assert list(Approval.objects.filter(change__in=five).values_list("change", flat=True)) == [five[1].pk]


def test_a_person_who_may_not_approve_has_no_such_action(plans, alice):
    assert "bulk/approve" not in web(alice).get("/changes/").content.decode()
