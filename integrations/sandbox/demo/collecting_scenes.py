"""The scenes of `manage.py demo` with partners that collect their operations: one pulls, one has an SMAX adapter."""

from __future__ import annotations

from integrations.sandbox.local.simulation import until
from integrations.sandbox.simulator.smax_adapter import Element, SmaxAdapter

from .stage import PATIENCE, Stage


def pull(stage: Stage) -> None:
    """A partner that pulls: it asks for what waits, and acknowledges what it has"""
    number = stage.create("Move the telephone exchange", "DELTA Telephony")
    stage.until_received("DELTA", number, ["Assign"])
    stage.until_referenced("DELTA", number)
    stage.comment(number, "Which cabinet is it in?")
    stage.until_received("DELTA", number, ["Assign", "Update"])
    external_id = stage.references(number)["DELTA"]
    stage.apply("DELTA", "Update", external_id=external_id, comments=[{"body": "In cabinet 4."}])
    stage.expect(stage.read(number)["comments"][-1]["body"] == "In cabinet 4.", "its own operations come by our API")
    stage.edit(number, completion_code="Withdrawn")
    stage.until_received("DELTA", number, ["Assign", "Update", "Cancel"])


def not_acknowledged(stage: Stage) -> None:
    """A partner that pulls dies before it acknowledges: it is handed out again, with the same id"""
    number = stage.create("Replace the conference bridge", "DELTA Telephony")
    stage.until_referenced("DELTA", number)
    stage.until_received("DELTA", number, ["Assign"])
    stage.simulation.behave("DELTA", mode="hang_up", times=1)
    stage.say("DELTA takes the next one, and dies before it acknowledges it")
    stage.comment(number, "Please keep the dial-in numbers.")

    def arrivals() -> list[str]:
        received = [each for each in stage.simulation.received("DELTA") if each["change_number"] == number]
        return [each["id"] for each in received if each["operation"] == "Update"]

    until("DELTA gets it again", lambda: len(arrivals()) == 2, PATIENCE)
    stage.expect(len({*arrivals()}) == 1, "it came twice, with one id")
    stage.until_received("DELTA", number, ["Assign", "Update"])


def smax_step_by_step(stage: Stage) -> None:
    """An SMAX adapter, step by step: what it calls, and what it gets"""
    adapter = stage.adapters["EPSILON"]
    stage.simulation.behave("EPSILON", mode="down")
    stage.say("EPSILON's own adapter rests; we play it by hand")
    adapter.sign_in()
    stage.say(f"it signs in as {adapter.username}, and has a token for an hour")
    number = stage.create("Repair the ventilation", "EPSILON Building Services")
    record = _assigned(stage, adapter, number)
    _talks(stage, adapter, number, record)
    _works(stage, adapter, number, record)
    adapter.reject(record)
    stage.say(f"it rejects {record}")
    stage.expect("EPSILON" not in stage.references(number), "the reference is gone")
    created = adapter.create("EPS-900", "New", ["The inspection is due."], DisplayLabel="Inspect the lifts")
    stage.say(f"it creates a record for its own EPS-900: {created}")
    adapter.cancel(created)
    stage.say(f"it cancels {created}")
    stage.expect(adapter.read(created)["CompletionCode"] == "Withdrawn", "the change is withdrawn and abandoned")


def _assigned(stage: Stage, adapter: SmaxAdapter, number: str) -> str:
    (element,) = _polled(stage, adapter, ["Assign"])
    record = element.id
    read = adapter.read(record)
    stage.say(f"it reads record {record}: {read['DisplayLabel']}, in the phase {read['PhaseId']}")
    stage.expect(adapter.reference(record) is None, "there is no reference yet")
    adapter.answer(record, external_id="EPS-1", external_status="Assigned")
    stage.say("it answers with an Update that only names its own record, EPS-1, and its status")
    reference = adapter.reference(record) or {}
    stage.expect(reference.get("ExternalId") == "EPS-1", "the reference of the record reads EPS-1")
    stage.expect(stage.references(number)["EPSILON"] == "EPS-1", "alice sees it too")
    stage.expect(adapter.poll() == [], "the Assign counts as delivered, and is in no feed any more")
    return record


def _talks(stage: Stage, adapter: SmaxAdapter, number: str, record: str) -> None:
    stage.comment(number, "Is the filter <new>?")
    _polled(stage, adapter, ["Update"])
    bodies = [comment["Body"] for comment in adapter.comments(record)]
    stage.expect(bodies == ["Is the filter <new>?"], "it reads the record's public comments, word for word")
    adapter.comment(record, "It is.", created_time=1764000000000)
    adapter.comment(record, "It is.", created_time=1764000000000)
    stage.say("it answers with a comment, and sends it once more, not knowing whether it arrived")
    stage.expect(len(adapter.comments(record)) == 2, "the same comment is there once")


def _works(stage: Stage, adapter: SmaxAdapter, number: str, record: str) -> None:
    file = adapter.upload_raw("Prüfbericht.txt", b"All is well.", "text/plain")
    stage.say(f"it uploads {file.name}, which belongs to nothing yet")
    adapter.link(record, [file])
    files = [each["file_name"] for each in stage.read(number)["attachments"]]
    stage.expect(files == ["Prüfbericht.txt"], "linked to the record, it is an attachment of the change")
    adapter.update(record, "In progress", ImplementationPlan="<ol><li>Stop the fan</li><li>Swap the belt</li></ol>")
    stage.say("it writes its status, and a plan as HTML")
    change = stage.read(number)
    plan = change["implementation_plan"]
    stage.expect("Swap the belt" in plan and "<" not in plan, "the plan reads as text here, with its structure")


def _polled(stage: Stage, adapter: SmaxAdapter, operations: list[str]) -> list[Element]:
    elements = adapter.poll()
    found = [element.operation for element in elements]
    stage.say(f"it polls its feed and gets {', '.join(found) or 'nothing'}")
    stage.expect(found == operations, f"that is {', '.join(operations)}")
    return elements


def smax_by_itself(stage: Stage) -> None:
    """A partner with an SMAX adapter, polling by itself"""
    number = stage.create("Renew the fire doors", "EPSILON Building Services")
    stage.until_received("EPSILON", number, ["Assign"])
    stage.until_referenced("EPSILON", number)
    stage.comment(number, "Floor 3 first, please.")
    stage.until_received("EPSILON", number, ["Assign", "Update"])
    stage.apply("EPSILON", "Update", change_number=number, comments=[{"body": "Floor 3 is done."}])
    stage.expect(stage.read(number)["comments"][-1]["body"] == "Floor 3 is done.", "its comment is there")
    stage.edit(number, completion_code="Withdrawn")
    stage.until_received("EPSILON", number, ["Assign", "Update", "Cancel"])
    stage.say("none of its own comments came back to it")


SCENES = (pull, not_acknowledged, smax_step_by_step, smax_by_itself)
