"""A simulated partner with its own address, with and without TLS."""

import json
import os

import pytest
import requests
import yaml

from integrations.transports import signing
from tests import warm
from tests.certificates import AUTHORITY, EXPIRED, VALID, make_certificates
from tests.processes import free_port

from .conftest import SECRETS, Simulator, message


@pytest.fixture(scope="module")
def with_doors(tmp_path_factory):
    """ACME has a separate port, BETA a separate one with TLS."""
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


@pytest.mark.parametrize("what", ["port", "certificate"])
def test_an_address_of_its_own_that_cannot_be_used_is_told(simulator, tmp_path, what):
    taken_port = int(simulator.url.rpartition(":")[2])
    own = {"port": taken_port} if what == "port" else {"port": free_port(), "certificate": str(tmp_path / "none.pem")}
    file = tmp_path / "simulator.yaml"
    file.write_text(yaml.safe_dump({"partners": [{"system_id": "A", "base_url": "http://x", **own}]}))
    done = warm.manage(["simulator", "--port", "0", "--config", str(file)], os.environ, is_once=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("CommandError: A partner's own port or certificate cannot be used: ")
