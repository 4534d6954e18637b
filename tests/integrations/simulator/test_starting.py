"""Starting the simulator with valid and invalid configurations, stopping and restarting it."""

import os
import re
import signal

import pytest
import requests
from django.core.management import CommandError, call_command

from .conftest import SECRETS, Simulator, message, taken

# --- Restarting ---


def test_a_restart_keeps_what_was_received(tmp_path, number):
    simulator = Simulator(tmp_path, [{"system_id": "ACME", "signing_secret": SECRETS["ACME"], "base_url": "http://x"}])
    try:
        first = message(number)
        answer = simulator.push("ACME", first).json()
        simulator.push("ACME", message(number, "Update", 2))
        before = [simulator.get(path) for path in ("/api/received", "/api/records")]
        simulator.process.kill()
        # Simulates a crash while a line was written.
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
        (
            "partners: [{system_id: A, base_url: 'http://x', delivery: fax}]",
            "partners[0]: delivery must be one of push",
        ),
        ("partners: [{system_id: A, base_url: 'http://x', delivery: pull}]", "partners[0]: with delivery pull, token"),
        (
            "partners: [{system_id: A, base_url: 'http://x', delivery: smax}]",
            "partners[0]: with delivery smax, username",
        ),
        ("partners: [{system_id: A, base_url: 'http://x', poll_seconds: 0}]", "partners[0]: poll_seconds must be"),
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


def test_a_taken_port_is_named(simulator):
    port = int(simulator.url.rpartition(":")[2])
    with pytest.raises(CommandError, match=f"Port {port} of 127.0.0.1 cannot be used: Address already in use."):
        call_command("simulator", config=simulator.config, port=port)
