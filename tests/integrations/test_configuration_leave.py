"""What a partner may do, in the configuration file and in the administration."""

from io import StringIO

import pytest
import yaml
from django.core.management import CommandError, call_command

from integrations.leave import FIELDS, TARGETS
from integrations.models import ExternalSystem
from tests.factories import ExternalSystemFactory
from tests.html_forms import errors, post_form, read_form
from tests.pages import text, web
from tests.rows import each_row

KEYS = ("change_types", "settable_fields", "transitions", "relays_for")
# What the file says; what is kept; what is told.
LOADED = [
    ("change_types: [Standard, Normal]", ["Normal", "Standard"], "Normal, Standard, was Normal, Emergency"),
    ("change_types: []", [], "none, was Normal, Emergency"),
    ("settable_fields: [description, title, title]", ["title", "description"], "title, description, was all"),
    ("settable_fields: []", [], "none, was all"),
    ("transitions: [Validate, Deploy]", ["Deploy", "Validate"], "Deploy, Validate, was all"),
    ("relays_for: [BRAVO, FAR.1]", ["BRAVO", "FAR.1"], "BRAVO, FAR.1, was none"),
]
ENTRY = "external_systems: [{{system_id: ACME, {}}}]"


@pytest.fixture
def load(acme, tmp_path):
    def load(text):
        file, output = tmp_path / "exchange.yaml", StringIO()
        file.write_text(text)
        call_command("load_exchange", str(file), stdout=output)
        return output.getvalue().splitlines()

    return load


def dumped():
    output = StringIO()
    call_command("dump_exchange", stdout=output)
    return output.getvalue()


def test_a_system_has_the_usual_leave_unless_the_file_says_otherwise(load):
    load("external_systems: [{system_id: NEW, authorized_user: new-integration, endpoint_url: 'http://127.0.0.1:9/'}]")
    new = ExternalSystem.objects.get(system_id="NEW")
    assert [getattr(new, key) for key in KEYS] == [["Normal", "Emergency"], None, None, []]
    (entry,) = [entry for entry in yaml.safe_load(dumped())["external_systems"] if entry["system_id"] == "NEW"]
    assert [entry[key] for key in KEYS] == [["Normal", "Emergency"], None, None, []]


@each_row(("said", "kept", "told"), LOADED)
def test_leave_is_loaded_told_and_dumped(load, said, kept, told):
    key = said.partition(":")[0]
    assert load(ENTRY.format(said)) == [f"external system ACME: {key} is now {told}"]
    assert getattr(ExternalSystem.objects.get(), key) == kept
    assert load(ENTRY.format(said)) == ["nothing to change"]
    text = dumped()
    assert yaml.safe_load(text)["external_systems"][0][key] == kept
    assert load(text) == ["nothing to change"]


def test_null_allows_all_again(load):
    load(ENTRY.format("settable_fields: [title], transitions: []"))
    assert load(ENTRY.format("settable_fields: null, transitions: null")) == [
        "external system ACME: settable_fields is now all, was title",
        "external system ACME: transitions is now all, was none",
    ]


@each_row(
    ("said", "message"),
    [
        ("change_types: [Pre]", "external_systems[0].change_types[0]: Give one of: Normal, Standard, Emergency."),
        ("change_types: null", "external_systems[0].change_types: This field may not be null."),
        ("change_types: Normal", 'external_systems[0].change_types: Expected a list of items but got type "str".'),
        ("settable_fields: [title, phase]", "external_systems[0].settable_fields[1]: Give one of: title, description,"),
        ("settable_fields: [priority]", "external_systems[0].settable_fields[0]: Give one of: title, description,"),
        ("transitions: [Done]", "external_systems[0].transitions[0]: Give one of: Log, Evaluate, Plan,"),
        ("relays_for: ['a b']", "external_systems[0].relays_for[0]: Use letters, digits, dots,"),
        ("relays_for: BRAVO", "external_systems[0].relays_for: Expected a list of items"),
    ],
)
def test_an_unknown_value_is_an_error_that_lists_the_known(load, said, message):
    with pytest.raises(CommandError) as refusal:
        load(ENTRY.format(said))
    assert message in str(refusal.value)
    system = ExternalSystem.objects.get()
    assert [getattr(system, key) for key in KEYS] == [["Normal", "Emergency"], None, None, []]


# --- In the administration ---


def page_of(system):
    return f"/admin/integrations/externalsystem/{system.pk}/change/"


def test_the_form_shows_labels_and_all_that_a_new_system_may_do(ingrid):
    page = web(ingrid).get("/admin/integrations/externalsystem/add/")
    fields = read_form(page, "system_id")["fields"]
    assert (fields["change_types"], fields["settable_fields"]) == (["Normal", "Emergency"], FIELDS)
    assert (fields["transitions"], fields["relays_for"]) == (TARGETS, [""])
    said = text(page)
    assert "Implementation plan" in said
    assert "Approve plan" in said
    assert "A Standard change is approved beforehand." in said


@each_row(
    ("typed", "kept"),
    [
        ({"change_types": ["Normal", "Standard"]}, {"change_types": ["Normal", "Standard"]}),
        ({"settable_fields": ["title", "description"]}, {"settable_fields": ["title", "description"]}),
        ({"transitions": ["Deploy"]}, {"transitions": ["Deploy"]}),
        ({"relays_for": " BRAVO FAR.1,BRAVO"}, {"relays_for": ["BRAVO", "FAR.1"]}),
        ({"change_types": None, "settable_fields": None, "transitions": None}, {key: [] for key in KEYS[:3]}),
        ({"description": "New"}, {}),
    ],
)
def test_leave_is_set_in_the_administration(ingrid, acme, typed, kept):
    assert post_form(web(ingrid), page_of(acme), **typed).status_code == 302
    usual = {"change_types": ["Normal", "Emergency"], "settable_fields": None, "transitions": None, "relays_for": []}
    acme.refresh_from_db()
    assert {key: getattr(acme, key) for key in KEYS} == usual | kept
    # All boxes ticked again mean all, whatever a later release adds.
    everything = {"settable_fields": FIELDS, "transitions": TARGETS}
    assert post_form(web(ingrid), page_of(acme), **everything).status_code == 302
    acme.refresh_from_db()
    assert (acme.settable_fields, acme.transitions) == (None, None)


@each_row(
    ("typed", "field"),
    [
        ({"change_types": ["Pre"]}, "change_types"),
        ({"settable_fields": ["phase"]}, "settable_fields"),
        ({"transitions": ["Done"]}, "transitions"),
        ({"relays_for": "BRAVO, §"}, "relays_for"),
    ],
)
def test_an_unknown_value_is_an_error_at_its_field(ingrid, acme, typed, field):
    response = post_form(web(ingrid), page_of(acme), **typed, description="New")
    assert [*errors(response)] == [field]
    acme.refresh_from_db()
    assert acme.description != "New"


def test_who_only_looks_reads_the_leave_in_words(audrey):
    acme = ExternalSystemFactory(system_id="ACME", settable_fields=["risk"], transitions=[], relays_for=["FAR"])
    said = text(web(audrey).get(page_of(acme)))
    for words in ("Types of changes: Normal, Emergency", "Fields: Risk", "Transitions: None", "Relays for: FAR"):
        assert words in said
    acme = ExternalSystemFactory(system_id="BETA")
    assert "Fields: All Transitions: All" in text(web(audrey).get(page_of(acme)))
