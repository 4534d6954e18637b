"""Many entities in one call, by `POST ces` and in bulk, and entities that are sent again."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from changes import rate_limits
from changes.choices import Visibility
from changes.models import Change, Comment, RateCounter, SupportGroup
from integrations.models import ExternalReference, IncomingOperation
from tests.factories import SupportGroupFactory, change_in
from tests.rows import each_row

from .conftest import own, stored


def test_the_same_entity_twice_in_a_row_is_answered_with_the_first_result(adapter, linked):
    first = adapter.write("Update", layout="DisplayLabel", properties={**own(linked), "DisplayLabel": "A"})
    again = adapter.write("Update", layout="DisplayLabel", properties={**own(linked), "DisplayLabel": "A"})
    assert again == first
    adapter.write("Update", properties={**own(linked), "DisplayLabel": "B"})
    # After another one of its own, the change is made the same again.
    adapter.write("Update", properties={**own(linked), "DisplayLabel": "A"})
    assert stored(linked).title == "A"
    assert IncomingOperation.objects.count() == 3


def edited(change, **fields):
    """Our desk's edit."""
    change = stored(change)
    for name, value in fields.items():
        setattr(change, name, value)
    change.save()


def moved(change, phase):
    change = stored(change)
    change.move_to(phase)
    change.save()


def given_again(change):
    """Our desk takes the change back, and gives it once more."""
    group = change.owning_group
    edited(change, owning_group=SupportGroupFactory(name="Locals"))
    edited(change, owning_group=group)


def said(change, **fields):
    Comment(change=change, author=change.requested_by, body="Ours", **fields).save()


def hours_pass(change):
    IncomingOperation.objects.update(received_at=timezone.now() - timedelta(minutes=61))


# operation, properties, comments, what happens before it is sent again, whether that is a new one, what it does
AGAIN = [
    ("Update", {"Justification": "A"}, [], lambda change: None, False),
    ("Update", {"Justification": "A"}, [], partial(said, visibility=Visibility.PRIVATE), False),
    ("Update", {"Justification": "A"}, [], partial(edited, justification="B"), True),
    ("Update", {"Justification": "A"}, [], partial(edited, title="Elsewhere"), True),
    ("Update", {"PhaseId": "ApprovePlan"}, [], partial(moved, phase="Plan"), True),
    ("Update", {}, ["Any news?"], said, True),
    ("Update", {}, ["Any news?"], hours_pass, True),
    ("Update", {}, ["Any news?"], lambda change: None, False),
    ("Assign", {}, [], lambda change: None, False),
    ("Assign", {}, [], given_again, True),
    ("Reject", {}, [], lambda change: None, False),
    ("Reject", {}, [], given_again, True),
]


@each_row("operation, properties, comments, between, is_new", AGAIN)
def test_the_same_entity_again(adapter, linked, operation, properties, comments, between, is_new):
    sent = {"properties": {**own(linked), **properties}, "Comments": [{"Body": body} for body in comments]}
    adapter.feed()
    first = adapter.write(operation, **sent)
    count = Comment.objects.filter(source_system="ACME").count()
    between(linked)
    adapter.feed()
    again = adapter.write(operation, layout="Justification,PhaseId", **sent)
    assert IncomingOperation.objects.count() == 1 + is_new
    assert Comment.objects.filter(source_system="ACME").count() == count * (1 + is_new)
    read = adapter.record(linked, "Justification,PhaseId")
    assert {name: read[name] for name in properties} == properties
    assert {name: again["entity"]["properties"][name] for name in properties} == properties
    assert again["ext_properties"] == first["ext_properties"]
    if operation == "Reject":
        assert adapter.feed() == []


# The entities of a call that is sent twice as a whole: operation, properties, comments, ext. Then the change's title
TWICE = [
    ([("Update", {}, ["one"], {}), ("Update", {}, ["two"], {})], "Given"),
    ([("Update", {"DisplayLabel": "A"}, ["one"], {}), ("Update", {"DisplayLabel": "B"}, ["two"], {})], "B"),
    ([("Assign", {}, [], {"ExternalStatus": "x"}), ("Update", {}, ["one"], {"ExternalStatus": "y"})], "Given"),
    ([("Update", {}, ["Why"], {}), ("Reject", {}, [], {})], "Given"),
]


@each_row("entities, title", TWICE)
def test_a_call_that_is_sent_twice_adds_no_comment_twice(adapter, linked, entities, title):
    edited(linked, title="Given")
    listed = [
        adapter.entity(
            operation, ext, properties={**own(linked), **properties}, Comments=[{"Body": body} for body in bodies]
        )
        for operation, properties, bodies, ext in entities
    ]
    once = adapter.post("ces", {"entities": listed})
    before = [comment.body for comment in Comment.objects.order_by("pk")]
    again = adapter.post("ces", {"entities": listed})
    assert [comment.body for comment in Comment.objects.order_by("pk")] == before
    assert [each["ext_properties"] for each in again["entities"]] == [
        each["ext_properties"] for each in once["entities"]
    ]
    assert stored(linked).title == title


def test_a_repeated_create_answers_the_first_result_and_another_content_is_a_conflict(adapter, acme):
    entity = {"properties": {"DisplayLabel": "New"}, "ext": {"ExternalId": "C-7"}}
    first = adapter.write("Create", **entity)
    adapter.write("Update", properties={"Justification": "x"}, ext={"ExternalId": "C-7"})
    assert adapter.write("Create", **entity) == first
    answer = adapter.write("Create", 409, properties={"DisplayLabel": "Other"}, ext={"ExternalId": "C-7"})
    number = Change.objects.get().number
    assert number in answer["meta"]["errorDetails"]["message"]
    assert Change.objects.count() == 1


def test_entities_succeed_or_fail_each_on_its_own(adapter, linked):
    def entity(title, **parts):
        return adapter.entity("Update", properties={**own(linked), "DisplayLabel": title, **parts})

    body = {"entities": [entity("A"), entity(""), 7, entity("B", PhaseId="Close"), entity("C")]}
    answer = adapter.post("ces?layout=DisplayLabel,OwnedByGroup.Name", body)
    statuses = [each["meta"]["completion_status"] for each in answer["entities"]]
    assert statuses == ["OK", "FAILED", "FAILED", "FAILED", "OK"]
    assert answer["meta"]["completion_status"] == "FAILED"
    assert answer["meta"]["total_count"] == 5
    assert answer["meta"]["errorDetails"] == answer["entities"][1]["meta"]["errorDetails"]
    last = answer["entities"][4]["entity"]
    assert last["properties"].pop("LastUpdateTime")
    assert last["properties"] == {**own(linked), "DisplayLabel": "C"}
    assert last["related_properties"] == {"OwnedByGroup": {"Name": "ACME Networks"}}
    assert stored(linked).title == "C"
    failed = adapter.post("ces", {"entities": [entity("D", PhaseId="Close"), entity("")]}, 409)
    assert failed["meta"]["errorDetails"]["httpStatus"] == 409
    assert IncomingOperation.objects.filter(status="Failed").count() == 5
    assert IncomingOperation.objects.filter(status="Applied").count() == 2


def a_call(adapter, path, entities, status):
    body = {"operation": "UPDATE", "entities": entities}
    return adapter.post(path, body, status)


@pytest.mark.any_database
@each_row("path, status", [("ces", 413), ("ems/bulk", 200)])
def test_a_call_takes_so_many_entities(adapter, linked, path, status):
    entity = adapter.entity("Update", properties=own(linked))
    details = a_call(adapter, path, [entity] * 201, status)["meta"]["errorDetails"]
    assert details["httpStatus"] == 413
    assert "There are 201; at most 200 are taken" in details["message"]
    assert list(IncomingOperation.objects.values_list("http_status", flat=True)) == [413]
    IncomingOperation.objects.all().delete()
    a_call(adapter, path, [entity] * 200, 200)


@each_row("path, listed, result", [("ces", "entities", "meta"), ("ems/bulk", "entity_result_list", None)])
def test_each_entity_counts_as_a_call_against_the_rate_limit(new_day, adapter, linked, settings, path, listed, result):
    rate_limits.forget()
    RateCounter.objects.all().delete()
    IncomingOperation.objects.all().delete()
    settings.API_RATE_LIMIT = "3/day"
    bad = adapter.entity("Update", properties={**own(linked), "DisplayLabel": ""})
    good = adapter.entity("Update", properties={**own(linked), "DisplayLabel": f"By {path}"})
    answer = a_call(adapter, path, [bad, good, bad, good, bad], 200)
    told = [(each[result] if result else each)["errorDetails"] for each in answer[listed]]
    assert [each and each["httpStatus"] for each in told] == [400, None, 400, 429, 429]
    assert IncomingOperation.objects.count() == 3  # what was not tried is not in the log
    refused = adapter.client.get("/rest/default/personalization/person/me")
    assert refused.status_code == 429


# the properties and the comment of an Update, what its errors begin with
FORMS = [
    ({"Id": "{key}.0"}, {}, ""),
    ({"Id": 0.0}, {}, ""),
    ({"OwnedByGroup": 0.0}, {}, ""),
    ({"Id": "{key}.5"}, {}, "Id: Give the number"),
    ({}, {"PrivacyType": None}, ""),
    ({}, {"PrivacyType": ""}, ""),
    *[({}, {"PrivacyType": bad}, "Comments.0.PrivacyType: Give one of") for bad in (0, [], {}, False, 7)],
]


@pytest.mark.any_database
@each_row("properties, comment, said", FORMS)
def test_forms_of_single_values(adapter, linked, properties, comment, said):
    """0.0 stands for the key of what is meant, as a number with a fraction."""
    keys = {"Id": linked.pk, "OwnedByGroup": linked.owning_group_id}
    given = {**own(linked), **properties}
    for name, value in given.items():
        given[name] = float(keys[name]) if value == 0.0 else value.replace("{key}", str(keys[name]))
    comments = [{"Body": f"{comment}", **comment}] if comment else []
    before = Comment.objects.count()
    answer = adapter.write("Update", 400 if said else 200, properties=given, Comments=comments)
    details = answer["meta"]["errorDetails"]
    assert (details is None) == (said == "")
    assert Comment.objects.count() == before + (len(comments) if not said else 0)
    if details:
        assert details["message"].startswith(said)


# --- Bulk ---


# operation, entities, what came of each
BULKS = [
    ("CREATE", [{"DisplayLabel": "A"}, {"DisplayLabel": "B"}], ["OK", "OK"]),
    ("create", [{"DisplayLabel": ""}, {"DisplayLabel": "B"}], ["FAILED", "OK"]),
    ("UPDATE", [{"Id": "{own}", "DisplayLabel": "A"}], ["OK"]),
    ("UPDATE", [{"Id": "999999", "DisplayLabel": "A"}, {"Id": "{own}", "PhaseId": "Close"}], ["FAILED", "FAILED"]),
    ("UPDATE", [{"DisplayLabel": "A"}], ["FAILED"]),
]


@each_row("operation, properties, results", BULKS)
def test_a_bulk_call_says_of_each_entity_what_came_of_it(adapter, linked, operation, properties, results):
    filled = [{name: str(linked.pk) if each == "{own}" else each for name, each in one.items()} for one in properties]
    entities = [{"entity_type": "Change", "properties": one} for one in filled]
    answer = adapter.post("ems/bulk", {"operation": operation, "entities": entities})
    listed = answer["entity_result_list"]
    assert [each["completion_status"] for each in listed] == results
    assert answer["meta"] == {"completion_status": "FAILED" if "FAILED" in results else "OK"}
    for each in listed:
        assert ("Id" in each["entity"]["properties"]) == (each["completion_status"] == "OK")
        assert (each["errorDetails"] is None) == (each["completion_status"] == "OK")


NO_BULKS = [{}, {"operation": "DELETE", "entities": [{}]}, {"operation": "CREATE"}, {"operation": 7, "entities": []}]


@each_row("body", NO_BULKS)
def test_a_bulk_call_that_asks_for_nothing_possible(adapter, body):
    answer = adapter.post("ems/bulk", body)
    assert answer["entity_result_list"] == []
    assert answer["meta"]["completion_status"] == "FAILED"
    assert answer["meta"]["errorDetails"]["httpStatus"] == 400
    assert not Change.objects.exists()


# the titles of a bulk CREATE that is sent twice, how many changes there are then
BULK_TWICE = [(["A"], 1), (["A", "B"], 2), (["A", "B", "C"], 3)]


@each_row("titles, count", BULK_TWICE)
def test_a_bulk_create_that_is_sent_twice(adapter, acme, alice, titles, count):
    entities = [{"entity_type": "Change", "properties": {"DisplayLabel": title}} for title in titles]
    body = {"operation": "CREATE", "entities": entities}
    first = adapter.post("ems/bulk", body)
    assert adapter.post("ems/bulk", body) == first
    assert Change.objects.count() == count
    hours_pass(None)
    adapter.post("ems/bulk", body)
    assert Change.objects.count() == count * 2


def test_a_bulk_create_gets_a_reference_with_our_id_and_is_repeatable(adapter, acme, alice):
    entity = {"entity_type": "Change", "properties": {"DisplayLabel": "New"}}
    body = {"operation": "CREATE", "entities": [entity]}
    [first] = adapter.post("ems/bulk", body)["entity_result_list"]
    change = Change.objects.get()
    assert first["entity"]["properties"]["Id"] == str(change.pk)
    assert ExternalReference.objects.get().external_id == str(change.pk)
    assert adapter.post("ems/bulk", body)["entity_result_list"] == [first]
    assert Change.objects.count() == 1
    # Its own id of another record may be the same text.
    taken = change_in("Log", owning_group=SupportGroup.objects.get(name="ACME Networks"))
    ExternalReference(change=taken, system=acme, external_id=str(taken.pk + 1)).save()
    adapter.post("ems/bulk", {"operation": "CREATE", "entities": [{**entity, "properties": {"DisplayLabel": "Third"}}]})
    third = Change.objects.get(title="Third")
    assert third.external_references.get().external_id == (third.number if third.pk == taken.pk + 1 else str(third.pk))
    # With an id of the partner's, that one counts.
    named = {**entity, "ext_properties": {"ExternalId": "C-5"}}
    adapter.post("ems/bulk", {"operation": "CREATE", "entities": [named]})
    assert ExternalReference.objects.filter(external_id="C-5").exists()


def test_a_failed_entity_is_logged_with_its_change(adapter, linked):
    adapter.write("Update", 409, properties={**own(linked), "PhaseId": "Close"})
    unknown = {"entity_type": "Change", "properties": {"Id": "x"}}
    adapter.post("ems/bulk", {"operation": "UPDATE", "entities": [unknown]})
    first, second = IncomingOperation.objects.order_by("pk")
    assert (first.change, first.operation, first.status, first.http_status) == (linked, "Update", "Failed", 409)
    assert (second.change, second.operation, second.status, second.http_status) == (None, "Update", "Failed", 400)
    assert first.payload["properties"]["PhaseId"] == "Close"
