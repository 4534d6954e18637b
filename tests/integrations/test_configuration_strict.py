"""`load_exchange` accepts values of the right type as the API does, and refuses values that only look like them."""

import json
import re
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from changes.models import SupportGroup
from integrations.models import ExternalSystem
from tests.rows import each_row

pytestmark = pytest.mark.django_db

TEXT, SWITCH, NUMBER = "Give a text, as a JSON string.", "Give true or false.", "Give a whole number."
NULL, BLANK = "This field may not be null.", "This field may not be blank."
UNSEEN = "Invisible characters (U+200B) are not allowed: remove them."
EDGES = "White space at the beginning or the end is not allowed: remove it."
SYSTEM = {"system_id": "ACME", "authorized_user": "acme-user", "endpoint_url": "http://127.0.0.1:9/x"}

# By the path of a field: values that are refused, each with its error.
REFUSED = {
    "external_systems[0].system_id": [(12, TEXT), (True, TEXT), (None, NULL), ("", BLANK), (" ACME", EDGES)],
    "external_systems[0].description": [(1.5, TEXT), (["x"], TEXT), (None, NULL), ("a\0b", "A NUL character")],
    "external_systems[0].authorized_user": [(7, TEXT), ("", BLANK), ("a\u200bb", UNSEEN)],
    "external_systems[0].delivery": [
        ("Push", "Give one of: push, pull, smax, mapped."),
        (True, "Give one of: push, pull, smax, mapped."),
    ],
    "external_systems[0].endpoint_url": [(80, TEXT), ("ftp://x/", "Write a URL that begins"), (None, NULL)],
    "external_systems[0].signing_secret": [(12345, TEXT), ("hush", "Write the secret as whsec_")],
    "external_systems[0].max_in_flight": [("4", NUMBER), (4.0, NUMBER), (True, NUMBER), (None, NULL), (0, "Ensure")],
    "external_systems[0].rate_limit": [("90", NUMBER), (False, NUMBER), ([90], NUMBER), (0, "Ensure")],
    "external_systems[0].enabled": [("yes", SWITCH), ("true", SWITCH), (1, SWITCH), (0, SWITCH), (None, NULL)],
    "external_systems[0].sends_markdown": [("no", SWITCH), (1, SWITCH)],
    "external_systems[0].password": [(12345678901234, TEXT), (None, NULL), ("", BLANK)],
    "external_systems[0].smax": [(None, NULL), ("Change", "Give an object."), ([], "Give an object.")],
    "external_systems[0].smax.entity_types": [
        ({"entity_types": "Change"}, "Give a list of 1 to 20 names."),
        ({"entity_types": []}, "Give a list of 1 to 20 names."),
    ],
    "external_systems[0].smax.entity_types[1]": [
        ({"entity_types": ["Change", "a b"]}, "Give the name of an entity type"),
        ({"entity_types": ["Change", "Change"]}, "Change is given more than once."),
    ],
    "external_systems[0].smax.unknown_properties": [
        ({"unknown_properties": "keep"}, "Give one of: ignore, refuse."),
        ({"unknown_properties": None}, "Give one of: ignore, refuse."),
    ],
    "external_systems[0].smax.values.Phase": [({"values": {"Phase": {}}}, "The values of this property are not")],
    "external_systems[0].smax.values.PhaseId": [({"values": {"PhaseId": "Deploy"}}, "Give an object that maps")],
    "external_systems[0].smax.values.PhaseId.Deplo": [
        ({"values": {"PhaseId": {"Deplo": "Execute"}}}, "We have no such value. Ours: Log, Evaluate, "),
    ],
    "external_systems[0].smax.values.PhaseId.Deploy": [({"values": {"PhaseId": {"Deploy": 7}}}, "Give a text of 1")],
    "external_systems[0].smax.valuse": [({"valuse": {}}, "There is no such key here.")],
    "external_systems[0].passwort": [("x", "There is no such field here. Known: system_id, description, ")],
    "groups[0].name": [
        (12, TEXT),
        (None, NULL),
        ("\u200b", BLANK),
        ("x" * 201, "Ensure this field has no more than 200 characters"),
    ],
    "groups[0].members": [("alice", "Expected a list of items"), (None, NULL)],
    "groups[0].members[1]": [(["alice", 5], TEXT), (["alice", ""], BLANK), (["alice", "a\u200bb"], UNSEEN)],
    "groups[0].external_system": [(5, TEXT), ("", BLANK), ("AC\u200bME", UNSEEN)],
    "users[0].username": [
        (5, TEXT),
        (" ", BLANK),
        ("a\u200bb", UNSEEN),
        ("x" * 151, "Ensure this field has no more than 150 characters"),
    ],
    "users[0].roles": [("Auditor", "Expected a list of items"), ({"Auditor": True}, "Expected a list of items")],
    "users[0].roles[0]": [(["auditor"], "Give one of: Service desk agent, "), ([None], NULL)],
}
ENTRIES = {"external_systems": SYSTEM, "groups": {"name": "Network"}, "users": {"username": "alice"}}


@pytest.fixture
def load(tmp_path):
    def load(text):
        file = tmp_path / "exchange.yaml"
        file.write_text(text if isinstance(text, str) else json.dumps(text))  # JSON is YAML too
        output = StringIO()
        call_command("load_exchange", str(file), stdout=output)
        return output.getvalue()

    return load


def refusal(load, text):
    with pytest.raises(CommandError) as refused:
        load(text)
    assert not (get_user_model().objects.exists() or SupportGroup.objects.exists() or ExternalSystem.objects.exists())
    return str(refused.value)


@each_row("path", REFUSED)
def test_what_merely_resembles_a_value_is_refused_with_its_place_and_changes_nothing(load, path):
    section, field = path.split("[0].")
    for value, said in REFUSED[path]:
        entry = {**ENTRIES[section], re.split(r"[.\[]", field)[0]: value}
        before = {name: [one] for name, one in ENTRIES.items() if name != section}
        assert f"exchange.yaml: {path}: {said}" in refusal(load, {**before, section: [entry]}), value


def test_all_that_is_wrong_is_said_at_once(load):
    said = refusal(
        load,
        {
            "external_systems": [SYSTEM, {"system_id": "BETA", "enabled": "yes", "rate_limit": "5"}],
            "groups": [{"name": 1}, {"members": []}],
            "partners": [],
        },
    )
    assert said.splitlines()[0].endswith(
        "partners: There is no such field here. Known: external_systems, groups, users."
    )
    assert said.splitlines()[1:] == [
        "external_systems[1].rate_limit: Give a whole number.",
        "external_systems[1].enabled: Give true or false.",
        "groups[0].name: Give a text, as a JSON string.",
        "groups[1].name: This field is required.",
        "Nothing was changed.",
    ]


# YAML 1.1 reads these as other types. Here, a value that is not JSON is a text.
@each_row("written", ["yes", "on", "No", "1:30", "2026-01-01", "0x1F", "012", "1_000"])
def test_what_only_old_yaml_takes_for_a_switch_a_number_or_a_date_is_a_text(load, written):
    assert "external_systems[0].enabled: Give true or false." in refusal(
        load, f"external_systems: [{{system_id: ACME, enabled: {written}, max_in_flight: {written}}}]"
    )
    load(f"groups: [{{name: {written}}}]")
    assert SupportGroup.objects.get().name == written


def test_what_is_missing_in_the_environment_is_said_with_its_place(load):
    said = refusal(load, "external_systems: [{signing_secret: '${NO_SUCH}'}, {signing_secret: 'x${NOR_THIS}'}]")
    assert (
        "external_systems[0].signing_secret: The environment variable NO_SUCH is not set.\n"
        "external_systems[1].signing_secret: The environment variable NOR_THIS is not set."
    ) in said
