"""The partner simulator, as a process of its own that is spoken to over HTTP."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from itertools import count
from uuid import uuid4

import pytest
import requests
import yaml
from django.core.management import CommandError, call_command
from knox.models import AuthToken

from changes.models import Change
from integrations.models import ExternalReference
from integrations.transports import signing
from tests import services
from tests.certificates import AUTHORITY, EXPIRED, VALID, make_certificates
from tests.exchange import ROOT, Client
from tests.factories import ChangeFactory
from tests.processes import free_port, start, until

SECRETS = {"ACME": signing.new_secret(), "BETA": signing.new_secret()}
_changes = count(1)


class Simulator:
    """The process, its address, and the ways to speak to it."""

    def __init__(self, folder, partners):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = folder / "simulator.yaml"
        self.config.write_text(yaml.safe_dump({"partners": partners}))
        self.start()

    def start(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = start(
            [
                sys.executable,
                "manage.py",
                "simulator",
                "--port",
                str(port),
                "--config",
                str(self.config),
            ],
            log=self.folder / "simulator.log",
            # It must not need a database.
            environment={"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"},
            cwd=ROOT,
        )
        self.api = Client(self.url)
        until("the simulator answers", self._answers)

    def _answers(self):
        self.process.check_running()
        try:
            return self.api.get("/api/partners").ok
        except requests.ConnectionError:
            return False

    def get(self, path, **query):
        answer = self.api.get(path, params=query)
        assert answer.ok, answer.text
        return answer.json()

    def behave(self, system_id, **behaviour):
        answer = self.api.put(f"/api/partners/{system_id}/behaviour", json=behaviour)
        assert answer.ok, answer.text

    def push(self, system_id, body, secret=None, **headers):
        """Sends a message as our delivery does."""
        raw = json.dumps(body).encode()
        signed = signing.headers(body["id"], raw, [secret or SECRETS[system_id]])
        return self.api.post("/operations", data=raw, headers={**signed, **headers}, allow_redirects=False)

    def send(self, system_id, body, **options):
        answer = self.api.post(f"/api/partners/{system_id}/send", json={"body": body, **options})
        assert answer.ok, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def running():
    """One process for all tests of the module; nobody's API is behind it."""
    partners = [
        {"system_id": name, "signing_secret": secret, "base_url": "http://127.0.0.1:1"}
        for name, secret in SECRETS.items()
    ]
    simulator = Simulator(
        services.run_dir() / f"simulator-{services.worker_number()}",
        [*partners, {"system_id": "OPEN", "base_url": "http://127.0.0.1:1"}],
    )
    yield simulator
    simulator.process.stop()


@pytest.fixture
def simulator(running):
    yield running
    for system_id in SECRETS:
        running.api.delete(f"/api/partners/{system_id}/behaviour")


@pytest.fixture
def number():
    """The number of a change that no other test uses."""
    return f"CHG{next(_changes):07}"


def message(number, operation="Assign", sequence=1, system_id="ACME", **fields):
    return {
        "id": str(uuid4()),
        "operation": operation,
        "system_id": system_id,
        "sequence": sequence,
        "change": {"number": number, "title": "Replace core switch"},
        "external_reference": None,
        **fields,
    }


# --- Receiving ---


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


# --- Behaviour ---


def taken(simulator, number):
    return [item["operation"] for item in simulator.get("/api/sequence", system_id="ACME", change=number)]


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_it_answers_a_status_and_does_not_take_the_message(simulator, number, status):
    simulator.behave("ACME", mode="answer", status=status, retry_after=7)
    answer = simulator.push("ACME", message(number))
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
    assert taken(simulator, number) == []
    assert [item["answered"] for item in simulator.get("/api/received", change=number)] == [str(status)]


def test_a_behaviour_holds_for_as_many_messages_as_said(simulator, number):
    simulator.behave("ACME", mode="answer", status=503, times=2)
    assert [simulator.push("ACME", message(number)).status_code for _ in range(3)] == [503, 503, 200]


def test_a_behaviour_holds_until_it_is_set_back_and_for_one_partner_only(simulator, number):
    simulator.behave("ACME", mode="answer", status=503)
    assert [simulator.push("ACME", message(number)).status_code for _ in range(3)] == [503, 503, 503]
    assert simulator.push("BETA", message(number, system_id="BETA")).status_code == 200
    assert simulator.api.delete("/api/partners/ACME/behaviour").status_code == 204
    assert simulator.get("/api/partners/ACME/behaviour") == {"mode": "normal"}
    assert simulator.push("ACME", message(number)).status_code == 200


def test_an_answer_of_2xx_takes_the_message_with_any_body(simulator, number):
    simulator.behave("ACME", mode="answer", status=202, body={"external_id": "x" * 300})
    answer = simulator.push("ACME", message(number))
    assert (answer.status_code, answer.json()) == (202, {"external_id": "x" * 300})
    assert taken(simulator, number) == ["Assign"]


def test_it_redirects(simulator, number):
    simulator.behave("ACME", mode="redirect", location="http://elsewhere.example/")
    answer = simulator.push("ACME", message(number))
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://elsewhere.example/")
    assert taken(simulator, number) == []


def test_it_is_down(simulator, number):
    simulator.behave("ACME", mode="down")
    with pytest.raises(requests.ConnectionError):
        simulator.push("ACME", message(number))
    assert simulator.get("/api/received", change=number) == []


def test_it_hangs_up_after_taking_the_message_and_knows_the_repeat(simulator, number):
    body = message(number)
    simulator.behave("ACME", mode="hang_up", times=1)
    with pytest.raises(requests.ConnectionError):
        simulator.push("ACME", body)
    assert taken(simulator, number) == ["Assign"]
    assert simulator.push("ACME", body).status_code == 200
    assert taken(simulator, number) == ["Assign"]


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_it_takes_its_time(simulator, number, mode):
    simulator.behave("ACME", mode=mode, seconds=30)
    raw = json.dumps(body := message(number)).encode()
    headers = signing.headers(body["id"], raw, [SECRETS["ACME"]])
    with requests.Session() as session:
        answer = None
        try:
            answer = session.post(f"{simulator.url}/operations", data=raw, headers=headers, timeout=0.3, stream=True)
        except requests.Timeout:
            assert mode == "hang"
        if answer is not None:
            assert mode == "drip"
            answer.close()
    assert taken(simulator, number) == ["Assign"]


def test_it_waits_and_then_answers(simulator, number):
    simulator.behave("ACME", mode="hang", seconds=0.1)
    assert simulator.push("ACME", message(number)).json()["external_status"] == "Assigned"


def test_it_answers_with_something_else_than_json(simulator, number):
    simulator.behave("ACME", mode="not_json")
    answer = simulator.push("ACME", message(number))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert taken(simulator, number) == ["Assign"]


def test_it_answers_at_length(simulator, number):
    simulator.behave("ACME", mode="huge", size=3_000_000)
    answer = simulator.push("ACME", message(number))
    assert len(answer.json()["padding"]) == 3_000_000
    assert answer.json()["external_status"] == "Assigned"


def test_it_never_has_all_of_a_long_answer_in_memory(simulator, number):
    simulator.behave("ACME", mode="huge", size=100_000_000_000)
    raw = json.dumps(body := message(number)).encode()
    headers = signing.headers(body["id"], raw, [SECRETS["ACME"]])
    with requests.post(f"{simulator.url}/operations", data=raw, headers=headers, stream=True, timeout=30) as answer:
        assert int(answer.headers["Content-Length"]) > 100_000_000_000
        assert answer.raw.read(1000).startswith(b'{"external_id": "ACME-')
    assert taken(simulator, number) == ["Assign"]


@pytest.mark.parametrize(
    ("behaviour", "start"),
    [
        ({"mode": "stall", "seconds": 30}, b'{"external_id": "ACME-'),
        ({"mode": "broken_json"}, b'{"external_id": "ACME-'),
        ({"mode": "short"}, b'{"external_id": "ACME-'),
        ({"mode": "long", "seconds": 30}, b'{"external_id": "ACME-'),
        ({"mode": "switch", "seconds": 30}, b""),
        ({"mode": "interim", "seconds": 30}, b"HTTP/1.1 102 Processing\r\n"),
        ({"mode": "interim", "seconds": 0}, b"HTTP/1.1 102 Processing\r\n"),
    ],
)
def test_it_takes_the_message_and_answers_oddly(simulator, number, behaviour, start):
    simulator.behave("ACME", **behaviour)
    head, content = raw_answer(simulator, message(number))
    status = {"switch": 101, "interim": 100}.get(behaviour["mode"], 200)
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert content.startswith(start)
    assert taken(simulator, number) == ["Assign"]


def test_what_it_announces_is_not_what_it_sends(simulator, number):
    lengths = {}
    for mode in ("short", "long"):
        simulator.behave("ACME", mode=mode, seconds=0)
        head, content = raw_answer(simulator, message(number))
        lengths[mode] = int(re.search(rb"Content-Length: (\d+)", head)[1]) - len(content)
    assert lengths["short"] == 100
    assert lengths["long"] < 0


def test_after_interim_answers_it_answers(simulator, number):
    simulator.behave("ACME", mode="interim", seconds=0.2)
    _, content = raw_answer(simulator, message(number))
    assert content.count(b"HTTP/1.1 103 Early Hints") > 1
    assert json.loads(content.rpartition(b"\r\n\r\n")[2])["external_status"] == "Assigned"


def test_half_of_its_json_is_none(simulator, number):
    simulator.behave("ACME", mode="broken_json")
    answer = simulator.push("ACME", message(number))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()


def test_it_resets_the_connection(simulator, number):
    simulator.behave("ACME", mode="reset")
    with pytest.raises(ConnectionResetError):
        raw_answer(simulator, message(number))
    assert taken(simulator, number) == ["Assign"]


def raw_answer(simulator, body):
    """The first head that it sends, and what it sends after it within a moment."""
    raw = json.dumps(body).encode()
    signed = signing.headers(body["id"], raw, [SECRETS["ACME"]])
    lines = [f"{name}: {value}" for name, value in {**signed, "Host": "x", "Content-Length": str(len(raw))}.items()]
    with socket.create_connection(("127.0.0.1", int(simulator.url.rpartition(":")[2])), timeout=0.5) as connection:
        connection.sendall("\r\n".join(["POST /operations HTTP/1.1", *lines, "", ""]).encode() + raw)
        received = b""
        with contextlib.suppress(TimeoutError):
            while b"\r\n\r\n" not in received or len(received) < 2000:
                if not (part := connection.recv(4096)):
                    break
                received += part
    head, _, content = received.partition(b"\r\n\r\n")
    return head, content


# --- An address of its own ---


@pytest.fixture(scope="module")
def with_doors(tmp_path_factory):
    """ACME has a port of its own, BETA one with TLS."""
    folder = tmp_path_factory.mktemp("doors")
    make_certificates(folder)
    simulator = Simulator(
        folder / "simulator",
        [
            {"system_id": "ACME", "signing_secret": SECRETS["ACME"], "base_url": "http://x", "port": free_port()},
            {
                "system_id": "BETA",
                "signing_secret": SECRETS["BETA"],
                "base_url": "http://x",
                "port": free_port(),
                "certificate": str(folder / VALID),
                "expired_certificate": str(folder / EXPIRED),
            },
        ],
    )
    simulator.authority = str(folder / AUTHORITY)
    yield simulator
    simulator.process.stop()


def push_to_the_door(simulator, system_id, body, session=requests):
    partners = yaml.safe_load(simulator.config.read_text())["partners"]
    port = next(partner["port"] for partner in partners if partner["system_id"] == system_id)
    raw = json.dumps(body).encode()
    headers = signing.headers(body["id"], raw, [SECRETS[system_id]])
    url = f"{'https' if system_id == 'BETA' else 'http'}://127.0.0.1:{port}/operations"
    return session.post(url, data=raw, headers=headers, verify=simulator.authority, timeout=10)


def test_a_partner_takes_messages_at_its_own_address_and_at_the_common_one(with_doors, number):
    for system_id in ("ACME", "BETA"):
        answers = [
            push_to_the_door(with_doors, system_id, message(number, system_id=system_id)),
            with_doors.push(system_id, message(number, "Update", 2, system_id=system_id)),
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert len({answer.json()["external_id"] for answer in answers}) == 1


@pytest.mark.parametrize("system_id", ["ACME", "BETA"])
def test_it_refuses_connections_and_drops_those_it_has_until_it_is_set_back(with_doors, number, system_id):
    with requests.Session() as session:
        first = message(number, system_id=system_id)
        assert push_to_the_door(with_doors, system_id, first, session).status_code == 200
        with_doors.behave(system_id, mode="refuse")
        for client in (session, requests):
            with pytest.raises(requests.ConnectionError):
                push_to_the_door(with_doors, system_id, message(number, "Update", 2, system_id=system_id), client)
    with_doors.behave(system_id, mode="normal")
    assert push_to_the_door(with_doors, system_id, first).status_code == 200
    arrived = with_doors.get("/api/received", system_id=system_id, change=number)
    assert [item["operation"] for item in arrived] == ["Assign", "Assign"]


def test_it_shows_an_expired_certificate_until_it_is_set_back(with_doors, number):
    with_doors.behave("BETA", mode="expired")
    with pytest.raises(requests.exceptions.SSLError, match="certificate has expired"):
        push_to_the_door(with_doors, "BETA", message(number, system_id="BETA"))
    assert with_doors.get("/api/received", change=number) == []
    with_doors.api.delete("/api/partners/BETA/behaviour")
    assert push_to_the_door(with_doors, "BETA", message(number, system_id="BETA")).status_code == 200


def test_what_happens_at_the_door_needs_one(simulator, with_doors):
    for where, system_id, mode, problem in (
        (simulator, "ACME", "refuse", "ACME has no port of its own."),
        (with_doors, "ACME", "expired", "ACME has no expired_certificate."),
    ):
        answer = where.api.put(f"/api/partners/{system_id}/behaviour", json={"mode": mode})
        assert (answer.status_code, answer.text) == (400, f"{mode}: {problem}")
        assert where.get(f"/api/partners/{system_id}/behaviour") == {"mode": "normal"}


def test_it_may_take_what_it_answers_with_an_error(simulator, number):
    simulator.behave("ACME", mode="answer", status=500, take=True, times=1)
    assert simulator.push("ACME", message(number)).status_code == 500
    assert taken(simulator, number) == ["Assign"]


@pytest.mark.parametrize(
    ("behaviour", "message_part"),
    [
        ({"mode": "sulk"}, "mode: write one of normal, answer"),
        ({"mood": "bad"}, "Unknown: mood"),
        ({"mode": "answer", "status": "503"}, "status: '503' has the wrong type."),
        ({"mode": "answer", "status": 99}, "status: write a number from 200 to 599."),
        ({"mode": "answer", "times": 0}, "times: write a number"),
        ({"mode": "answer", "times": True}, "times: True has the wrong type."),
        ({"mode": "redirect", "location": "/x\r\nX-Evil: 1"}, "location: goes into a header"),
        ({"mode": "refuse", "times": 1}, "refuse: no message arrives, so times and take mean nothing."),
        ([], "Write an object."),
    ],
)
def test_a_behaviour_that_makes_no_sense_is_refused(simulator, behaviour, message_part):
    answer = simulator.api.put("/api/partners/ACME/behaviour", json=behaviour)
    assert answer.status_code == 400
    assert message_part in answer.text
    assert simulator.get("/api/partners/ACME/behaviour") == {"mode": "normal"}


@pytest.mark.parametrize("path", ["/api/partners/ZETA/behaviour", "/records/ACME/none", "/nowhere"])
def test_what_does_not_exist_is_not_found(simulator, path):
    assert simulator.api.get(path).status_code == 404


# --- Restarting ---


def test_a_restart_keeps_what_was_received(tmp_path, number):
    simulator = Simulator(tmp_path, [{"system_id": "ACME", "signing_secret": SECRETS["ACME"], "base_url": "http://x"}])
    try:
        first = message(number)
        answer = simulator.push("ACME", first).json()
        simulator.push("ACME", message(number, "Update", 2))
        before = [simulator.get(path) for path in ("/api/received", "/api/records")]
        simulator.process.kill()
        # A crash in the middle of a line.
        journal = tmp_path / "simulator.received.jsonl"
        assert oct(journal.stat().st_mode & 0o777) == "0o600"
        with journal.open("a") as file:
            file.write('{"event": "recei')

        simulator.start()
        assert simulator.get("/api/received") == before[0]
        assert [item["external_id"] for item in simulator.get("/api/records")] == [answer["external_id"]]
        assert simulator.push("ACME", first).json()["external_id"] == answer["external_id"]
        assert taken(simulator, number) == ["Assign", "Update"]

        simulator.process.stop()
        simulator.start()
        assert len(simulator.get("/api/received")) == 3
        assert simulator.push("ACME", message(number + "1")).json()["external_id"] != answer["external_id"]
    finally:
        simulator.process.stop()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_while_somebody_waits_for_an_answer(tmp_path, number, stop):
    simulator = Simulator(tmp_path, [{"system_id": "ACME", "base_url": "http://x"}])
    simulator.behave("ACME", mode="hang", seconds=600)
    with pytest.raises(requests.Timeout):
        simulator.api.post("/operations", json=message(number), timeout=0.3)
    os.kill(simulator.process.child.pid, stop)
    assert simulator.process.wait() == 0
    assert "Traceback" not in simulator.process.log()


# --- Sending, to our real API ---


@pytest.fixture
def connected(live_server, acme, tmp_path):
    """A simulator whose ACME has a token for the API under test."""
    _, token = AuthToken.objects.create(acme.authorized_user)
    simulator = Simulator(
        tmp_path,
        [{"system_id": "ACME", "token": token, "base_url": live_server.url, "signing_secret": SECRETS["ACME"]}],
    )
    yield simulator
    simulator.process.stop()


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


# --- Pages ---


def test_a_person_plays_the_partner_with_the_forms(connected, page):
    page.goto(connected.url)
    page.get_by_text("Create a change at the other desk").click()
    page.get_by_label("Title").fill("Replace core switch")
    page.get_by_role("button", name="Send Create").click()
    assert page.get_by_role("status").inner_text().startswith("Create from ACME was answered 201.")
    change = Change.objects.get()
    assert change.title == "Replace core switch"
    assert page.get_by_role("heading", level=1).inner_text() == "ACME-1001 New"
    assert f"Kept by ACME for {change.number}." in page.locator("main").inner_text()

    page.get_by_label("Comment").fill("Parts ordered")
    page.get_by_label("Other properties, as JSON").fill('{"risk": "Low"}')
    page.get_by_role("button", name="Send Update").click()
    assert page.get_by_role("status").inner_text().startswith("Update from ACME was answered 200.")
    change.refresh_from_db()
    assert change.risk == "Low"
    assert [comment.body for comment in change.comments.all()] == ["Parts ordered"]

    page.get_by_role("button", name="Send Assign").click()
    page.get_by_role("button", name="Send Cancel").click()
    change.refresh_from_db()
    assert (change.phase, change.completion_code) == ("Abandon", "Withdrawn")

    page.goto(connected.url)
    page.get_by_text("Update, Assign, Reject or Cancel a change").click()
    page.get_by_label("Record", exact=True).fill("ACME-1001")
    page.get_by_role("button", name="Send Reject").click()
    assert page.get_by_role("status").inner_text().startswith("Reject from ACME was answered 200.")
    assert not ExternalReference.objects.exists()


def test_a_person_changes_the_behaviour_with_the_form(simulator, number, page):
    page.goto(simulator.url)
    section = page.get_by_role("region", name="ACME")
    section.get_by_text("Behaviour").click()
    section.get_by_label("What it does with a message").select_option("Answer a status")
    section.get_by_label("How many times").fill("1")
    section.get_by_label("Status to answer").fill("429")
    section.get_by_role("button", name="Behave so").click()
    assert section.get_by_text("answers 429, 1 more time(s)").is_visible()
    assert [simulator.push("ACME", message(number)).status_code for _ in range(2)] == [429, 200]


def test_a_form_that_makes_no_sense_says_so(simulator):
    answer = simulator.api.post("/behaviour", data={"system_id": "ACME", "mode": "answer", "status": "often"})
    assert answer.status_code == 400
    assert "The behaviour is as it was." in answer.text
    answer = simulator.api.post("/send", data={"system_id": "ACME", "operation": "Update", "properties": "{"})
    assert answer.status_code == 400
    assert "Nothing was sent. The properties are no JSON" in answer.text


def test_the_pages_show_what_came_as_text_never_as_markup(simulator, number):
    evil = '<script>alert("1")</script>'
    body = message(number, comment={"body": evil}, change={"number": number, "title": evil}, operation=evil)
    record = simulator.push("ACME", body).json()
    for path in ("/", f"/records/ACME/{record['external_id']}"):
        page = simulator.api.get(path)
        assert page.status_code == 200
        assert "&lt;script&gt;alert(" in page.text
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_the_pages_show_a_surrogate_half(simulator, number):
    simulator.push("ACME", message(number, comment={"body": "\ud800"}))
    assert simulator.api.get("/").status_code == 200


def test_the_overview_shows_the_last_of_each_partner_and_all_of_one(simulator, number):
    for place in range(15):
        simulator.push("ACME", message(f"{number}-{place:02}"))
    overview = simulator.api.get("/").text
    assert overview.count(f"<td>{number}-") == 12
    assert simulator.api.get("/?partner=ACME").text.count(f"<td>{number}-") == 15
    assert f"<td>{number}-" not in simulator.api.get("/?partner=BETA").text
    assert simulator.api.get("/?partner=ZETA").status_code == 404


def test_the_pages_load_nothing_from_elsewhere_and_document_the_addresses(simulator, number):
    page = simulator.api.get("/").text
    assert re.findall(r'(?:src|href)="(?!/)', page) == []
    for path in ("/operations", "/api/received", "/api/sequence", "/send", "/behaviour"):
        assert path in page


def test_a_page_of_another_host_cannot_send_anything(simulator):
    before = simulator.get("/api/partners/ACME/behaviour"), simulator.get("/api/sent")
    for method, path in (("PUT", "/api/partners/ACME/behaviour"), ("POST", "/send"), ("POST", "/behaviour")):
        answer = simulator.api.request(method, path, data="{}", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403
    assert (simulator.get("/api/partners/ACME/behaviour"), simulator.get("/api/sent")) == before


# --- Starting ---


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("partners: [", "is no valid YAML"),
        ("people: []", "write one key, partners, with a list"),
        ("partners: []", "name at least one partner"),
        ("partners: [ACME]", "partners[0]: write a partner as keys and values"),
        ("partners: [{system_id: ACME}]", "partners[0]: system_id and base_url are needed"),
        ("partners: [{system_id: ACME, base_url: 'x'}]", "partners[0]: base_url must begin with http"),
        ("partners: [{system_id: 5, base_url: 'http://x'}]", "partners[0]: not a text: system_id."),
        ("partners: [{system_id: A, base_url: 'http://x', secret: x}]", "partners[0]: unknown: secret."),
        ("partners: [{system_id: A, base_url: 'http://x', signing_secret: x}]", "partners[0]: Write the secret as"),
        ("partners: [{system_id: A, base_url: 'http://x', port: x}]", "partners[0]: port must be a number"),
        ("partners: [{system_id: A, base_url: 'http://x', certificate: x}]", "partners[0]: a certificate needs a port"),
        ("partners: [&a {system_id: A, base_url: 'http://x'}, *a]", "partners[1]: A is there twice."),
    ],
)
def test_a_faulty_configuration_is_refused_with_the_place(tmp_path, text, problem):
    file = tmp_path / "simulator.yaml"
    file.write_text(text)
    with pytest.raises(CommandError, match=re.escape(problem)) as refusal:
        call_command("simulator", config=file)
    assert str(refusal.value).startswith(str(file))


def test_a_missing_configuration_is_refused(tmp_path):
    with pytest.raises(CommandError, match=r"none.yaml cannot be read: No such file or directory\."):
        call_command("simulator", config=tmp_path / "none.yaml")


@pytest.mark.parametrize("what", ["port", "certificate"])
def test_an_address_of_its_own_that_cannot_be_used_is_told(simulator, tmp_path, what):
    taken_port = int(simulator.url.rpartition(":")[2])
    own = {"port": taken_port} if what == "port" else {"port": free_port(), "certificate": str(tmp_path / "none.pem")}
    file = tmp_path / "simulator.yaml"
    file.write_text(yaml.safe_dump({"partners": [{"system_id": "A", "base_url": "http://x", **own}]}))
    done = subprocess.run(
        [sys.executable, "manage.py", "simulator", "--port", "0", "--config", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("CommandError: A partner's own port or certificate cannot be used: ")


def test_a_taken_port_is_named(simulator):
    port = int(simulator.url.rpartition(":")[2])
    with pytest.raises(CommandError, match=f"Port {port} of 127.0.0.1 cannot be used: Address already in use."):
        call_command("simulator", config=simulator.config, port=port)
