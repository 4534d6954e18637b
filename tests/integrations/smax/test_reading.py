"""Reading records: the table of properties, layouts, filters, order and pages, and what another partner sees."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model

from changes.choices import Visibility
from changes.models import Change, Comment, SupportGroup
from integrations.models import ExternalReference
from tests.factories import ChangeFactory, ExternalSystemFactory
from tests.rows import each_row

START = datetime(2026, 1, 10, 8, 0, tzinfo=UTC)
MS = 1768032000000  # START


@pytest.fixture
def world(acme, alice):
    """Three changes that ACME reaches, A, B and C in this order, and one that it does not."""
    group = acme.external_groups.all()[0].group
    made = [
        ChangeFactory(
            title=title,
            owning_group=group,
            requested_by=alice,
            description="One <two>\nthree & four",
            planned_start=START + timedelta(days=place),
            planned_end=START + timedelta(days=place, hours=1),
            risk=["Low", "Medium", "High"][place],
            urgency="SevereDisruption",
            service="Mail",
        )
        for place, title in enumerate(["A'1", "B", "C"])
    ]
    ChangeFactory(title="Not theirs")
    ExternalReference(change=made[0], system=acme, external_id="C-1", external_status="Open").save()
    return made


def ids():
    return {
        "{group}": str(SupportGroup.objects.get(name="ACME Networks").pk),
        "{alice}": str(get_user_model().objects.get(username="alice").pk),
    }


# property, how it reads
READ = [
    ("DisplayLabel", "A'1"),
    ("Description", "One &lt;two&gt;<br>three &amp; four"),
    ("Justification", "No spare parts"),
    ("ReasonForChange", "End of support"),
    ("ImplementationPlan", "Swap it at night."),
    ("BackoutPlan", "Put the old one back."),
    ("Category", "Network"),
    ("AffectsActualService", "Mail"),
    ("RegisteredForActualService", "Mail"),
    ("AffectsActualService.DisplayLabel", {"AffectsActualService": {"DisplayLabel": "Mail"}}),
    ("ChangeWorkflowType", "NormalChange"),
    ("ChangeType", "NormalChange"),
    ("PhaseId", "Log"),
    ("CompletionCode", None),
    ("RiskAssessment", "LowRisk"),
    ("ImpactScope", "SingleUser"),
    ("Urgency", "SevereDisruption"),
    ("Priority", "MediumPriority"),
    ("OwnedByGroup", "{group}"),
    ("OwnedByGroup.Name", {"OwnedByGroup": {"Name": "ACME Networks"}}),
    ("RequestedByPerson", "{alice}"),
    ("RequestedByPerson.Name", {"RequestedByPerson": {"Name": "alice"}}),
    ("OwnedByPerson", None),
    ("OwnedByPerson.Name", {"OwnedByPerson": {"Name": None}}),
    ("ScheduledStartTime", MS),
    ("ScheduledEndTime", MS + 3_600_000),
    ("ActualStartTime", None),
    ("ChangeAttachments", '{"complexTypeProperties":[]}'),
]


@pytest.mark.any_database
@each_row("name, value", READ)
def test_how_a_property_reads(adapter, world, name, value):
    [entity] = adapter.get(f"ems/Change/{world[0].pk}", layout=name)["entities"]
    assert entity["entity_type"] == "Change"
    assert entity["properties"]["Id"] == str(world[0].pk)
    if "." in name:
        assert entity["related_properties"] == value
    else:
        assert entity["properties"][name] == (ids().get(value, value) if isinstance(value, str) else value)
        assert {*entity["properties"]} == {"Id", "LastUpdateTime", name}


# layout, names
LAYOUTS = [
    ("", 26),
    ("FULL_LAYOUT", 26),
    ("Id", 2),
    ("Id,Nothing,DisplayLabel.Name,PhaseId", 3),
    (" Id , PhaseId ,PhaseId,", 3),
]


@pytest.mark.any_database
@each_row("layout, count", LAYOUTS)
def test_a_layout_leaves_out_what_we_do_not_have(adapter, world, layout, count):
    [entity] = adapter.get(f"ems/Change/{world[0].pk}", layout=layout)["entities"]
    assert len(entity["properties"]) == count


# filter, the titles that it finds by their first letters
FILTERS = [
    ("", "ABC"),
    ("Id='{A}'", "A"),
    ("Id = {A}", "A"),
    ("Id!='{A}'", "BC"),
    ("Id > '{A}' and Id <= '{B}'", "B"),
    ("Id in ('{A}','{C}')", "AC"),
    ("Id btw ({A}, {B})", "AB"),
    ("Id in ('999999999999')", ""),
    ("(Id='{A}' or Id='{B}') and Id!='{B}'", "A"),
    ("Id='{A}' or Id='{B}' and Id='{C}'", "A"),
    ("((Id='{C}'))", "C"),
    ("DisplayLabel='A''1'", "A"),
    ("DisplayLabel startswith ('a')", "A"),
    ("DisplayLabel STARTSWITH ('B') OR DisplayLabel='C'", "BC"),
    ("DisplayLabel in ('B','D')", "B"),
    ("DisplayLabel btw ('B','C')", "BC"),
    ("PhaseId='Log'", "ABC"),
    ("PhaseId='Execute'", ""),
    ("PhaseId!='Plan'", "ABC"),
    ("PhaseId in ('Plan','Log')", "ABC"),
    ("RiskAssessment='MediumRisk'", "B"),
    ("RiskAssessment='HighRisk'", "C"),
    ("Priority='MediumPriority'", "ABC"),
    ("CompletionCode!='Withdrawn'", "ABC"),
    ("ScheduledStartTime=1768032000000", "A"),
    ("ScheduledStartTime>1768032000000", "BC"),
    ("ScheduledStartTime>=1768032000000", "ABC"),
    ("ScheduledStartTime<'1768118400000'", "A"),
    ("ScheduledStartTime<=1768118400000", "AB"),
    ("ScheduledStartTime btw (1768032000000,1768118400000)", "AB"),
    ("ScheduledStartTime in (1768032000000,1)", "A"),
    ("ScheduledStartTime!=1768032000000", "BC"),
    ("LastUpdateTime > 0", "ABC"),
    ("OwnedByGroup='{group}'", "ABC"),
    ("OwnedByGroup.Name='ACME Networks'", "ABC"),
    ("RequestedByPerson='{alice}' and RequestedByPerson.Name startswith ('ali')", "ABC"),
    ("OwnedByPerson='1'", ""),
    ("OwnedByPerson!='1' or Id='{A}'", "ABC"),
    ("AffectsActualService='Mail'", "ABC"),
]


def filled(text, world):
    values = {"{A}": str(world[0].pk), "{B}": str(world[1].pk), "{C}": str(world[2].pk), **ids()}
    for name, value in values.items():
        text = text.replace(name, value)
    return text


@each_row("query, titles", FILTERS)
def test_what_a_filter_finds(adapter, world, query, titles):
    answer = adapter.get("ems/Change", layout="DisplayLabel", filter=filled(query, world), meta="totalCount")
    assert "".join(each["properties"]["DisplayLabel"][0] for each in answer["entities"]) == titles
    assert answer["meta"]["completion_status"] == "OK"
    assert answer["meta"]["total_count"] == len(titles)
    assert answer["meta"]["query_time"] >= 0


# parameter, text, what the error names
BAD = [
    ("filter", "Nothing='1'", "There is no property Nothing"),
    ("filter", "DisplayLabel.Name='1'", "There is no property DisplayLabel.Name"),
    ("filter", "Id", "Expected an operator"),
    ("filter", "Id=", "Expected a number, or a text in single quotes"),
    ("filter", "Id='1", "cannot be read from character 4"),
    ("filter", 'Id="1"', "cannot be read from character 4"),
    ("filter", "Id='1' and", "Expected the name of a property"),
    ("filter", "Id='1' Id='2'", "Expected and, or"),
    ("filter", "(Id='1'", "Expected )"),
    ("filter", "Id='1')", "Expected and, or"),
    ("filter", "Id in '1'", "Expected ("),
    ("filter", "Id in ()", "Expected a number"),
    ("filter", "Id btw ('1')", "btw takes 2 values"),
    ("filter", "DisplayLabel startswith ('a','b')", "startswith takes 1 values"),
    ("filter", "Id startswith ('1')", "Only a text"),
    ("filter", "Id like '1'", "Expected an operator"),
    ("filter", "Id='x'", "Give the id of a change"),
    ("filter", "not Id='1'", "There is no property not"),
    ("filter", "PhaseId='Nowhere'", "Give one of: Log, Evaluate"),
    ("filter", "PhaseId>'Log'", "cannot be compared by >"),
    ("filter", "ScheduledStartTime>'today'", "milliseconds"),
    ("filter", "ScheduledStartTime>99999999999999999999", "no such time"),
    ("filter", "DisplayLabel='\x00'", "NUL"),
    ("filter", "(" * 60 + "Id='1'" + ")" * 60, "parentheses"),
    ("filter", " or ".join(["Id='1'"] * 201), "terms"),
    ("filter", "DisplayLabel='" + "x" * 8000 + "'", "characters"),
    ("order", "Nothing", "There is no property Nothing"),
    ("order", "Id up", "asc or desc"),
    ("order", "Id asc desc", "asc or desc"),
    ("size", "many", "whole number"),
    ("size", "-1", "whole number"),
    ("skip", "1.5", "whole number"),
    ("skip", "9" * 30, "whole number"),
]


@each_row("parameter, text, said", BAD)
def test_what_cannot_be_read_is_a_clear_error(adapter, world, parameter, text, said):
    answer = adapter.get("ems/Change", 400, **{parameter: text})
    assert answer["entities"] == []
    assert said in answer["meta"]["errorDetails"]["message"]
    assert answer["meta"]["errorDetails"]["message"].startswith(f"{parameter}: ")


# query, titles, total
PAGES = [
    ({"order": "DisplayLabel desc"}, "CBA", 3),
    ({"order": "RiskAssessment asc,Id desc"}, "CAB", 3),  # by our values: High, Low, Medium
    ({"order": "OwnedByPerson, Id DESC"}, "ABC", 3),
    ({"skip": 1}, "BC", 3),
    ({"size": 2}, "AB", 3),
    ({"skip": 1, "size": 1, "order": "Id desc"}, "B", 3),
    ({"skip": 5}, "", 3),
    ({"size": 0}, "", 3),
    ({"size": 100000}, "ABC", 3),
    ({"filter": "Id>0", "size": 1}, "A", 3),
    ({"unknown": "x", "meta": "TotalCount,Count"}, "ABC", 3),
]


@each_row("query, titles, total", PAGES)
def test_order_and_pages(adapter, world, query, titles, total):
    answer = adapter.get("ems/Change/", layout="DisplayLabel", **query)
    assert "".join(each["properties"]["DisplayLabel"][0] for each in answer["entities"]) == titles
    assert answer["meta"]["total_count"] == total


# path, status, how many entities
OTHERS = [
    ("ems/PersonGroup", 200, 2),
    ("ems/PersonGroup/?filters=(Name='x')", 200, 2),
    ("ems/PersonGroup?layout=Id,Name&filter=Name='ACME Networks'", 200, 1),
    ("ems/PersonGroup?filter=Name startswith ('NET')", 200, 1),
    ("ems/PersonGroup?filter=Phone='1'", 400, 0),
    ("ems/PersonGroup?order=Name desc&size=1", 200, 1),
    ("ems/PersonGroup/{group}?layout=Name", 200, 1),
    ("ems/PersonGroup/999999", 404, 0),
    ("ems/PersonGroup/x", 404, 0),
    ("ems/Person?layout=Id,Name,Upn", 200, 1),
    ("ems/Person/{alice}", 200, 1),
    ("ems/Person?filter=Id='{alice}'", 200, 1),
    ("ems/Location?layout=Id", 200, 0),
    ("ems/ActualService?filter=Nothing", 200, 0),
    ("ems/ITProcessRecordCategory/", 200, 0),
    ("ems/Location/7", 404, 0),
    ("ems/ExternalReference", 200, 1),
    ("ems/ExternalReference?filter=EntityId='{A}' and ExternalSystem.SystemId='ACME'", 200, 1),
    ("ems/ExternalReference?filter=EntityId='{B}' and ExternalSystem.SystemId='ACME'", 200, 0),
    ("ems/ExternalReference?filter=EntityType='Change' and ExternalId='C-1'", 200, 1),
    ("ems/ExternalReference?filter=EntityType='Incident'", 200, 0),
    ("ems/ExternalReference?filter=EntityType!='Incident'&order=EntityId desc", 200, 1),
    ("ems/ExternalReference?filter=EntityType>'Incident'", 400, 0),
    ("ems/Incident", 404, 0),
    ("ems/Change/{A}/", 200, 1),
    ("ems/Change/CHG000000{A}", 200, 1),
    ("ems/Change/999999", 404, 0),
    ("ems/Change/x", 404, 0),
    ("ems/Change/99999999999999999999999999", 404, 0),
    ("ems/Incident/{A}", 404, 0),
    ("ems/Change/{A}/more", 404, 0),
]


@pytest.mark.any_database
@each_row("path, status, count", OTHERS)
def test_what_else_is_read(adapter, world, path, status, count):
    answer = adapter.get(filled(path, world), status)
    assert len(answer["entities"]) == count
    assert answer["meta"]["total_count"] == (2 if "size=1" in path else count)
    details = answer["meta"]["errorDetails"]
    assert (details and details["httpStatus"]) == (status if status != 200 else None)


def test_a_reference_reads_what_the_partner_said(adapter, world):
    [entity] = adapter.get("ems/ExternalReference", layout="ExternalId,ExternalStatus,ExternalSystem.SystemId")[
        "entities"
    ]
    properties = entity["properties"]
    assert {name: properties[name] for name in ("ExternalId", "ExternalStatus")} == {
        "ExternalId": "C-1",
        "ExternalStatus": "Open",
    }
    assert entity["related_properties"] == {"ExternalSystem": {"SystemId": "ACME"}}


@pytest.mark.any_database
def test_the_names_and_spellings_of_a_registration(acme, adapter, world):
    acme.smax = {
        "entity_types": ["Incident", "Request"],
        "values": {"PhaseId": {"Log": "Logged"}, "RiskAssessment": {"Low": "Little"}},
    }
    acme.save()
    for name in acme.smax["entity_types"]:
        answer = adapter.get(f"ems/{name}", layout="PhaseId,RiskAssessment", filter="PhaseId='Logged'")
        assert answer["meta"]["total_count"] == 3
        assert answer["entities"][0]["entity_type"] == name
        properties = answer["entities"][0]["properties"]
        assert (properties["PhaseId"], properties["RiskAssessment"]) == ("Logged", "Little")
        [whole] = adapter.get(f"ems/{name}/{world[0].pk}")["entities"]
        assert f"{name}Attachments" in whole["properties"]
    assert "of the type Incident, Request" in adapter.get("ems/Change", 404)["meta"]["errorDetails"]["message"]
    # Our defaults are still taken.
    assert adapter.get("ems/Request", filter="PhaseId='Log' and RiskAssessment='NoRisk'")["meta"]["total_count"] == 1


def test_another_partner_sees_nothing_of_it(adapter, other_adapter, world, alice):
    key = world[0].pk
    comment = Comment(change=world[0], author=alice, body="Ours", visibility=Visibility.PRIVATE)
    comment.save()
    assert adapter.get(f"collaboration/comments/Change/{key}") == []
    for path, status in (
        (f"ems/Change/{key}", 404),
        (f"collaboration/comments/Change/{key}", 404),
        (f"collaboration/comments/Change/{key}/comments", 404),
        ("ces?system=ACME&time=0", 403),
    ):
        assert other_adapter.get(path, status)["meta"]["completion_status"] == "FAILED"
    for path in ("ems/Change", "ems/ExternalReference", "ems/Person"):
        assert other_adapter.get(path)["meta"]["total_count"] == 0
    assert other_adapter.feed() == []
    assert Change.objects.count() == 4


def test_an_account_of_two_systems_reads_for_both(acme, adapter, world):
    second = ExternalSystemFactory(system_id="SECOND", delivery="smax", authorized_user=acme.authorized_user)
    ExternalReference(change=Change.objects.get(title="Not theirs"), system=second, external_id="S-1").save()
    assert adapter.get("ems/Change")["meta"]["total_count"] == 4
    second.enabled = False
    second.save()
    assert adapter.get("ems/Change")["meta"]["total_count"] == 3
    message = adapter.get("ces?system=SECOND&time=0", 403)["meta"]["errorDetails"]["message"]
    assert "disabled" in message


# query, status
FEEDS = [
    ({"system": "ACME", "time": 0}, 200),
    ({"system": "ACME", "time": 1764000000000, "type": "Change"}, 200),
    ({"system": "ACME"}, 200),
    ({"time": 0}, 400),
    ({"system": "OTHER", "time": 0}, 403),
    ({"system": "acme", "time": 0}, 403),
    ({"system": "ACME", "time": "yesterday"}, 400),
    ({"system": "ACME", "time": "9" * 17}, 400),
    ({"system": "ACME", "time": 0, "type": "Incident"}, 400),
    ({"system": "ACME", "time": 0, "size": "x"}, 400),
    ({"system": "ACME\x00", "time": 0}, 400),
]


def test_a_poll_without_an_answer_hands_nothing_out(adapter, given):
    assert adapter.client.head("/rest/default/ces", {"system": "ACME", "time": 0}).status_code == 405
    assert given.outgoing_operations.get().handed_out_at is None
    adapter.feed()
    assert given.outgoing_operations.get().handed_out_at is not None


@each_row("query, status", FEEDS)
def test_what_a_poll_asks_for(adapter, query, status):
    answer = adapter.call("get", "ces", status, data=query)
    assert answer["meta"]["completion_status"] == ("OK" if status == 200 else "FAILED")


def test_the_feed_has_one_element_for_each_operation_and_says_when_it_was_asked(adapter, given, alice):
    for number in range(3):
        Comment(change=given, author=alice, body=f"Comment {number}").save()
    before = datetime.now(UTC).replace(microsecond=0)
    adapter.sign_in()
    raw = adapter.client.get("/rest/default/ces", {"system": "ACME", "time": 0, "layout": "Id"})
    asked = datetime.strptime(raw["Date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert before <= asked <= datetime.now(UTC)
    entities = raw.json()["entities"]
    assert [each["ext_properties"]["Operation"] for each in entities] == ["Assign", "Update", "Update", "Update"]
    assert {each["properties"]["Id"] for each in entities} == {str(given.pk)}
    assert raw.json()["meta"]["total_count"] == 4
    page = adapter.get("ces", system="ACME", time=0, skip=1, size=2)
    assert (len(page["entities"]), page["meta"]["total_count"]) == (2, 4)
