"""What a partner's registration allows: types of changes, fields and transitions. Rule 8 of section 4."""

import pytest

from changes.choices import ChangeType, Phase
from changes.models import Change
from integrations.models import ExternalReference, IncomingOperation
from tests.factories import ChangeFactory, change_in
from tests.rows import each_row

from .conftest import referenced, refused, state

pytestmark = pytest.mark.django_db

FIELDS = {
    "description": "More",
    "category": "Server",
    "risk": "High",
    "urgency": "SevereDisruption",
    "owning_group": None,
    "planned_start": "2026-11-24T09:00:00Z",
    "completion_code": "Failed",
}


def allow(system, **leave):
    for name, value in leave.items():
        setattr(system, name, value)
    system.full_clean()
    system.save()


# --- Types ---


@each_row(
    ("types", "wanted", "status"),
    [
        (None, "Standard", 403),
        (None, "Normal", 201),
        (None, "Emergency", 201),
        (None, None, 201),
        (["Normal", "Standard", "Emergency"], "Standard", 201),
        (["Emergency"], "Normal", 403),
        (["Emergency"], None, 403),  # without a type it would be Normal
        ([], "Emergency", 403),
    ],
)
def test_a_partner_creates_changes_of_the_allowed_types(send, acme, types, wanted, status):
    if types is not None:
        allow(acme, change_types=types)
    properties = {"title": "T"} | ({} if wanted is None else {"change_type": wanted})
    answer = send("Create", external_id="C-1", properties=properties)
    if status == 201:
        assert (answer.status_code, answer.json()["change"]["change_type"]) == (201, wanted or "Normal")
        return
    problem = refused(answer, 403, "properties.change_type")
    known = ", ".join(["Normal", "Emergency"] if types is None else types) or "none"
    assert problem["detail"] == (f"ACME may not give a change the type {wanted or 'Normal'}. Allowed: {known}.")
    assert not Change.objects.exists()
    assert not ExternalReference.objects.exists()
    entry = IncomingOperation.objects.get()
    assert (entry.status, entry.http_status, entry.system) == ("Failed", 403, acme)


@pytest.mark.any_database
@each_row(
    ("present", "wanted", "status"),
    [
        ("Normal", "Standard", 403),
        ("Normal", "Emergency", 200),
        ("Standard", "Standard", 200),
        ("Standard", "Normal", 200),
    ],
)
def test_a_partner_alters_the_type_to_an_allowed_one(send, present, wanted, status):
    """A Standard change of ours may be repeated by the partner."""
    change = ChangeFactory(change_type=present)
    referenced(change)
    answer = send("Update", external_id="C-1001", properties={"title": "New", "change_type": wanted})
    assert answer.status_code == status, answer.content
    stored = Change.objects.get()
    assert (stored.title, stored.change_type) == (("New", wanted) if status == 200 else (change.title, present))


# --- Fields ---


@each_row("name", FIELDS)
def test_a_field_that_is_not_settable_is_named(send, acme, name):
    allow(acme, settable_fields=["title"])
    referenced(ChangeFactory())
    before = state()
    answer = send("Update", external_id="C-1001", properties={"title": "New", name: FIELDS[name]})
    problem = refused(answer, 403, f"properties.{name}")
    assert problem["detail"] == f"ACME may not set {name}. Allowed: title."
    assert state() == before
    allow(acme, settable_fields=["title", name])
    answer = send("Update", external_id="C-1001", properties={"title": "New", name: FIELDS[name]})
    assert answer.status_code == 200, answer.content


@pytest.mark.any_database
def test_all_that_is_not_allowed_is_named_at_once(send, acme):
    allow(acme, settable_fields=[], change_types=[], transitions=[])
    referenced(ChangeFactory())
    wanted = {"title": "New", "risk": "High", "change_type": "Emergency", "phase": "Evaluate"}
    problem = refused(send("Update", external_id="C-1001", properties=wanted), 403)
    assert {error["attr"] for error in problem["errors"]} == {f"properties.{name}" for name in wanted}


@pytest.mark.any_database
def test_a_create_sets_fields_too(send, acme):
    allow(acme, settable_fields=["description"])
    refused(send("Create", external_id="C-1", properties={"title": "T", "description": "D"}), 403, "properties.title")
    assert not Change.objects.exists()


@pytest.mark.any_database
def test_a_value_that_the_change_has_already_is_no_setting(send, acme):
    """A partner that sends its whole record back is not refused for what it does not alter."""
    change = ChangeFactory()
    referenced(change)
    record = send("Update", external_id="C-1001").json()["change"]
    allow(acme, settable_fields=["title"])
    names = Change.WRITABLE_FIELDS
    same = {name: record[name] for name in names if name != "title"}
    answer = send("Update", external_id="C-1001", properties={**same, "title": "New", "category": " Network\t"})
    assert answer.status_code == 200, answer.content
    assert Change.objects.get().title == "New"


# --- Transitions ---


@each_row(
    ("targets", "status"), [(None, 200), (["Evaluate"], 200), (["Plan"], 403), ([], 403), (["Evaluate", "Plan"], 200)]
)
def test_a_partner_makes_the_allowed_transitions(send, acme, targets, status):
    allow(acme, transitions=targets)
    referenced(ChangeFactory())
    answer = send("Update", external_id="C-1001", properties={"title": "New", "phase": "Evaluate"})
    assert answer.status_code == status, answer.content
    if status == 403:
        problem = refused(answer, 403, "properties.phase")
        allowed = ", ".join(targets) or "none"
        assert problem["detail"] == f"ACME may not move a change to Evaluate. Allowed: {allowed}."
    stored = Change.objects.get()
    assert (stored.phase, stored.title == "New") == (("Evaluate", True) if status == 200 else ("Log", False))


@pytest.mark.any_database
def test_the_current_phase_is_no_transition(send, acme):
    allow(acme, transitions=[])
    referenced(change_in(Phase.DEPLOY, ChangeType.STANDARD))
    answer = send("Update", external_id="C-1001", properties={"title": "New", "phase": "Deploy"})
    assert answer.status_code == 200, answer.content


@pytest.mark.any_database
@each_row(("targets", "status"), [(None, 200), (["Abandon"], 200), (["Deploy"], 403)])
def test_a_cancel_is_a_transition_to_abandon(send, acme, targets, status):
    """The completion code belongs to the operation: it needs no leave to set the field."""
    allow(acme, transitions=targets, settable_fields=[])
    change = ChangeFactory()
    referenced(change)
    answer = send("Cancel", external_id="C-1001")
    assert answer.status_code == status, answer.content
    if status == 403:
        refused(answer, 403, "operation")
        assert Change.objects.get().version == change.version
        change.completion_code = "Withdrawn"
        change.move_to("Abandon")
        change.save()
        assert send("Cancel", external_id="C-1001").status_code == 200, "it is cancelled already"


@pytest.mark.any_database
@each_row("operation", ["Assign", "Reject"])
def test_what_changes_no_field_needs_no_leave(send, acme, operation):
    allow(acme, transitions=[], settable_fields=[], change_types=[])
    referenced(ChangeFactory())
    answer = send(operation, external_id="C-1001", comments=[{"body": "Hello"}])
    assert answer.status_code == 200, answer.content


# --- What leave reveals, and to whom it belongs ---


def test_a_change_that_the_partner_does_not_reach_is_unknown_whatever_it_may_do(send, acme):
    allow(acme, settable_fields=[])
    other = ChangeFactory()
    answers = [
        refused(send("Update", change_number=number, properties={"risk": "High"}), 404)
        for number in (other.number, "CHG9999999")
    ]
    assert answers[0] == answers[1]


def test_leave_belongs_to_one_system(send, acme, beta):
    allow(acme, settable_fields=["title"])
    change = ChangeFactory()
    referenced(change)
    referenced(change, "BETA", "B-1")
    refused(send("Update", external_id="C-1001", properties={"risk": "High"}), 403, "properties.risk")
    assert send("Update", system="BETA", external_id="B-1", properties={"risk": "High"}).status_code == 200


@pytest.mark.any_database
def test_staff_need_no_leave(api, alice, acme):
    allow(acme, settable_fields=[], change_types=[])
    answer = api(alice).post("/api/v1/changes/", {"title": "T", "change_type": "Standard"})
    assert answer.status_code == 201
