"""Transitions from the page of a change: possible ones, unmet conditions, and permissions."""

import re
from datetime import timedelta

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from changes.actor import acting
from changes.choices import ChangeType, Phase
from changes.models import Change
from tests.factories import ChangeFactory, change_in
from tests.pages import text, web
from tests.rows import each_row


def page_of(user, change, query=""):
    return web(user).get(f"/changes/{change.number}/{query}")


def move(user, change, phase, version=None):
    data = {"phase": phase, "version": change.version if version is None else version}
    return web(user).post(f"/changes/{change.number}/transition/", data, follow=True)


def next_step(response):
    content = response.content.decode().partition('class="next-step"')[2]
    return content.partition('class="moves"')[0].partition("</section>")[0]


def links(markup):
    return re.findall(r'<li>\s*<a href="([^"]+)">([^<]+)</a>', markup)


PLAN_FIELDS = {
    "implementation_plan": "Implementation plan must be set.",
    "backout_plan": "Backout plan must be set.",
    "planned_start": "Planned start must be set.",
    "planned_end": "Planned end must be set.",
}
CODE = {"completion_code": "Completion code must be set."}
# The conditions of section 2 of the contract: type, phase, next phase, and the message for each empty field.
CONDITIONS = [
    (
        kind,
        "Log",
        target,
        {
            "description": "Description must be set.",
            "requested_by": "Requested by must be set.",
            "reason": "Reason must be set.",
            "justification": "Justification must be set.",
            "category": "Category must be set.",
            "service": "Service must be set.",
        },
    )
    for kind, target in (("Normal", "Evaluate"), ("Standard", "Plan"), ("Emergency", "ApprovePlan"))
] + [
    ("Normal", "Evaluate", "Plan", {"risk": "Risk must be set.", "owning_group": "Owning group must be set."}),
    ("Normal", "Plan", "ApprovePlan", PLAN_FIELDS),
    ("Standard", "Plan", "Deploy", PLAN_FIELDS),
    ("Normal", "Deploy", "Validate", {"actual_start": "Actual start must be set."}),
    ("Normal", "Review", "Close", CODE),
    ("Standard", "Validate", "Close", CODE),
    ("Emergency", "Review", "Close", CODE),
]


@each_row(("kind", "phase", "target", "missing"), CONDITIONS)
def test_the_next_step_says_every_unmet_condition_with_a_link_to_its_field(alice, kind, phase, target, missing):
    change = change_in(Phase(phase), ChangeType(kind))
    empty = {"description", "reason", "justification", "category", "service", "implementation_plan", "backout_plan"}
    for field in missing:
        setattr(change, field, "" if field in empty else None)
    change.save()
    markup = next_step(page_of(alice, change))
    assert f"Before it can move to {Phase(target).label}:" in markup
    assert links(markup) == [(f"/changes/{change.number}/edit/#id_{field}", said) for field, said in missing.items()]
    first = next(iter(missing))
    assert f'href="/changes/{change.number}/edit/#id_{first}" id="fill-in"' in markup
    assert f'id="move-{target}"' not in markup
    response = move(alice, change, target)
    for said in missing.values():
        assert said in text(response)
    assert Change.objects.get().phase == phase


@each_row(("kind", "phase", "target"), [row[:3] for row in CONDITIONS])
def test_once_all_conditions_are_met_the_next_step_is_one_button(alice, kind, phase, target):
    change = change_in(Phase(phase), ChangeType(kind))
    if target == "Close":
        change.completion_code = "Successful"
        change.save()
    markup = next_step(page_of(alice, change))
    assert re.search(rf'class="button primary" type="submit" id="move-{target}">Move to {Phase(target).label}<', markup)
    assert "Before it can" not in markup
    assert f"{change.number} is in {Phase(target).label} now." in text(move(alice, change, target))
    assert Change.objects.get().phase == target


@pytest.mark.parametrize("code", ["Withdrawn", "Rejected"])
def test_a_withdrawn_or_rejected_change_cannot_be_closed(alice, code):
    change = change_in(Phase.REVIEW, completion_code=code)
    assert "must be neither Withdrawn nor Rejected" in next_step(page_of(alice, change))
    move(alice, change, "Close")
    assert Change.objects.get().phase == "Review"


@pytest.mark.parametrize("kind", ["Normal", "Emergency"])
def test_a_denied_plan_makes_rework_the_next_step(alice, carol, kind):
    change = change_in(Phase.APPROVE_PLAN, ChangeType(kind), requested_by=alice)
    web(carol).post(
        f"/changes/{change.number}/approvals/", {"decision": "Denied", "comment": "No", "version": change.version}
    )
    back = "Plan" if kind == "Normal" else "Log"
    assert f"Send back to {back} for rework</button>" in next_step(page_of(alice, change))
    assert "The plan was denied in the current round" in text(page_of(alice, change))


def test_who_may_decide_is_led_to_the_decision(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    assert 'href="#approvals" id="to-decide"' in next_step(page_of(carol, change))
    assert 'id="to-decide"' not in next_step(page_of(alice, change))


def test_who_may_not_edit_reads_the_conditions_without_links_and_who_may(audrey, alice):
    change = Change(title="Only a title", requested_by=alice)
    change.save()
    response = page_of(audrey, change)
    markup = next_step(response)
    assert "Description must be set." in markup
    assert "/edit/" not in markup
    assert "Needs the role Service desk agent or Change manager." in markup
    assert "<form" not in markup


@each_row(
    ("start", "end", "said"),
    [
        (timedelta(hours=5, minutes=1), timedelta(hours=9), "starts in 5 hours"),
        (timedelta(hours=-5), timedelta(hours=2, minutes=1), "now, ends in 2 hours"),
        (timedelta(hours=-5), timedelta(hours=-3), "overdue for 3 hours"),
        (timedelta(seconds=50), timedelta(hours=9), "starts in less than a minute"),
        (timedelta(hours=-5), timedelta(seconds=50), "now, ends in less than a minute"),
        (timedelta(hours=-5), timedelta(seconds=-1), "overdue for less than a minute"),
        (None, timedelta(hours=1), "no start yet"),
        (timedelta(hours=1), None, "no end yet"),
        (None, None, "Not planned"),
    ],
)
def test_the_head_says_where_the_planned_window_lies(alice, start, end, said):
    now = timezone.now()
    moments = {"planned_start": start and now + start, "planned_end": end and now + end}
    shown = text(page_of(alice, ChangeFactory(**moments))).replace("\xa0", " ")
    assert said in shown
    assert "0 minutes" not in shown, "since when the group owns it"


@each_row(
    ("phase", "start", "is_said"),
    [
        (Phase.PLAN, timedelta(days=6, minutes=1), True),
        (Phase.PLAN, timedelta(hours=-1), False),
        (Phase.LOG, timedelta(days=6, minutes=1), False),
    ],
)
def test_the_next_step_says_that_deploying_would_be_early(alice, phase, start, is_said):
    start = timezone.now() + start
    change = change_in(phase, ChangeType.STANDARD, planned_start=start, planned_end=start + timedelta(hours=9))
    markup = next_step(page_of(alice, change)).replace("\xa0", " ")
    assert ("The planned window has not begun: it starts in 6 days." in markup) == is_said


# --- Abandoning ---


def abandon(user, change, **data):
    return web(user).post(f"/changes/{change.number}/abandon/", {"version": change.version, **data}, follow=True)


def test_abandoning_is_confirmed_and_says_beforehand_what_is_sent(carol, acme):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    assert f'href="/changes/{change.number}/abandon/"' in page_of(carol, change).content.decode()
    said = text(web(carol).get(f"/changes/{change.number}/abandon/"))
    assert "This is final" in said
    assert "Cancel to ACME" in said
    assert Change.objects.get().phase == "Plan"
    assert not change.outgoing_operations.filter(operation="Cancel").exists()


@pytest.mark.parametrize(("code", "cancels"), [("Withdrawn", 1), ("Rejected", 0)])
def test_abandoning_takes_its_completion_code_along_in_one_save(carol, acme, code, cancels):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    assert f"{change.number} is in Abandon now." in text(abandon(carol, change, completion_code=code))
    stored = Change.objects.get()
    assert (stored.phase, stored.completion_code, stored.version) == ("Abandon", code, change.version + 1)
    assert change.outgoing_operations.filter(operation="Cancel").count() == cancels


def test_a_change_that_is_withdrawn_already_is_not_told_twice(carol, acme):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    change.completion_code = "Withdrawn"
    change.save()
    said = text(web(carol).get(f"/changes/{change.number}/abandon/"))
    assert "Abandoning itself sends nothing." in said
    abandon(carol, change, completion_code="Withdrawn")
    assert change.outgoing_operations.filter(operation="Cancel").count() == 1
    assert Change.objects.get().phase == "Abandon"


@pytest.mark.parametrize("code", ["", "Successful", "withdrawn", "\x00"])
def test_abandoning_without_a_code_that_says_why_asks_again(carol, code):
    change = change_in(Phase.PLAN)
    assert "Choose why it is abandoned." in text(abandon(carol, change, completion_code=code))
    stored = Change.objects.get()
    assert (stored.phase, stored.completion_code) == ("Plan", None)


@pytest.mark.parametrize("phase", ["Deploy", "Backout", "Validate", "Review", "Close"])
def test_from_deploy_on_nothing_is_abandoned(carol, phase):
    change = change_in(Phase(phase))
    said = text(web(carol).get(f"/changes/{change.number}/abandon/", follow=True))
    assert f"A change in {phase} cannot be abandoned." in said
    abandon(carol, change, completion_code="Withdrawn")
    stored = Change.objects.get()
    assert (stored.phase, stored.completion_code) == (phase, change.completion_code)


def test_abandoning_from_a_page_out_of_date_does_nothing(carol, alice):
    change = change_in(Phase.PLAN)
    seen = change.version
    with acting(alice):
        change.risk = "High"
        change.save()
    response = abandon(carol, change, completion_code="Withdrawn", version=seen)
    assert response.status_code == 409
    assert "was changed by alice since you opened the page (risk)" in text(response)
    stored = Change.objects.get()
    assert (stored.phase, stored.completion_code) == ("Plan", None)


# --- One by one ---


def test_a_possible_transition_is_a_button_that_makes_it(alice):
    change = change_in(Phase.LOG)
    assert "Move to Evaluate" in text(page_of(alice, change))
    response = move(alice, change, "Evaluate")
    assert f"{change.number} is in Evaluate now." in text(response)
    assert Change.objects.get().phase == "Evaluate"
    assert Change.objects.get().history.first().history_user == alice


def test_an_impossible_transition_says_every_unmet_condition_with_a_link_to_its_field(alice):
    change = Change(title="Only a title", requested_by=alice)
    change.save()
    content = page_of(alice, change).content.decode()
    for field in ("description", "reason", "justification", "category", "service"):
        assert f'href="/changes/{change.number}/edit/#id_{field}"' in content
    assert "Move to Evaluate</button>" not in content


def test_conditions_about_approvals_lead_to_the_approvals(alice):
    content = page_of(alice, change_in(Phase.APPROVE_PLAN)).content.decode()
    assert '<a href="#approvals">At least one approval in the current round is needed.</a>' in content


def test_a_transition_whose_conditions_are_unmet_is_refused_with_all_of_them(alice):
    change = Change(title="Only a title", requested_by=alice)
    change.save()
    response = move(alice, change, "Evaluate")
    assert response.status_code == 200
    assert "was not moved." in text(response)
    assert "Description must be set. Reason must be set." in text(response)
    assert Change.objects.get().phase == "Log"


@pytest.mark.parametrize("phase", ["Close", "Log", "Nowhere", "", "\x00"])
def test_a_transition_that_does_not_exist_is_refused_in_words(alice, phase):
    change = change_in(Phase.PLAN)
    response = move(alice, change, phase)
    assert response.status_code == 200
    assert "have no transition from Plan" in text(response)
    assert Change.objects.get().phase == "Plan"


@pytest.mark.parametrize("version", ["", "x", "0", "-1", "99999999999999999999999"])
def test_a_transition_without_the_present_version_is_refused(alice, version):
    change = change_in(Phase.LOG)
    assert "It was not moved." in text(move(alice, change, "Evaluate", version))
    assert Change.objects.get().phase == "Log"


def test_a_transition_from_a_page_out_of_date_says_who_changed_what(alice, carol):
    change = change_in(Phase.LOG)
    seen = change.version
    with acting(carol):
        change.risk = "High"
        change.save()
    response = move(alice, change, "Evaluate", seen)
    assert response.status_code == 409
    said = text(response)
    assert "was changed by carol since you opened the page (risk). It was not moved." in said
    assert "Risk Low → became High carol" in said
    assert Change.objects.get().phase == "Log"
    assert f'name="version" value="{change.version}"' in response.content.decode()


def test_an_agent_reads_that_abandoning_needs_a_change_manager_and_a_manager_does_it(alice, carol):
    change = change_in(Phase.PLAN, completion_code="Withdrawn")
    assert "Needs the role Change manager." in text(page_of(alice, change))
    assert move(alice, change, "Abandon").status_code == 403
    assert web(alice).get(f"/changes/{change.number}/abandon/").status_code == 403
    assert Change.objects.get().phase == "Plan"
    assert "is in Abandon now" in text(move(carol, change, "Abandon"))


def test_a_final_change_offers_neither_edit_nor_transition_but_comments(alice):
    content = page_of(alice, change_in(Phase.CLOSE)).content.decode()
    assert "is final: the fields are read-only" in content
    assert "/edit/" not in content
    assert "Add comment" in content


def test_a_change_goes_all_the_way_from_the_page(alice, carol):
    change = ChangeFactory(requested_by=alice)
    for phase in ("Evaluate", "Plan", "ApprovePlan"):
        change.refresh_from_db()
        move(alice, change, phase)
    change.refresh_from_db()
    web(carol).post(f"/changes/{change.number}/approvals/", {"decision": "Approved", "version": change.version})
    for phase in ("Deploy", "Validate", "Review"):
        change.refresh_from_db()
        move(alice, change, phase)
    change.refresh_from_db()
    change.completion_code = "Successful"
    change.save()
    move(alice, change, "Close")
    change.refresh_from_db()
    assert change.phase == "Close"


def test_abandoning_a_change_whose_record_is_invalid_says_why(carol):
    change = change_in(Phase.PLAN, requested_by=carol)
    QuerySet(Change).filter(pk=change.pk).update(title=" ")
    data = {"version": change.version, "completion_code": "Withdrawn"}
    response = web(carol).post(f"/changes/{change.number}/abandon/", data, follow=True)
    assert f"{change.number} was not moved. Give the change a title." in text(response)
    change.refresh_from_db()
    assert (change.phase, change.completion_code) == ("Plan", None)
