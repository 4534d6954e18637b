"""Section 2 of the rules: phases, transitions, conditions, completion codes and priorities, as tables."""

from datetime import timedelta
from itertools import product

import pytest
from django.utils import timezone
from django_fsm import TransitionNotAllowed

from changes import workflow
from changes.choices import ChangeType, CompletionCode, Decision, Phase
from changes.exceptions import ConditionsUnmet, NotDecidable, NoTransition, ReadOnlyChange
from changes.models import Approval, Change, Comment
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in
from tests.rows import each_row

pytestmark = pytest.mark.django_db

METAPHASES = """
Classification  Log Evaluate
Planning        Plan ApprovePlan
Deployment      Deploy Backout
Validation      Validate
Done            Review Close Abandon
"""

# Each row: a type, a phase, and all phases one transition away.
TRANSITIONS = """
Normal     Log          Evaluate Abandon
Normal     Evaluate     Plan Abandon
Normal     Plan         ApprovePlan Abandon
Normal     ApprovePlan  Deploy Plan Abandon
Normal     Deploy       Validate Backout
Normal     Validate     Review Backout
Normal     Backout      Review
Normal     Review       Close
Normal     Close
Normal     Abandon
Standard   Log          Plan Abandon
Standard   Plan         Deploy Abandon
Standard   Deploy       Validate Backout
Standard   Validate     Close Backout
Standard   Backout      Review
Standard   Review       Close
Standard   Close
Standard   Abandon
Emergency  Log          ApprovePlan Abandon
Emergency  ApprovePlan  Deploy Log Abandon
Emergency  Deploy       Validate Backout
Emergency  Validate     Review Backout
Emergency  Backout      Review
Emergency  Review       Close
Emergency  Close
Emergency  Abandon
"""
REACHABLE = {(line.split()[0], line.split()[1]): line.split()[2:] for line in TRANSITIONS.strip().splitlines()}


def ready_for(target: str, change: Change) -> None:
    """Fills the fields that a transition of this change to `target` needs."""
    if change.phase == Phase.APPROVE_PLAN and target == Phase.DEPLOY:
        Approval(change=change, author=UserFactory(username="carol"), decision=Decision.APPROVED).save()
    if target == Phase.ABANDON:
        change.completion_code = CompletionCode.WITHDRAWN
    elif target == Phase.CLOSE:
        change.completion_code = CompletionCode.SUCCESSFUL


@pytest.mark.any_database
def test_each_phase_belongs_to_its_metaphase():
    table = {phase: line.split()[0] for line in METAPHASES.strip().splitlines() for phase in line.split()[1:]}
    assert {phase.value: phase.metaphase.value for phase in Phase} == table


@pytest.fixture
def made():
    """The keys of changes: one of each type in each phase that the type can reach, by real transitions."""
    return {(kind, phase): change_in(phase, kind).pk for kind, phase in REACHABLE}


@pytest.mark.any_database
@each_row(("change_type", "phase"), product(ChangeType.values, Phase.values))
def test_the_table_names_every_transition(change_type, phase):
    expected = REACHABLE.get((change_type, phase), [])
    assert [str(target) for target in workflow.targets(change_type, phase)] == expected


@pytest.mark.any_database
@each_row(("place", "target"), product(REACHABLE, Phase.values))
def test_a_transition_is_possible_exactly_where_the_table_says(made, place, target):
    change = Change.objects.get(pk=made[place])
    if not change.is_final:
        ready_for(target, change)
    if target in REACHABLE[place]:
        change.move_to(target)
        change.save()
        assert Change.objects.get(pk=change.pk).phase == target
    else:
        with pytest.raises(NoTransition):
            change.move_to(target)
        with pytest.raises(TransitionNotAllowed):
            getattr(change, f"to_{Phase(target).name.lower()}")()
        assert Change.objects.get(pk=change.pk).phase == place[1]


CONDITIONS = [
    # type, from, to, the field, a value that violates the condition
    *[
        (kind, "Log", target, field, value)
        for kind, target in (("Normal", "Evaluate"), ("Standard", "Plan"), ("Emergency", "ApprovePlan"))
        for field, value in (
            ("description", ""),
            ("description", "  \n"),
            ("requested_by", None),
            ("reason", ""),
            ("justification", ""),
            ("category", ""),
            ("service", " "),
            ("reason", "\u200b"),
            ("justification", "\u3164 \u2800"),
        )
    ],
    ("Normal", "Evaluate", "Plan", "risk", None),
    ("Normal", "Evaluate", "Plan", "owning_group", None),
    *[
        (kind, "Plan", target, field, value)
        for kind, target in (("Normal", "ApprovePlan"), ("Standard", "Deploy"))
        for field, value in (
            ("implementation_plan", ""),
            ("backout_plan", ""),
            ("implementation_plan", "\u2060\n\ufe0f"),
            ("backout_plan", "\u00ad"),
            ("planned_start", None),
            ("planned_end", None),
        )
    ],
    *[
        (kind, "Deploy", target, "actual_start", None)
        for kind in ("Normal", "Standard", "Emergency")
        for target in ("Validate", "Backout")
    ],
    *[
        (kind, source, "Close", "completion_code", code)
        for kind, source in (
            ("Normal", "Review"),
            ("Standard", "Validate"),
            ("Standard", "Review"),
            ("Emergency", "Review"),
        )
        for code in (None, "Withdrawn", "Rejected")
    ],
    *[
        (kind, source, "Abandon", "completion_code", code)
        for kind, sources in (
            ("Normal", ("Log", "Evaluate", "Plan", "ApprovePlan")),
            ("Standard", ("Log", "Plan")),
            ("Emergency", ("Log", "ApprovePlan")),
        )
        for source in sources
        for code in (None, "Successful", "SuccessfulWithProblems", "Failed", "BackedOut")
    ],
]


@pytest.mark.any_database
@each_row(("change_type", "source", "target", "field", "value"), CONDITIONS)
def test_an_unmet_condition_stops_the_transition_and_names_its_field(made, change_type, source, target, field, value):
    change = Change.objects.get(pk=made[change_type, source])
    ready_for(target, change)
    setattr(change, field, value)
    change.save()
    with pytest.raises(ConditionsUnmet) as refused:
        change.move_to(target)
    assert [unmet.field for unmet in refused.value.unmet] == [field]
    with pytest.raises(TransitionNotAllowed):
        getattr(change, f"to_{Phase(target).name.lower()}")()
    assert Change.objects.get(pk=change.pk).phase == source


@pytest.mark.any_database
def test_every_unmet_condition_is_told_at_once():
    change = Change(title="Only a title")
    change.save()
    with pytest.raises(ConditionsUnmet) as refused:
        change.move_to("Evaluate")
    fields = [unmet.field for unmet in refused.value.unmet]
    assert fields == ["description", "requested_by", "reason", "justification", "category", "service"]


@pytest.mark.any_database
@pytest.mark.parametrize("change_type", ChangeType.values)
def test_conditions_for_leaving_do_not_apply_to_abandon(change_type):
    change = Change(title="Only a title", change_type=change_type, completion_code="Withdrawn")
    change.save()
    change.move_to("Abandon")
    change.save()
    assert change.phase == "Abandon"


@pytest.mark.any_database
def test_entering_approve_plan_needs_no_plan_in_an_emergency():
    change = ChangeFactory(change_type="Emergency", implementation_plan="", planned_start=None, planned_end=None)
    change.move_to("ApprovePlan")
    change.save()
    assert change.phase == "ApprovePlan"


class TestDeployment:
    @pytest.mark.any_database
    def test_entering_deploy_sets_actual_start_when_empty(self):
        change = change_in("Deploy", "Standard")
        assert change.actual_start is not None

    @pytest.mark.any_database
    def test_entering_deploy_keeps_an_actual_start(self):
        earlier = timezone.now() - timedelta(hours=3)
        change = change_in("Plan", "Standard", actual_start=earlier)
        change.move_to("Deploy")
        change.save()
        assert change.actual_start == earlier

    @pytest.mark.any_database
    @pytest.mark.parametrize("target", ["Validate", "Backout"])
    def test_leaving_deploy_sets_actual_end_when_empty(self, target):
        change = change_in("Deploy", "Standard")
        assert change.actual_end is None
        change.move_to(target)
        change.save()
        assert change.actual_end >= change.actual_start

    @pytest.mark.any_database
    def test_leaving_deploy_keeps_an_actual_end(self):
        change = change_in("Deploy", "Standard")
        change.actual_end = end = change.actual_start + timedelta(minutes=5)
        change.move_to("Validate")
        change.save()
        assert change.actual_end == end

    @pytest.mark.any_database
    def test_leaving_deploy_before_a_future_actual_start_ends_no_earlier_than_it_starts(self):
        change = change_in("Deploy", "Standard")
        change.actual_start = timezone.now() + timedelta(hours=1)
        change.move_to("Validate")
        change.save()
        assert change.actual_end == change.actual_start


class TestApprovals:
    def decide(self, change, username, decision="Approved"):
        approval = Approval(change=change, author=UserFactory(username=username), decision=decision, comment="Read it")
        approval.save()
        return approval

    def unmet(self, change):
        change.refresh_from_db()
        return [item.message for item in workflow.unmet(change, "Deploy")]

    @pytest.mark.parametrize("change_type", ["Normal", "Emergency"])
    def test_one_approval_and_no_denial_open_the_way(self, change_type):
        change = change_in("ApprovePlan", change_type)
        assert len(self.unmet(change)) == 1
        self.decide(change, "carol")
        assert self.unmet(change) == []

    def test_a_denial_closes_it_whatever_the_approvals(self):
        change = change_in("ApprovePlan")
        self.decide(change, "carol")
        self.decide(change, "chris", "Denied")
        assert len(self.unmet(change)) == 1

    def test_nobody_approves_a_change_that_they_requested(self):
        change = change_in("ApprovePlan", requested_by=UserFactory(username="carol"))
        with pytest.raises(NotDecidable):
            self.decide(change, "carol")
        assert not change.approvals.exists()

    def test_an_approver_who_becomes_the_requester_no_longer_counts(self):
        change = change_in("ApprovePlan")
        approval = self.decide(change, "carol")
        change.requested_by = approval.author
        change.save()
        assert len(self.unmet(change)) == 1

    @pytest.mark.any_database
    def test_entering_approve_plan_starts_a_new_round(self):
        change = change_in("ApprovePlan")
        self.decide(change, "carol")
        change.move_to("Plan")
        change.save()
        change.move_to("ApprovePlan")
        change.save()
        assert change.current_approvals() == []
        assert len(self.unmet(change)) == 1
        self.decide(change, "carol")
        assert self.unmet(change) == []

    def test_a_decision_stands_within_its_round(self):
        change = change_in("ApprovePlan")
        self.decide(change, "carol")
        with pytest.raises(NotDecidable):
            self.decide(change, "carol", "Denied")
        assert [approval.decision for approval in change.current_approvals()] == ["Approved"]

    @pytest.mark.parametrize("phase", ["Log", "Plan", "Deploy", "Close", "Abandon"])
    def test_a_plan_is_decided_in_approve_plan_only(self, phase):
        change = change_in(phase)
        before = change.approvals.count()
        with pytest.raises(NotDecidable):
            self.decide(change, "chris")
        assert change.approvals.count() == before


def test_numbers_are_unique_and_rising():
    numbers = [ChangeFactory().number for _ in range(5)]
    assert numbers == sorted(set(numbers))
    assert all(len(number) == 10 and number.startswith("CHG") and number[3:].isdigit() for number in numbers)


class TestNoWayAround:
    def test_the_phase_is_not_assigned(self):
        change = ChangeFactory()
        with pytest.raises(AttributeError):
            change.phase = "Plan"

    def test_a_record_begins_in_log(self):
        with pytest.raises(NoTransition):
            Change(title="Straight to the end", phase="Close").save()
        assert not Change.objects.exists()

    def test_a_phase_that_no_transition_led_to_is_not_saved(self):
        change = ChangeFactory()
        change.__dict__["phase"] = Phase.DEPLOY.value
        with pytest.raises(NoTransition):
            change.save()
        change.refresh_from_db()
        assert change.phase == "Log"
        with pytest.raises(AttributeError):
            change.phase = "Plan"  # still protected after the refresh

    @each_row("call", ["update", "bulk_create", "bulk_update"])
    @each_row("model", [Change, Comment, Approval])
    def test_bulk_writes_are_refused(self, model, call):
        arguments = {"update": {}, "bulk_create": {"objs": []}, "bulk_update": {"objs": [], "fields": []}}[call]
        with pytest.raises(TypeError):
            getattr(model.objects.all(), call)(**arguments)

    @pytest.mark.parametrize("phase", ["Evaluate", "Plan", "Deploy"])
    def test_the_type_is_fixed_once_log_is_left(self, phase):
        change = change_in(phase)
        change.change_type = "Emergency"
        with pytest.raises(ReadOnlyChange):
            change.save()
        assert Change.objects.get(pk=change.pk).change_type == "Normal"

    def test_the_type_can_be_altered_in_log(self):
        change = ChangeFactory()
        change.change_type = "Standard"
        change.save()
        assert Change.objects.get(pk=change.pk).change_type == "Standard"


@pytest.mark.parametrize("phase", ["Close", "Abandon"])
class TestFinalPhases:
    @pytest.mark.parametrize(
        ("field", "value"),
        [("title", "Other"), ("risk", "High"), ("owning_group", None), ("completion_code", None), ("actual_end", None)],
    )
    def test_fields_are_read_only(self, phase, field, value):
        change = change_in(phase)
        if getattr(change, field) == value:
            value = timezone.now()
        before = getattr(change, field)
        setattr(change, field, value)
        with pytest.raises(ReadOnlyChange) as refused:
            change.save()
        assert refused.value.fields == [field]
        assert getattr(Change.objects.get(pk=change.pk), field) == before

    def test_the_owning_group_is_read_only(self, phase):
        change = change_in(phase)
        change.owning_group = SupportGroupFactory(name="Servers")
        with pytest.raises(ReadOnlyChange):
            change.save()

    def test_comments_can_still_be_added(self, phase):
        change = change_in(phase)
        Comment(change=change, author=UserFactory(username="alice"), body="Afterthought").save()
        assert change.comments.get().body == "Afterthought"
