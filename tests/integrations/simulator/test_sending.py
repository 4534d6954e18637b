"""Operations from the simulator to our real API."""

import pytest

from changes.models import Change
from integrations.models import ExternalReference
from tests.factories import ChangeFactory

from .conftest import message


def test_it_sends_each_operation_and_returns_our_answer(connected):
    def send(operation, external_id, **fields):
        body = {"system_id": "ACME", "operation": operation, "external_id": external_id, **fields}
        return connected.send("ACME", body)

    first = send("Create", "ACME-1", properties={"title": "Replace core switch"})
    assert (first["status"], first["body"]["status"]) == (201, "Applied")
    number = first["body"]["change"]["number"]
    assert Change.objects.get().number == number
    assert send("Update", "ACME-1", comments=[{"body": "Parts ordered"}])["status"] == 200
    assert send("Assign", "ACME-1")["status"] == 200
    assert [record["external_status"] for record in connected.get("/api/records", change=number)] == ["Assigned"]
    assert send("Reject", "ACME-1")["status"] == 200
    assert not ExternalReference.objects.exists()

    assert send("Create", "ACME-2", properties={"title": "Patch servers"})["status"] == 201
    assert send("Cancel", "ACME-2")["status"] == 200
    assert Change.objects.get(title="Patch servers").phase == "Abandon"
    assert {record["external_id"]: record["external_status"] for record in connected.get("/api/records")} == {
        "ACME-1": "Rejected",
        "ACME-2": "Cancelled",
    }
    assert [item["operation"] for item in connected.get("/api/sent", system_id="ACME")] == [
        *("Create", "Update", "Assign", "Reject", "Create", "Cancel")
    ]


def test_the_idempotency_key_is_the_one_that_is_given_a_new_one_or_none(connected):
    body = {"system_id": "ACME", "operation": "Create", "external_id": "ACME-1", "properties": {"title": "Once"}}
    assert connected.send("ACME", body, idempotency_key="k1")["status"] == 201
    again = connected.send("ACME", body, idempotency_key="k1")
    assert (again["status"], again["headers"]["Idempotent-Replayed"]) == (201, "true")
    assert connected.send("ACME", body)["status"] == 409
    assert connected.send("ACME", body, idempotency_key=None)["status"] == 409
    keys = [item["idempotency_key"] for item in connected.get("/api/sent")]
    assert keys[:2] == ["k1", "k1"]
    assert keys[2] not in ("k1", None)
    assert keys[3] is None
    assert Change.objects.count() == 1


def test_what_is_no_json_can_be_sent_too(connected):
    answer = connected.api.post("/api/partners/ACME/send", json={"raw": '{"system_id": '})
    assert answer.json()["status"] == 400
    assert answer.json()["headers"]["Content-Type"] == "application/problem+json"


def test_an_api_that_does_not_answer_is_told(simulator):
    answer = simulator.api.post("/api/partners/ACME/send", json={"body": {}})
    assert answer.status_code == 502
    assert answer.json()["status"] == 0
    assert answer.json()["body"].startswith("No answer from http://127.0.0.1:1: ")


@pytest.mark.parametrize(
    "order", [{}, {"body": {}, "raw": ""}, {"body": {}, "key": "x"}, {"raw": 5}, {"body": {}, "idempotency_key": 5}, []]
)
def test_an_order_to_send_that_makes_no_sense_is_refused(simulator, order):
    before = simulator.get("/api/sent")
    assert simulator.api.post("/api/partners/ACME/send", json=order).status_code == 400
    assert simulator.get("/api/sent") == before


def test_a_change_that_was_rejected_gets_a_new_record_when_it_is_assigned_again(connected, acme):
    change = ChangeFactory()
    first = connected.push("ACME", message(change.number)).json()["external_id"]
    connected.send("ACME", {"system_id": "ACME", "operation": "Reject", "change_number": change.number})
    assert [record["external_status"] for record in connected.get("/api/records")] == ["Assigned"]  # it answered 404

    ExternalReference.objects.create(change=change, system=acme, external_id=first)
    connected.send("ACME", {"system_id": "ACME", "operation": "Reject", "external_id": first})
    second = connected.push("ACME", message(change.number, sequence=2)).json()["external_id"]
    assert second != first
    assert [record["external_status"] for record in connected.get("/api/records")] == ["Rejected", "Assigned"]
