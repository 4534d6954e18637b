"""Shared fixtures of the simulator tests: a running simulator, and messages to it."""

import json
import os
from itertools import count
from uuid import uuid4

import pytest
import requests
import yaml
from knox.models import AuthToken

from integrations.transports import signing
from tests import services, warm
from tests.exchange import Client
from tests.processes import free_port, until

SECRETS = {"ACME": signing.new_secret(), "BETA": signing.new_secret()}


_changes = count(1)


class Simulator:
    """The simulator's process, its address, and methods to call it."""

    def __init__(self, folder, partners):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = folder / "simulator.yaml"
        self.config.write_text(yaml.safe_dump({"partners": partners}))
        self.start()

    def start(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = warm.start(
            ["simulator", "--port", str(port), "--config", str(self.config)],
            # The simulator must not need a database.
            {**os.environ, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"},
            self.folder / "simulator.log",
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
        """Sends a message as the product's delivery does."""
        raw = json.dumps(body).encode()
        signed = signing.headers(body["id"], raw, [secret or SECRETS[system_id]])
        return self.api.post("/operations", data=raw, headers={**signed, **headers}, allow_redirects=False)

    def send(self, system_id, body, **options):
        answer = self.api.post(f"/api/partners/{system_id}/send", json={"body": body, **options})
        assert answer.ok, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def running():
    """One simulator process for all these tests. No API listens at the address that it sends to."""
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
    """A change number that no other test uses."""
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


def taken(simulator, number):
    return [item["operation"] for item in simulator.get("/api/sequence", system_id="ACME", change=number)]


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
