"""The scenes of `manage.py demo` in which a partner acts."""

from __future__ import annotations

import base64
from typing import Any

from .stage import DESCRIBED, Stage

ASSIGNED = "Change was assigned locally from external system"
REJECTED = "Change was rejected by the external fulfillment system"


def create(stage: Stage) -> None:
    """Create: a partner opens a change here"""
    fields: dict[str, Any] = {
        "external_id": "ACME-C1",
        "properties": {"title": "Update of the switches", "owning_group": "Network"},
    }
    first = stage.send("ACME", "Create", key="create-1", **fields)
    number = stage.good(first, "Create of ACME")["change"]["number"]
    change = stage.read(number)
    stage.expect((change["phase"], change["title"]) == ("Log", "Update of the switches"), f"{number} is there, in Log")
    stage.expect(stage.references(number) == {"ACME": "ACME-C1"}, "it refers to ACME's record")
    again = stage.send("ACME", "Create", key="create-1", **fields)
    stage.expect((again.status, again.body) == (first.status, first.body), "the same key again: the same answer")
    stage.expect(again.headers.get("Idempotent-Replayed") == "true", "and the answer says that it is a repeat")
    taken = stage.send("ACME", "Create", **fields)
    stage.expect(taken.status == 409, "another key with the same record number is a conflict")
    stage.expect(number in str(taken.body), "which names the change that is there")
    stage.expect(stage.send("BETA", "Assign", change_number=number).status == 404, "to BETA it does not exist")


def update(stage: Stage) -> None:
    """Update: a partner changes fields, phase and status, and adds a comment and a file"""
    number = stage.create("Replace the batteries", "ACME Networks", **DESCRIBED)
    stage.edit(number, owning_group="BETA Hosting")
    stage.until_received("ACME", number, ["Assign", "Accept"])
    external_id = stage.until_referenced("BETA", number)
    stage.apply(
        "BETA",
        "Update",
        external_id=external_id,
        external_status="In progress",
        properties={"title": "Replace the batteries of UPS 1", "phase": "Evaluate"},
        comments=[{"body": "The parts are ordered.", "author": "J. Doe"}],
        attachments=[
            {
                "file_name": "order.txt",
                "content_type": "text/plain",
                "content_base64": base64.b64encode(b"32 batteries").decode(),
            }
        ],
    )
    change = stage.read(number)
    expected = ("Replace the batteries of UPS 1", "Evaluate")
    stage.expect((change["title"], change["phase"]) == expected, "the field is set and the transition made")
    comment = change["comments"][-1]
    shown = (comment["body"], comment["author"], comment["system_id"])
    stage.expect(shown == ("The parts are ordered.", "J. Doe (BETA)", "BETA"), "the comment shows where it came from")
    stage.expect([item["file_name"] for item in change["attachments"]] == ["order.txt"], "the file is attached")
    statuses = {item["system_id"]: item["external_status"] for item in change["external_references"]}
    stage.expect(statuses["BETA"] == "In progress", "the reference shows the status")
    messages = stage.until_received("ACME", number, ["Assign", "Accept", "Update", "Update"])
    stage.expect(messages[-1]["body"]["origin"]["system_id"] == "BETA", "ACME hears of it, with BETA as the origin")
    stage.comment(number, "Thank you.")
    stage.until_received("BETA", number, ["Assign", "Update"])
    stage.say("to BETA itself nothing of it went back")


def update_fails_whole(stage: Stage) -> None:
    """An Update that must fail, fails whole"""
    number = stage.create("Release 7.4 of the shop", "GAMMA Applications")
    external_id = stage.until_referenced("GAMMA", number)
    before = stage.read(number)
    parts: dict[str, Any] = {"external_status": "Half done", "comments": [{"body": "Must not be kept."}]}
    for phase, status, why in (
        ("Deploy", 409, "a phase cannot be skipped"),
        ("Evaluate", 422, "the conditions for leaving Log are unmet"),
    ):
        properties = {"title": "Must not be kept", "phase": phase}
        answer = stage.send("GAMMA", "Update", external_id=external_id, properties=properties, **parts)
        stage.expect(answer.status == status, f"{why}: {status}")
        stage.expect(stage.read(number) == before, "not one field, comment or status of it was kept")
    missing = {error["attr"] for error in answer.body["errors"]}
    expected = {f"properties.{name}" for name in ("description", "reason", "justification", "category", "service")}
    stage.expect(missing == expected, "every unmet condition is named, with its field")
    answer = stage.send("GAMMA", "Update", external_id=external_id, properties={"colour": "red"})
    stage.expect(answer.status == 400, "an unknown field is an error too")
    stage.expect(stage.read(number) == before, "and nothing was kept")


def assign(stage: Stage) -> None:
    """Assign: a partner says that somebody works on it there"""
    number = stage.create("Fit the meeting room", "ACME Field Service")
    external_id = stage.until_referenced("ACME", number)
    stage.apply("ACME", "Assign", external_id=external_id, external_status="With a technician")
    change = stage.read(number)
    stage.expect([item["body"] for item in change["comments"]] == [ASSIGNED], f'the comment is "{ASSIGNED}"')
    stage.expect(change["external_references"][0]["external_status"] == "With a technician", "the status is set")


def reject(stage: Stage) -> None:
    """Reject: a partner does not take it, and hears nothing more until it is assigned anew"""
    number = stage.create("Move the zone", "BETA Hosting")
    external_id = stage.until_referenced("BETA", number)
    stage.apply("BETA", "Reject", external_id=external_id)
    change = stage.read(number)
    stage.expect([item["body"] for item in change["comments"]] == [REJECTED], f'the comment is "{REJECTED}"')
    stage.expect(change["external_references"] == [], "the reference is gone")
    stage.comment(number, "Who takes it then?")
    stage.edit(number, owning_group="Network")
    stage.edit(number, owning_group="BETA Hosting")
    stage.until_received("BETA", number, ["Assign", "Assign"])
    stage.say("neither the comment nor an Accept was sent in between")


def cancel(stage: Stage) -> None:
    """Cancel: a partner withdraws a change"""
    number = stage.create("Add access points", "ACME Networks")
    external_id = stage.until_referenced("ACME", number)
    stage.apply("ACME", "Cancel", external_id=external_id)
    change = stage.read(number)
    expected = ("Withdrawn", "Abandon")
    stage.expect((change["completion_code"], change["phase"]) == expected, f"{number} is withdrawn and abandoned")
    stage.apply("ACME", "Cancel", external_id=external_id)
    again = stage.read(number)
    same = all(again[name] == change[name] for name in ("version", "completion_code", "phase", "comments"))
    stage.expect(same, "a second Cancel succeeds and changes nothing")
    stage.until_received("ACME", number, ["Assign"])
    stage.say("to ACME itself no Cancel went back")


def cancel_fails_whole(stage: Stage) -> None:
    """A Cancel that must fail, fails whole"""
    number = stage.create("Replace the failed router", "ACME Networks", change_type="Emergency", **DESCRIBED)
    external_id = stage.until_referenced("ACME", number)
    stage.move(number, "ApprovePlan")
    stage.approve(number)
    stage.move(number, "Deploy")
    before = stage.read(number)
    answer = stage.send("ACME", "Cancel", external_id=external_id)
    stage.expect(answer.status == 409, "a change in Deploy is backed out, not abandoned: 409")
    stage.expect(stage.read(number) == before, "the completion code was not set either")


def unknown_operation(stage: Stage) -> None:
    """Any other operation is refused"""
    answer = stage.send("ACME", "Close", external_id="ACME-1001")
    stage.expect(answer.status == 400, "Close is no operation: 400")
    names = ("Create", "Update", "Assign", "Reject", "Cancel")
    stage.expect(all(name in str(answer.body) for name in names), "the error lists the five that there are")


SCENES = (create, update, update_fails_whole, assign, reject, cancel, cancel_fails_whole, unknown_operation)
