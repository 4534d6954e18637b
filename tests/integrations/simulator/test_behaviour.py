"""The behaviours that the simulator can be set to."""

import contextlib
import json
import re
import socket

import pytest
import requests

from integrations.transports import signing

from .conftest import SECRETS, message, taken


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
    """The first response head, and everything that follows within a short time."""
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
