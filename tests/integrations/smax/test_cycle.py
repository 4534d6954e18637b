"""An adapter's whole cycle: it signs in, polls, reads, answers, writes back, comments, and exchanges files."""

import json

from changes.models import Attachment, Change, Comment
from integrations.models import ExternalReference, IncomingOperation, OutgoingOperation
from tests.factories import SupportGroupFactory
from tests.pages import text, web
from tests.rows import each_row

from .conftest import own


def test_the_whole_cycle(adapter, given, alice):
    key, title = str(given.pk), given.title
    # It polls, and reads what it was given.
    [assign] = adapter.feed(layout="Id,DisplayLabel,OwnedByGroup.Name")
    assert assign == {
        "entity_type": "Change",
        "properties": {
            "Id": key,
            "LastUpdateTime": assign["properties"]["LastUpdateTime"],
            "DisplayLabel": title,
        },
        "related_properties": {"OwnedByGroup": {"Name": "ACME Networks"}},
        "ext_properties": {
            "ExternalSystem": "ACME",
            "Operation": "Assign",
            "ExternalId": "",
            "ExternalEntityType": "",
            "ExternalStatus": "",
        },
    }
    assert adapter.record(given, "Description")["Description"] == given.description
    query = {"filter": f"EntityId='{key}' and ExternalSystem.SystemId='ACME'", "layout": "ExternalId"}
    assert adapter.get("ems/ExternalReference", **query)["meta"]["total_count"] == 0
    # It answers with its own record. The Assign is delivered then.
    ext = {"ExternalId": "C-1001", "ExternalEntityType": "Change", "ExternalStatus": "New"}
    answer = adapter.write("Update", properties={"Id": key}, ext=ext)
    assert answer["meta"] == {"completion_status": "OK", "errorDetails": None}
    assert answer["entity"]["properties"]["Id"] == key
    assert answer["ext_properties"]["ExternalId"] == "C-1001"
    assert adapter.feed() == []
    [reference] = adapter.get("ems/ExternalReference", **query)["entities"]
    assert reference["properties"]["ExternalId"] == "C-1001"
    version = given.version
    given.refresh_from_db()
    assert given.version == version
    # It updates, comments, and attaches a file.
    adapter.write("Update", properties={"Justification": "Spare parts"}, ext={"ExternalId": "C-1001"})
    given.refresh_from_db()
    assert given.justification == "Spare parts"
    sent = {"Body": "Parts <ordered>", "PrivacyType": "PUBLIC", "IsSystem": True, "CreatedTime": 1764000000000}
    adapter.write("Update", properties={"Id": key}, Comments=[sent])
    added = adapter.post(f"collaboration/comments/Change/{key}", {"Body": "By itself", "PrivacyType": "PRIVATE"}, 201)
    assert added["PrivacyType"] == "PRIVATE"
    [comment] = adapter.get(f"collaboration/comments/Change/{key}/comments")["Comments"]
    assert {name: comment[name] for name in sent} == sent
    assert adapter.get(f"collaboration/comments/Change/{key}") == [comment]
    upload = adapter.upload(b"%PDF-1", "a.pdf", "application/pdf")
    files = {"complexTypeProperties": [{"properties": {"id": upload["guid"], "file_name": "a.pdf", "size": "6"}}]}
    adapter.write("Update", properties={"Id": key, "ChangeAttachments": json.dumps(files)})
    assert Attachment.objects.get().file_name == "a.pdf"
    listed = json.loads(adapter.record(given, "ChangeAttachments")["ChangeAttachments"])["complexTypeProperties"]
    assert [each["properties"]["id"] for each in listed] == [upload["guid"]]
    answer = adapter.call("get", f"frs/file-list/{upload['guid']}")
    assert b"".join(answer.streaming_content) == b"%PDF-1"
    # Nothing of this came back to it. What people add does.
    assert adapter.feed() == []
    Comment(change=given, author=alice, body="Thanks").save()
    [update] = adapter.feed()
    assert update["ext_properties"] == {"ExternalSystem": "ACME", "Operation": "Update", **ext}
    # It creates, cancels and rejects.
    ext = {"ExternalId": "C-2", "ExternalEntityType": "Change", "ExternalStatus": ""}
    adapter.write("Create", properties={"DisplayLabel": "New"}, ext=ext)
    new = Change.objects.get(title="New")
    adapter.write("Update", properties={"CompletionCode": "Withdrawn"}, ext={"ExternalId": "C-2"})
    adapter.write("Cancel", properties={"Id": str(new.pk)})
    new.refresh_from_db()
    assert new.phase == "Abandon"
    empty = {"ExternalId": "", "ExternalEntityType": "", "ExternalStatus": ""}
    adapter.write("Reject", properties={"Id": key, "CompletionCode": "Rejected", "Solution": "None"}, ext=empty)
    assert [reference.external_id for reference in ExternalReference.objects.all()] == ["C-2"]
    assert not OutgoingOperation.objects.unsettled().exists()


def test_the_page_of_the_change_says_what_the_adapter_said_last(adapter, given, alice):
    ext = {"ExternalId": "C-1", "ExternalStatus": "In progress"}
    comments = [{"Body": "Parts ordered"}, {"Body": "Not for them", "PrivacyType": "PRIVATE"}]
    adapter.write("Update", properties={"Id": str(given.pk)}, ext=ext, Comments=comments)
    shown = text(web(alice).get(f"/changes/{given.number}/"))
    assert "In progress" in shown
    assert "“Parts ordered”" in shown
    assert "“Not for them”" not in shown


# What the adapter writes about a record whose Update it was given, and whether the Update counts as delivered then.
WRITES = [
    ({"ext": {"ExternalId": "C-1"}}, False),
    ({"ext": {"ExternalId": "C-1", "ExternalStatus": "New"}}, False),
    ({"ext": {"ExternalId": "C-1", "ExternalStatus": "In progress"}}, True),
    ({"ext": {"ExternalStatus": "In progress"}}, True),
    ({"Comments": [{"Body": "We have it", "CreatedTime": 1}]}, True),
    ({"Justification": "No spare parts"}, True),
]


@each_row("write, is_delivered", WRITES)
def test_what_a_write_confirms(adapter, given, alice, write, is_delivered):
    adapter.feed()
    adapter.write("Update", properties=own(given), ext={"ExternalId": "C-1", "ExternalStatus": "New"})
    Comment(change=given, author=alice, body="Parts ordered").save()
    assert [one["ext_properties"]["Operation"] for one in adapter.feed()] == ["Update"]
    parts = dict(write)
    justification = parts.pop("Justification", None)
    properties = {**own(given), **({"Justification": justification} if justification else {})}
    adapter.write("Update", properties=properties, **parts)
    assert (adapter.feed() == []) is is_delivered


def test_a_write_that_is_sent_again_with_its_key_does_nothing_more(adapter, given, alice):
    """Its sender did not get the answer, while alice went on. So the sender has not read what she did."""
    SupportGroupFactory(name="Network")
    ours = given.owning_group
    adapter.feed()
    adapter.write("Update", properties=own(given), ext={"ExternalId": "C-1"})
    back = {"properties": {**own(given), "OwnedByGroup.Name": "Network"}}
    first = adapter.write("Update", key="K-1", **back)
    given.refresh_from_db()
    given.owning_group = ours
    given.save()
    Comment(change=given, author=alice, body="Please try again").save()
    waiting = [one["ext_properties"]["Operation"] for one in adapter.feed()]

    assert adapter.write("Update", key="K-1", **back) == first

    given.refresh_from_db()
    assert given.owning_group == ours
    assert [one["ext_properties"]["Operation"] for one in adapter.feed()] == waiting == ["Assign", "Update"]
    # With another key it is another write: they give it back again.
    adapter.write("Update", key="K-2", **back)
    given.refresh_from_db()
    assert given.owning_group.name == "Network"
    [entry] = IncomingOperation.objects.filter(idempotency_key="K-2")
    assert entry.status == "Applied"


def test_a_key_that_cannot_be_meant_is_refused(adapter, given):
    adapter.write("Update", key="K-1", properties={**own(given), "Justification": "Spare parts"})
    refused = adapter.write("Update", 409, key="K-1", properties={**own(given), "Justification": "Others"})
    assert "was used before with another body" in refused["meta"]["errorDetails"]["message"]
    two = {"entities": [adapter.entity("Update", properties=own(given))] * 2}
    refused = adapter.call("post", "ces", 400, json=two, headers={"Idempotency-Key": "K-2"})
    assert "Idempotency-Key: Send each entity in a call of its own" in refused["meta"]["errorDetails"]["message"]
    given.refresh_from_db()
    assert given.justification == "Spare parts"


def test_a_create_that_came_without_a_key_is_known_when_it_comes_with_one(adapter):
    """Its sender was upgraded between the two."""
    new = {"properties": {"DisplayLabel": "New"}, "ext": {"ExternalId": "C-2"}}
    first = adapter.write("Create", **new)
    assert adapter.write("Create", key="K-1", **new) == first
    assert Change.objects.filter(title="New").count() == 1
