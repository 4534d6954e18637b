"""Changes whose next step waits for somebody: the filters, and "Approve and next"."""

from __future__ import annotations

from itertools import product

import pytest

from changes import workflow
from changes.choices import ChangeType, CompletionCode, Decision, Phase
from changes.models import Approval, Change
from changes.validators import is_blank
from tests.factories import UserFactory, change_in
from tests.pages import text, web

from .test_list_paging import numbers

pytestmark = pytest.mark.django_db


@pytest.fixture
def plans(alice, carol):
    """Plans that differ in what decides whether carol may approve them, by name."""
    dora = UserFactory(username="dora", roles=["Change manager"])

    def plan(*decisions, **fields) -> Change:
        change = change_in(Phase.APPROVE_PLAN, **{"requested_by": alice, **fields})
        for author, decision in decisions:
            Approval(change=change, author=author, decision=decision, comment="So.").save()
        return change

    reworked = plan((carol, Decision.DENIED))
    reworked.move_to(Phase.PLAN)
    reworked.save()
    reworked.move_to(Phase.APPROVE_PLAN)
    reworked.save()
    return {
        "new": plan(),
        "own": plan(requested_by=carol),
        "decided": plan((carol, Decision.APPROVED)),
        "approved": plan((dora, Decision.APPROVED)),
        "denied": plan((alice, Decision.DENIED)),
        "disputed": plan((dora, Decision.APPROVED), (alice, Decision.DENIED)),
        "withdrawn": plan(completion_code=CompletionCode.WITHDRAWN),
        "reworked": reworked,
        "emergency": plan(change_type=ChangeType.EMERGENCY, urgency="TotalLossOfService", business_impact="Enterprise"),
        "planned": change_in(Phase.PLAN, requested_by=alice),
    }


def test_the_list_shows_what_waits_for_my_approval(plans, carol, alice):
    wanted = {"new", "reworked", "emergency"}
    answer = web(carol).get("/changes/?step=approval")
    assert {*numbers(answer)} == {plans[name].number for name in wanted}
    # These and what waits for nobody may be approved.
    for name, change in plans.items():
        page = web(carol).get(f"/changes/{change.number}/").content.decode()
        assert ("Approve and next" in page) == (name in wanted | {"approved", "denied", "disputed", "withdrawn"}), name
    assert numbers(web(alice).get("/changes/?step=approval")) == []


def test_ready_to_deploy_are_those_whose_move_has_no_unmet_condition(plans, alice, carol):
    everything_blank = "".join(char for char in map(chr, range(1, 0xE1000)) if is_blank(char))
    visible = [{"implementation_plan": text} for text in ("\u200b-", "\u0600", "\u0301", "\u2764\ufe0f", "\uf8ff")]
    for fields in [*visible, {"backout_plan": everything_blank}, {"implementation_plan": everything_blank}]:
        change_in(Phase.PLAN, ChangeType.STANDARD, requested_by=alice, **fields)
    for kind, blank in product(ChangeType, ("implementation_plan", "backout_plan", "planned_start", None)):
        change = change_in(Phase.APPROVE_PLAN if kind != ChangeType.STANDARD else Phase.PLAN, kind, requested_by=alice)
        if blank:
            setattr(change, blank, None if blank == "planned_start" else " \n")
            change.save()
        if change.phase == Phase.APPROVE_PLAN:
            Approval(change=change, author=carol, decision=Decision.APPROVED).save()
    ready = {
        change.number
        for change in Change.objects.all()
        if Phase.DEPLOY in workflow.targets(change.change_type, change.phase)
        and not workflow.unmet(change, Phase.DEPLOY)
    }
    withdrawn = plans["approved"]
    withdrawn.completion_code = CompletionCode.WITHDRAWN
    withdrawn.save()
    ready.remove(withdrawn.number)
    assert plans["decided"].number in ready
    plans_of_ready = {*Change.objects.filter(number__in=ready).values_list("implementation_plan", flat=True)}
    assert {each["implementation_plan"] for each in visible} <= plans_of_ready
    assert everything_blank not in plans_of_ready
    assert {*numbers(web(alice).get("/changes/?step=deploy"))} == ready


@pytest.mark.any_database
def test_approve_and_next_leads_through_all_that_wait_and_then_to_the_desk(plans, carol):
    client = web(carol)
    # The most urgent first, then the oldest.
    waiting = [plans[name] for name in ("emergency", "reworked", "new")]
    desk = text(client.get("/"))
    assert sorted(waiting, key=lambda change: desk.index(change.number)) == waiting
    here = waiting[1]
    for step in range(1, 4):
        form = {"decision": "Approved", "comment": "", "version": Change.objects.get(pk=here.pk).version}
        answer = client.post(f"/changes/{here.number}/approvals/?next=1", form)
        if step < 3:
            here = waiting[(1 + step) % 3]
            assert answer["Location"] == f"/changes/{here.number}/#approvals"
            said = "2 plans still wait for your decision." if step == 1 else "1 plan still waits for your decision."
            assert said in text(client.get(f"/changes/{here.number}/"))
    assert answer["Location"] == "/"
    assert "No other plan waits for your decision." in text(client.get("/"))


@pytest.mark.any_database
def test_a_refused_approval_leads_nowhere(plans, carol):
    own = plans["own"]
    answer = web(carol).post(
        f"/changes/{own.number}/approvals/?next=1", {"decision": "Approved", "version": own.version}
    )
    assert answer.status_code == 403
    assert "Nobody may approve a change that they requested." in text(answer)
