"""The messages that the simulator accepts, refuses and stores."""

import json
import re

import pytest
import requests

from integrations.transports import signing

from .conftest import SECRETS, message


def test_a_signed_assign_is_answered_with_the_partners_own_record(simulator, number):
    answer = simulator.push("ACME", message(number))

    assert answer.status_code == 200
    external_id = answer.json()["external_id"]
    assert re.fullmatch(r"ACME-\d{4,}", external_id)
    assert answer.json() == {
        "external_id": external_id,
        "external_url": f"{simulator.url}/records/ACME/{external_id}",
        "external_status": "Assigned",
    }
    assert requests.get(answer.json()["external_url"], timeout=10).status_code == 200
    assert simulator.get("/api/records", change=number) == [
        {
            "system_id": "ACME",
            "external_id": external_id,
            "external_url": f"{simulator.url}/records/ACME/{external_id}",
            "external_status": "Assigned",
            "change_number": number,
            "title": "Replace core switch",
        }
    ]


def test_a_repeat_is_dropped_and_answered_alike(simulator, number):
    first = message(number)
    answers = [simulator.push("ACME", body) for body in (first, first, message(number, "Update", 2), first)]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["external_id"] for answer in answers}) == 1
    arrived = simulator.get("/api/received", change=number)
    assert [(item["operation"], item["repeat"]) for item in arrived] == [
        ("Assign", False),
        ("Assign", True),
        ("Update", False),
        ("Assign", True),
    ]
    taken = simulator.get("/api/sequence", system_id="ACME", change=number)
    assert [(item["operation"], item["sequence"]) for item in taken] == [("Assign", 1), ("Update", 2)]


def test_everything_that_came_is_kept_whole(simulator, number):
    body = message(number, comment={"body": "café \u0416"}, changed_fields={"x": {"old": None, "new": [1]}})
    simulator.push("ACME", body)
    kept = simulator.get("/api/received", system_id="ACME", change=number, operation="Assign", id=body["id"])
    assert [item["body"] for item in kept] == [body]
    assert simulator.get("/api/received", system_id="BETA", change=number) == []
    assert simulator.get("/api/received", change=number, operation="Update") == []


def test_each_change_has_one_record_per_partner(simulator, number):
    acme = simulator.push("ACME", message(number)).json()["external_id"]
    beta = simulator.push("BETA", message(number, system_id="BETA")).json()["external_id"]
    other = simulator.push("ACME", message(number + "9")).json()["external_id"]
    assert len({acme, beta, other}) == 3


def test_the_reference_that_a_message_names_is_the_record(simulator, number):
    reference = {"external_id": f"OLD-{number}"}
    answer = simulator.push("ACME", message(number, "Update", external_reference=reference))
    assert answer.json()["external_id"] == f"OLD-{number}"


@pytest.mark.parametrize(
    ("operation", "status"), [("Assign", "Assigned"), ("Accept", "Returned"), ("Cancel", "Cancelled")]
)
def test_the_record_shows_what_became_of_it(simulator, number, operation, status):
    simulator.push("ACME", message(number))
    assert simulator.push("ACME", message(number, operation, 2)).json()["external_status"] == status
    assert simulator.push("ACME", message(number, "Update", 3)).json()["external_status"] == status


def _tampered(body):
    raw = json.dumps(body).encode()
    return raw.replace(b"core", b"edge"), signing.headers(body["id"], raw, [SECRETS["ACME"]])


FORGED = {
    "no signature": lambda body: (json.dumps(body).encode(), {}),
    "another partner's secret": lambda body: (
        raw := json.dumps(body).encode(),
        signing.headers(body["id"], raw, [SECRETS["BETA"]]),
    ),
    "a changed body": _tampered,
    "an old signature": lambda body: (
        raw := json.dumps(body).encode(),
        {**signing.headers(body["id"], raw, [SECRETS["ACME"]]), "webhook-timestamp": "1700000000"},
    ),
    "no time": lambda body: (
        raw := json.dumps(body).encode(),
        {**signing.headers(body["id"], raw, [SECRETS["ACME"]]), "webhook-timestamp": "today"},
    ),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_message_is_refused_and_not_taken(simulator, number, forgery):
    raw, headers = FORGED[forgery](message(number))
    assert simulator.api.post("/operations", data=raw, headers=headers).status_code == 401
    assert simulator.get("/api/sequence", system_id="ACME", change=number) == []
    assert simulator.get("/api/records", change=number) == []
    assert [item["signature"] for item in simulator.get("/api/received", change=number)] == ["invalid"]


def test_a_message_for_a_partner_that_is_not_played_is_refused(simulator, number):
    assert simulator.push("ACME", message(number, system_id="ZETA")).status_code == 401
    assert simulator.get("/api/sequence", system_id="ZETA", change=number) == []


def test_either_secret_of_a_rotation_is_enough(simulator, number):
    body = message(number)
    raw = json.dumps(body).encode()
    headers = signing.headers(body["id"], raw, [signing.new_secret(), SECRETS["ACME"]])
    assert simulator.api.post("/operations", data=raw, headers=headers).status_code == 200
    assert [taken["id"] for taken in simulator.get("/api/received", change=number)] == [body["id"]]


def test_a_partner_without_a_secret_takes_unsigned_messages(simulator, number):
    assert simulator.api.post("/operations", json=message(number, system_id="OPEN")).status_code == 200
    assert [item["signature"] for item in simulator.get("/api/received", change=number)] == ["not asked for"]


@pytest.mark.parametrize("raw", ["", "hello", "[]", '{"system_id": 5}', "[" * 100_000])
def test_what_is_no_message_is_refused(simulator, raw):
    assert simulator.api.post("/operations", data=raw).status_code == 400


def test_the_webhook_id_must_be_the_id_of_the_message(simulator, number):
    body = message(number)
    raw = json.dumps(body).encode()
    assert (
        simulator.api.post(
            "/operations", data=raw, headers=signing.headers("other", raw, [SECRETS["ACME"]])
        ).status_code
        == 400
    )
    assert simulator.get("/api/sequence", system_id="ACME", change=number) == []


def test_a_ping_is_answered_and_changes_nothing(simulator):
    before = simulator.get("/api/received")
    response = simulator.api.request("OPTIONS", "/operations")
    assert (response.status_code, response.headers["Allow"]) == (204, "OPTIONS, POST")
    assert simulator.get("/api/received") == before
