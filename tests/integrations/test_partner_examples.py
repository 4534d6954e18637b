"""The programs of docs/partner-examples/ run as they stand there, against what we really send and hand out.

Java and Node.js are not installed for the tests. Their programs run where they are there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from integrations.models import ExternalReference
from integrations.outgoing import delivery
from integrations.pages.ping.calls import ping
from integrations.transports.signing import headers, new_secret
from tests.processes import Process, free_port, start, until

EXAMPLES = Path("docs/partner-examples").resolve()
RUNTIMES = {"py": sys.executable, "mjs": "node", "java": "java", "sh": "sh"}
INSTALLED = [kind for kind, runtime in RUNTIMES.items() if shutil.which(runtime)]
BODY = (
    '{"id": "%s", "operation": "Assign", "sequence": 1, "change": {"number": "CHG0000007", "title": "Größe \\"7\\""}}'
)


def test_the_programs_are_of_languages_that_can_be_run():
    assert {file.suffix[1:] for file in EXAMPLES.iterdir()} == {*RUNTIMES}
    assert {"py", "sh"} <= {*INSTALLED}


@contextmanager
def running(name: str, kind: str, folder: Path, **environment: str) -> Iterator[Process]:
    file = f"{name.title() if kind == 'java' else name}.{kind}"
    command = [shutil.which(RUNTIMES[kind]) or "", str(EXAMPLES / file)]
    program = start(command, log=folder / "log", environment={"NO_PROXY": "*", **environment}, cwd=folder)
    try:
        yield program
    finally:
        program.kill_all()


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [kind for kind in INSTALLED if kind != "sh"])
def test_a_receiver_takes_what_we_send_once_and_nothing_else(kind, acme, give, tmp_path):
    acme.signing_secret, acme.previous_signing_secret = new_secret(), new_secret()
    port = free_port()
    acme.endpoint_url = f"http://127.0.0.1:{port}/operations"
    acme.save()
    with running("receive", kind, tmp_path, SIGNING_SECRET=acme.signing_secret, PORT=str(port)) as receiver:

        def post(identity, body, secrets, now=None):
            signed = headers(identity, body, secrets, now or datetime.now(UTC))
            return requests.post(acme.endpoint_url, data=body, headers=signed, timeout=30)

        def is_ready():
            receiver.check_running()
            try:
                return post("0", b"{}", [new_secret()]).status_code == 401
            except requests.ConnectionError:
                return False

        until("it refuses what is not from us", is_ready)
        operations = give(acme)
        delivery.drain()
        assert {*operations.values_list("status", flat=True)} == {"Delivered"}
        number = operations[0].change.number
        assert ExternalReference.objects.get().external_id == f"D-{number}"
        assert receiver.has_printed(f"Assign 1 {number} Change 0\n")

        body = (BODY % "id-7").encode()
        late = datetime.now(UTC) - timedelta(minutes=6)
        first = post("id-7", body, acme.signing_secrets)
        second = post("id-7", body, [acme.signing_secret])
        assert [(answer.status_code, answer.json()["external_id"]) for answer in (first, second)] == [
            (200, "D-CHG0000007")
        ] * 2
        assert receiver.log().count("CHG0000007") == 1
        assert post("id-7", body, [new_secret()]).status_code == 401
        assert post("id-7", body, []).status_code == 401
        assert post("id-8", body, [acme.signing_secret], late).status_code == 401
        # A ping, which some answer and some refuse, is no operation for any of them.
        assert ping(acme).status in (204, 401)
        assert post("id-9", body.replace(b"id-7", b"id-9"), [acme.signing_secret]).status_code == 200
        assert receiver.log().count("CHG0000007") == 2


def test_the_receiver_in_shell_takes_a_message_once_and_nothing_else(tmp_path):
    secret, former = new_secret(), new_secret()
    body, now = (BODY % "id-7").encode(), datetime.now(UTC)
    file = tmp_path / "body.json"

    def receive(identity, body, signed):
        file.write_bytes(body)
        arguments = [identity, signed["webhook-timestamp"], signed.get("webhook-signature", ""), str(file)]
        environment = {"SIGNING_SECRET": secret, "SEEN": str(tmp_path), "PATH": "/usr/bin:/bin"}
        command = ["sh", str(EXAMPLES / "receive.sh"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    good = headers("id-7", body, [former, secret], now)
    for identity, content, signed, code, said in (
        ("id-7", body + b" ", good, 1, "The signature is wrong."),
        ("id-8", body, good, 1, "The signature is wrong."),
        ("id-7", body, headers("id-7", body, [], now), 1, "The signature is wrong."),
        ("id-7", body, headers("id-7", body, [secret], now - timedelta(minutes=6)), 1, "The message is too old"),
        ("id-7", body, {**good, "webhook-timestamp": "7; date"}, 1, "The timestamp is no number."),
        ("id-7", body, good, 0, ""),
        ("id-7", body, good, 2, "id-7 was received before."),
    ):
        done = receive(identity, content, signed)
        assert (done.returncode, done.stderr[: len(said) or None].strip()) == (code, said), done.stderr


@pytest.mark.parametrize("kind", INSTALLED)
def test_a_collector_applies_and_acknowledges(kind, running_exchange, tmp_path):
    exchange = running_exchange
    alice, token = exchange.api("alice"), exchange.partner_api("GAMMA").headers["Authorization"].split()[1]
    title = f'For the collector {kind}: Größe \\ "7"\u2028'
    fields = {"title": title, "owning_group": "GAMMA Cloud"}
    change = alice.post("/api/v1/changes/", json=fields).json()
    with running("collect", kind, tmp_path, DESK=exchange.base_url, TOKEN=token) as collector:

        def reference():
            collector.check_running()
            return alice.get(f"/api/v1/changes/{change['number']}/").json()["external_references"]

        (acknowledged,) = exchange.until("it was acknowledged", reference)
    assert acknowledged["external_id"] == f"D-{change['number']}"
    assert collector.has_printed(f"Assign 1 {change['number']} For the collector {kind}")
    assert collector.log().count(change["number"]) == 1
