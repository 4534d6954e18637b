"""What may be registered of an adapter. Wrong values are named by their path, before anything uses them."""

import pytest
from django.core.exceptions import ValidationError

from integrations.models import ExternalSystem
from integrations.smax.registration import TRANSLATED, Registration, validate
from tests.rows import each_row

SOUND = [
    {},
    {"entity_types": ["Incident", "Request_2"]},
    {"unknown_properties": "refuse"},
    {"values": {}},
    {"values": {"PhaseId": {"Deploy": "Execute", "Validate": "CMDBUpdate"}, "Priority": {"Low": "P4"}}},
    # Spellings that stand for the same value anyway.
    {"values": {"RiskAssessment": {"Low": "NoRisk", "High": "High"}}},
    {"values": {"CompletionCode": {"Failed": "CompletionCodeFailed"}}},
]


@each_row("smax", SOUND)
def test_what_may_be_registered(smax):
    validate(smax)
    registration = Registration.of(ExternalSystem(smax=smax))
    for name, table in registration.read.items():
        assert [*table] == TRANSLATED[name].choices.values
        assert {registration.written[name][theirs]: theirs for theirs in table.values()} == table


# smax, what the messages begin with
FAULTS = [
    ([], ["smax: Give an object."]),
    ("x", ["smax: Give an object."]),
    ({"entity_type": ["Change"]}, ["entity_type: There is no such key here. Known: entity_types,"]),
    ({"entity_types": []}, ["entity_types: Give a list of 1 to 20 names."]),
    ({"entity_types": "Change"}, ["entity_types: Give a list"]),
    ({"entity_types": [f"Type{number}" for number in range(21)]}, ["entity_types: Give a list"]),
    ({"entity_types": ["Change", "a b", 7, "ä"]}, [f"entity_types.{place}: Give the name" for place in (1, 2, 3)]),
    ({"entity_types": ["Change", "Change"]}, ["entity_types.1: Change is given more than once."]),
    ({"entity_types": ["Person"]}, ["entity_types.0: Person stands for something else than changes."]),
    ({"values": []}, ["values: Give an object"]),
    ({"values": {"DisplayLabel": {}}}, ["values.DisplayLabel: The values of this property are not translated."]),
    ({"values": {"PhaseId": ["Log"]}}, ["values.PhaseId: Give an object"]),
    ({"values": {"PhaseId": {"Logged": "Log"}}}, ["values.PhaseId.Logged: We have no such value. Ours: Log,"]),
    (
        {"values": {"PhaseId": {"Log": 7, "Plan": "", "Review": " x"}}},
        ["values.PhaseId.Log: Give a text"] * 1
        + ["values.PhaseId.Plan: Give a text", "values.PhaseId.Review: Give a text"],
    ),
    ({"values": {"PhaseId": {"Log": "Plan"}}}, ["values.PhaseId.Log: Plan always stands for Plan."]),
    # What always stands for one value would stand for another, or two would change their spellings.
    (
        {"values": {"PhaseId": {"Deploy": "Execute", "Backout": "Deploy"}}},
        ["values.PhaseId.Backout: Deploy always stands for Deploy. Give another spelling."],
    ),
    (
        {"values": {"PhaseId": {"Deploy": "Validate", "Validate": "CMDBUpdate", "Log": "Execute"}}},
        ["values.PhaseId.Deploy: Validate always", "values.PhaseId.Log: Execute always stands for Deploy."],
    ),
    (
        {"values": {"CompletionCode": {"Failed": "CompletionCodeSuccessful"}, "Priority": {"Low": "HighPriority"}}},
        ["values.CompletionCode.Failed: CompletionCodeSuccessful always", "values.Priority.Low: HighPriority always"],
    ),
    ({"values": {"PhaseId": {"Log": "A", "Plan": "A"}}}, ["values.PhaseId: A would stand for both Log and Plan."]),
    ({"unknown_properties": "drop"}, ["unknown_properties: Give one of: ignore, refuse."]),
    ({"entity_types": 1, "values": 1, "unknown_properties": 1}, ["entity_types: ", "values: ", "unknown_properties: "]),
]


@each_row("smax, said", FAULTS)
def test_what_may_not_is_named_by_its_path(smax, said):
    with pytest.raises(ValidationError) as caught:
        validate(smax)
    messages = caught.value.messages
    assert len(messages) == len(said), messages
    for message, start in zip(messages, said, strict=True):
        assert message.startswith(start)
    for error, start in zip(caught.value.error_list, said, strict=True):
        assert start.startswith(error.params["path"])
