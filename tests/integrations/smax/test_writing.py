"""Writing: what each operation does, the names and values that are taken, notes, errors, and repetitions."""

import json

import pytest
from django.utils import timezone

from changes.models import Comment
from integrations.models import ExternalReference, IncomingOperation
from tests.factories import SupportGroupFactory
from tests.rows import each_row

from .conftest import own, stored

EMPTY = {"ExternalId": "", "ExternalEntityType": "", "ExternalStatus": ""}


# properties, the field, its value
VALUES = [
    ({"DisplayLabel": "  A\nline "}, "title", "A line"),
    ({"DisplayLabel": 42}, "title", "42"),
    ({"Description": "<p>One</p><p>Two &amp; <b>three</b></p>"}, "description", "One\n\nTwo & three"),
    ({"Description": "plain\ntext"}, "description", "plain\ntext"),
    ({"Description": None}, "description", ""),
    ({"ImplementationPlan": "<ol><li>Stop</li><li>Swap</li></ol>"}, "implementation_plan", "1. Stop\n2. Swap"),
    ({"BackoutPlan": 'See <a href="https://x.example/">this</a>'}, "backout_plan", "See this (https://x.example/)"),
    ({"Justification": "<b>as it is</b>"}, "justification", "<b>as it is</b>"),
    ({"ReasonForChange": "EndOfLife"}, "reason", "EndOfLife"),
    ({"Category": "Storage"}, "category", "Storage"),
    ({"AffectsActualService": "Mail"}, "service", "Mail"),
    ({"RegisteredForActualService": "Mail"}, "service", "Mail"),
    ({"AffectsActualService.DisplayLabel": "Mail"}, "service", "Mail"),
    ({"RiskAssessment": "NoRisk"}, "risk", "Low"),
    ({"RiskAssessment": "SomeRisk"}, "risk", "Medium"),
    ({"RiskAssessment": "MediumRisk"}, "risk", "Medium"),
    ({"RiskAssessment": "High"}, "risk", "High"),
    ({"RiskAssessment": ""}, "risk", None),
    ({"ImpactScope": "Enterprise"}, "business_impact", "Enterprise"),
    ({"Urgency": "TotalLossOfService"}, "urgency", "TotalLossOfService"),
    ({"CompletionCode": "CompletionCodeWithdrawn"}, "completion_code", "Withdrawn"),
    ({"CompletionCode": "Withdrawn"}, "phase", "Plan"),
    ({"PhaseId": "Plan"}, "phase", "Plan"),
    ({"PhaseId": "ApprovePlan"}, "phase", "ApprovePlan"),
    ({"ScheduledStartTime": 1764000000000}, "planned_start", "2025-11-24 16:00:00+00:00"),
    (
        {"ScheduledStartTime": None, "ScheduledEndTime": "1764000000001"},
        "planned_end",
        "2025-11-24 16:00:00.001000+00:00",
    ),
    ({"ActualStartTime": None}, "actual_start", None),
    ({"OwnedByGroup": "Servers"}, "owning_group", "Servers"),
    ({"OwnedByGroup.Name": "Servers"}, "owning_group", "Servers"),
    ({"OwnedByGroup": "{Servers}"}, "owning_group", "Servers"),
    ({"OwnedByGroup.Name": "7"}, "owning_group", "7"),
    ({"OwnedByGroup": None}, "owning_group", None),
    ({"OwnedByGroup": "Servers", "OwnedByGroup.Name": "Servers"}, "owning_group", "Servers"),
]


@each_row("properties, field, value", VALUES)
def test_what_a_property_sets(adapter, linked, properties, field, value):
    SupportGroupFactory(name="7")
    servers = SupportGroupFactory(name="Servers")
    properties = {name: str(servers.pk) if each == "{Servers}" else each for name, each in properties.items()}
    adapter.write("Update", properties={**own(linked), **properties})
    now = getattr(stored(linked), field)
    assert (now if now is None else str(now)) == value


# entity, status, what the error says
REFUSED = [
    ({"properties": {"PhaseId": "Nowhere"}}, 400, "PhaseId: Give one of: Log,"),
    ({"properties": {"PhaseId": 7}}, 400, "PhaseId: Give one of"),
    ({"properties": {"PhaseId": "Close"}}, 409, "PhaseId: "),
    ({"properties": {"PhaseId": "Deploy"}}, 409, "PhaseId: "),
    ({"properties": {"PhaseId": "ApprovePlan", "ScheduledEndTime": 0}}, 422, "ScheduledEndTime: "),
    ({"properties": {"DisplayLabel": ""}}, 400, "DisplayLabel: "),
    ({"properties": {"DisplayLabel": "x" * 201}}, 400, "DisplayLabel: "),
    ({"properties": {"DisplayLabel": True}}, 400, "DisplayLabel: Give a text."),
    ({"properties": {"Description": ["a"]}}, 400, "Description: Give a text."),
    ({"properties": {"Description": "<div>" * 200}}, 400, "Description: More than 100 elements"),
    ({"properties": {"Description": "x" * 700_000}}, 400, "Description: It has 700000 characters"),
    ({"properties": {"ScheduledStartTime": "soon"}}, 400, "ScheduledStartTime: Give a time as milliseconds"),
    ({"properties": {"ScheduledStartTime": 10**17}}, 400, "ScheduledStartTime: There is no such time"),
    ({"properties": {"OwnedByGroup": "Nobody"}}, 400, "OwnedByGroup: There is no group named Nobody"),
    ({"properties": {"OwnedByGroup": "999999"}}, 400, "OwnedByGroup: There is no group named 999999"),
    ({"properties": {"OwnedByGroup": {"Id": "1"}}}, 400, "OwnedByGroup: Give a text."),
    ({"properties": {"ChangeType": "NormalChange", "ChangeWorkflowType": "Standard"}}, 400, "given twice"),
    ({"properties": {"ChangeType": "Standard"}}, 403, "ChangeWorkflowType: "),
    ({"properties": {"Id": "x"}}, 400, "Id: Give the number"),
    ({"properties": {"Id": "999999"}}, 404, "There is no such change"),
    ({"properties": {"Id": True}}, 400, "Id: Give the number"),
    ({"properties": {"Id": None}}, 400, "Id: Update needs Id, or ExternalId"),
    ({"properties": []}, 200, ""),  # empty, in whatever way
    ({"properties": "x"}, 400, "properties: Give an object"),
    ({"entity_type": "Incident"}, 400, "entity_type: Give one of: Change"),
    ({"entity_type": None}, 400, "entity_type: "),
    ({"ext_properties": {}}, 400, "ExternalSystem: Name your system"),
    ({"ext_properties": "x"}, 400, "ext_properties: Give an object"),
    ({"ext": {"ExternalSystem": "OTHER"}}, 403, "system"),
    ({"ext": {"ExternalSystem": "\u202eACME"}}, 400, "ExternalSystem: "),
    ({"ext": {"Operation": "Delete"}}, 400, "Operation: Give one of: Create, Update"),
    ({"ext": {"Operation": None}}, 400, "Operation: "),
    ({"ext": {"ExternalId": "C-2"}}, 409, "ExternalId: "),
    ({"ext": {"ExternalId": ["C-1"]}}, 400, "ExternalId: Give a text"),
    ({"ext": {"ExternalId": " C-1"}}, 400, "ExternalId: "),
    ({"ext": {"ExternalStatus": "x" * 201}}, 400, "ExternalStatus: "),
    ({"ext": {"Operation": "Create", "ExternalId": "C-9"}}, 400, "DisplayLabel: Create needs a title"),
    ({"ext": {"Operation": "Create"}, "properties": {"DisplayLabel": "x"}}, 400, "ExternalId: Create needs"),
    ({"Comments": {}}, 200, ""),
    ({"Comments": "x"}, 400, "Comments: Give a list"),
    ({"Comments": ["x"]}, 400, "Comments.0: Give an object"),
    ({"Comments": [{}]}, 400, "Comments.0.Body: "),
    ({"Comments": [{"Body": " \u200b"}]}, 400, "Comments.0.Body: "),
    ({"Comments": [{"Body": 7}]}, 400, "Comments.0.Body: "),
    ({"Comments": [{"Body": "a", "PrivacyType": "SECRET"}]}, 400, "Comments.0.PrivacyType: Give one of: PUBLIC"),
    ({"Comments": [{"Body": "a", "IsSystem": "maybe"}]}, 400, "Comments.0.IsSystem: Give true or false"),
    ({"Comments": [{"Body": "a", "CreatedTime": {}}]}, 400, "Comments.0.CreatedTime: Give a time"),
    ({"Comments": [{"Body": "a"}] * 101}, 400, "Comments: "),
]


@each_row("entity, status, said", REFUSED)
def test_what_is_refused_changes_nothing_and_is_named(adapter, linked, entity, status, said):
    entity = dict(entity)
    ext = entity.pop("ext", {})
    if isinstance(entity.get("properties", {}), dict) and ext.get("Operation") != "Create":
        entity["properties"] = {**own(linked), **entity.get("properties", {})}
    answer = adapter.write("Update", status, ext=ext, **entity) if status != 200 else None
    if answer is None:
        adapter.write("Update", 200, ext={"ExternalId": "C-1"}, **entity)
        return
    assert answer["meta"]["completion_status"] == "FAILED"
    assert answer["meta"]["errorDetails"]["httpStatus"] == status
    assert said in answer["meta"]["errorDetails"]["message"]
    assert stored(linked).version == linked.version
    assert not Comment.objects.exists()
    if "ExternalSystem" not in said and "system" not in said:
        assert IncomingOperation.objects.get().status == "Failed"


# the body of a whole call, status
BODIES = [
    ("", 400),
    ("x", 400),
    ("[]", 400),
    ("{}", 400),
    ('{"entities": []}', 400),
    ('{"entities": {}}', 400),
    ('{"entities": [1]}', 400),
    ('{"entities": [null]}', 400),
    ('{"entities": [{"a": 1, "a": 2}]}', 400),
    ('{"entities": [{"properties": {"Description": "\\ud800"}}]}', 400),
    ('{"entities": [{"properties": {"Description": NaN}}]}', 400),
    ("[" * 100_000, 400),
    ('{"entities": "' + "x" * 1_100_000 + '"}', 413),
]


@pytest.mark.any_database
@each_row("body, status", BODIES)
def test_a_body_that_cannot_be_read(adapter, body, status):
    raw = adapter.client.generic("POST", "/rest/default/ces", body, "application/json")
    assert raw.status_code == status
    meta = raw.json()["meta"]
    assert meta["completion_status"] == "FAILED"
    assert meta["errorDetails"]["httpStatus"] == status
    if body.startswith("[["):
        assert IncomingOperation.objects.get().payload["unreadable"].startswith("[[[")
    assert IncomingOperation.objects.filter(status="Failed", token__endswith="…").count() == 1


SECRET = "Correct-Horse-7"
# address, what is sent, what is kept of it
PASSWORDS = [
    ("ces", {"login": "x", "password": SECRET}, {"login": "x", "password": "***"}),
    ("ces", {"Login": "x", "Password": SECRET}, {"Login": "x", "Password": "***"}),
    ("ces", {"entities": [], "user": {"passwd": [SECRET]}}, {"entities": [], "user": {"passwd": "***"}}),
    ("ces", {"entities": [{"login": "x", "password": SECRET}]}, {"login": "x", "password": "***"}),
    ("ces", {"entities": [{"password": {"a": SECRET}}]}, {"password": "***"}),
    ("ems/bulk", {"login": "x", "password": SECRET}, {"login": "x", "password": "***"}),
    ("ces", f'{{"login": "x", "password": "{SECRET}"', None),
    ("ces", f"login=x&PASSWORD={SECRET}", None),
    ("ces", f'[{{"password": "{SECRET}"}}]', None),
]


@pytest.mark.any_database
@each_row("path, sent, kept", PASSWORDS)
def test_a_password_that_is_sent_by_mistake_is_not_kept(adapter, path, sent, kept):
    body = sent if isinstance(sent, str) else json.dumps(sent)
    status = 200 if path == "ems/bulk" else 400  # a bulk call says it in its answer
    adapter.call("post", path, status, data=body, content_type="application/json")
    entry = IncomingOperation.objects.get()
    assert entry.payload == (kept or {"unreadable": "(left out: it may contain a password)"})
    assert SECRET not in repr(vars(entry))
    assert entry.body_sha256 == ""  # a short password could be guessed by it


@pytest.mark.any_database
def test_a_password_in_an_entity_that_is_applied_is_not_kept(adapter, linked):
    adapter.write("Update", properties={**own(linked), "Password": SECRET}, password=SECRET)
    entry = IncomingOperation.objects.get(status="Applied")
    assert SECRET not in json.dumps(entry.payload)
    assert entry.payload["properties"] == {**own(linked), "Password": "***"}


# operation, properties, ext, the note
NOTES = [
    ("Update", {"Nothing": 1, "More": 2}, {}, "Ignored properties that a change does not have: Nothing, More."),
    ("Update", {"Priority": "x", "LastUpdateTime": 1}, {}, "cannot be written: Priority, LastUpdateTime."),
    ("Update", {"OwnedByPerson": "7", "RequestedByPerson": "7"}, {}, "OwnedByPerson, RequestedByPerson."),
    ("Update", {"DisplayLabel.Name": "x"}, {}, "does not have: DisplayLabel.Name."),
    ("Accept", {}, {}, "Accept was taken as an Update."),
    ("Resolve", {}, {}, "Resolve was taken as an Update."),
    ("Close", {"Solution": "Done"}, {}, "Close was taken as an Update. Ignored properties that a change does not have"),
    ("Reopen", {}, {}, "Reopen was taken as an Update."),
    (
        "Reject",
        {"CompletionCode": "x", "Solution": "y"},
        EMPTY,
        "no properties: CompletionCode, Solution.",
    ),
    ("Assign", {"PhaseId": "Plan"}, {}, "Assign takes no properties: PhaseId."),
    ("Update", {"a\u202eb\nc": 1}, {}, "does not have: a[U+202E]b[U+000A]c."),
    ("Update", {"DisplayLabel": "New"}, {}, ""),
]


@pytest.mark.any_database
@each_row("operation, properties, ext, note", NOTES)
def test_what_is_ignored_is_noted(adapter, linked, operation, properties, ext, note):
    adapter.write(operation, properties={**own(linked), **properties}, ext=ext)
    kept = IncomingOperation.objects.get()
    assert kept.status == "Applied"
    assert (note in kept.note) if note else (kept.note == "")


@pytest.mark.any_database
def test_unknown_properties_are_refused_where_the_registration_says_so(acme, adapter, linked):
    acme.smax = {"unknown_properties": "refuse"}
    acme.save()
    answer = adapter.write("Update", 400, properties={**own(linked), "Nothing": 1, "Priority": "LowPriority"})
    assert answer["meta"]["errorDetails"]["message"] == "Nothing: A change has no such property."
    adapter.write("Reject", properties={**own(linked), "Solution": "y"}, ext=EMPTY)


# operation, what the change is then, comments, references
EFFECTS = [
    ("Assign", {"phase": "Plan"}, ["Change was assigned locally from external system"], 1),
    ("Reject", {"phase": "Plan"}, ["Change was rejected by the external fulfillment system"], 0),
    ("Cancel", {"phase": "Abandon", "completion_code": "Withdrawn"}, [], 1),
]


@each_row("operation, fields, comments, references", EFFECTS)
@each_row("name", ["Id", "ExternalId", "number"])
def test_the_operations(adapter, linked, operation, fields, comments, references, name):
    ext, properties = {}, {}
    if name == "ExternalId":
        ext = {"ExternalId": "C-1"}
    else:
        properties = {"Id": linked.pk if name == "number" else f"{linked.pk}"}
    adapter.write(operation, properties=properties, ext=ext)
    assert {key: getattr(stored(linked), key) for key in fields} == fields
    assert [comment.body for comment in Comment.objects.all()] == comments
    assert ExternalReference.objects.count() == references


def test_an_update_with_a_reference_alone_fills_it_and_nothing_else(adapter, given):
    given.history.all()
    before = stored(given).version
    answer = adapter.write("Update", properties=own(given), ext={"ExternalId": 1001, "ExternalStatus": "New"})
    assert answer["ext_properties"]["ExternalId"] == "1001"
    reference = ExternalReference.objects.get()
    assert (reference.external_id, reference.external_status) == ("1001", "New")
    assert stored(given).version == before
    adapter.write("Update", ext={"ExternalId": "1001", "ExternalStatus": "Done", "ExternalEntityType": "Task"})
    assert ExternalReference.objects.get().external_status == "Done"
    assert adapter.write("Update", 400, properties={}, ext={"ExternalStatus": "Done"})


def test_what_was_read_here_and_is_written_back_changes_nothing(adapter, acme, alice, given):
    given.description, given.actual_start = "One <two>  \r\n\r\n  three & four\n", timezone.now()
    given.save()
    acme.settable_fields = ["title"]
    acme.save()
    layout = "DisplayLabel,Description,ImplementationPlan,ActualStartTime,ScheduledStartTime,PhaseId,OwnedByGroup"
    properties = adapter.record(given, layout)
    adapter.write("Update", properties=properties)
    assert stored(given).version == given.version
    assert adapter.write("Update", 403, properties={**own(given), "Description": "Other"})["meta"]["errorDetails"]


@pytest.mark.any_database
def test_another_partner_can_write_nothing_of_it(other_adapter, linked, acme):
    for operation in ("Update", "Assign", "Reject", "Cancel"):
        other_adapter.write(operation, 404, properties=own(linked))
        other_adapter.write(operation, 404, ext={"ExternalId": "C-1"})
    other_adapter.post(f"collaboration/comments/Change/{linked.pk}", {"Body": "x"}, 404)
    assert stored(linked).version == linked.version
    assert not Comment.objects.exists()
