"""Rate limits: for each token, for each address, without a token, and over all processes of a server."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
import requests
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from changes import rate_limits
from changes.models import Change, RateCounter
from tests import warm
from tests.processes import free_port, until

CHANGES = "/api/v1/changes/"


@pytest.fixture(autouse=True)
def _no_shares(new_day):
    """As in a new process. Other tests may have counted in this one."""
    rate_limits.forget()
    yield
    rate_limits.forget()


def statuses(client, count, **headers):
    return [client.get(CHANGES, headers=headers).status_code for _ in range(count)]


def test_over_the_limit_of_its_token_a_call_is_told_when_to_come_back(api, alice, carol, settings):
    settings.API_RATE_LIMIT = "3/day"
    client = api(alice)
    assert statuses(client, 2) == [200, 200]
    assert client.post(CHANGES, {"title": "Third"}).status_code == 201
    answer = client.post(CHANGES, {"title": "Fourth"})
    assert answer.status_code == 429 and answer.json()["errors"][0]["code"] == "throttled"
    assert 0 < int(answer.headers["Retry-After"]) <= 86_400
    assert Change.objects.count() == 1
    assert statuses(api(carol), 1) == [200]


def test_the_next_window_starts_anew(api, alice, settings, time_machine):
    settings.API_RATE_LIMIT = "1/minute"
    time_machine.move_to("2026-11-24T09:30:20Z", tick=False)
    client = api(alice)
    assert statuses(client, 2) == [200, 429]
    assert client.get(CHANGES).headers["Retry-After"] == "40"
    time_machine.move_to("2026-11-24T09:30:59.5Z", tick=False)
    assert client.get(CHANGES).headers["Retry-After"] == "1"
    time_machine.move_to("2026-11-24T09:31:00Z", tick=False)
    assert statuses(client, 1) == [200]
    assert RateCounter.objects.count() == 1  # the counter of the window before is gone


def test_an_address_has_a_limit_over_all_its_tokens(api, alice, carol, settings):
    settings.API_ADDRESS_RATE_LIMIT = "3/day"
    assert statuses(api(alice), 2) + statuses(api(carol), 2) == [200, 200, 200, 429]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=["no token", "a wrong token"])
def test_who_has_no_valid_token_is_stopped_and_nobody_else(api, alice, settings, headers):
    settings.API_ANONYMOUS_RATE_LIMIT = "3/day"
    answers = [Client().get(CHANGES, headers=headers) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [401, 429, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    with CaptureQueriesContext(connection) as captured:
        assert Client().get(CHANGES, headers=headers).status_code == 429
    assert len(captured) == bool(headers)  # the token is looked for
    assert statuses(api(alice), 1) == [200], "others at this address are not stopped"
    elsewhere = Client(REMOTE_ADDR="198.51.100.7")
    assert elsewhere.get(CHANGES, headers=headers).status_code == 401


def test_the_addresses_of_one_ipv6_network_share_a_limit(db, settings):
    settings.API_ANONYMOUS_RATE_LIMIT = "3/day"
    addresses = [f"2001:db8:1:2:{number:x}::1" for number in range(5)] + ["2001:db8:1:3::1", "198.51.100.1"]
    answers = [Client(REMOTE_ADDR=address).get(CHANGES).status_code for address in addresses]
    assert answers == [401, 401, 401, 401, 429, 401, 401]


def test_no_rate_sets_no_limit(api, alice):
    assert set(statuses(api(alice), 5)) == {200}
    assert not RateCounter.objects.exists()


def test_most_calls_ask_the_database_nothing_for_their_limit(api, alice, settings):
    client = api(alice)
    client.get(CHANGES)
    with CaptureQueriesContext(connection) as without:
        client.get(CHANGES)
    settings.API_RATE_LIMIT = "6000/minute"
    client.get(CHANGES)
    with CaptureQueriesContext(connection) as captured:
        statuses(client, 50)
    assert len(captured) == 50 * len(without)


# Headers that a caller or a proxy sends, with the address that counts. Our proxies are 127.0.0.1 and 10.0.0.0/8.
FORWARDED = [
    ("nothing", "198.51.100.1", None, "198.51.100.1"),
    ("a caller that lies", "198.51.100.1", "203.0.113.9", "198.51.100.1"),
    ("our proxy", "127.0.0.1", "203.0.113.9", "203.0.113.9"),
    ("our proxy, for a caller that lies", "127.0.0.1", "192.0.2.1, 203.0.113.9", "203.0.113.9"),
    ("two of our proxies", "127.0.0.1", "203.0.113.9, 10.1.2.3", "203.0.113.9"),
    ("our proxy, with nonsense", "127.0.0.1", "unknown", "127.0.0.1"),
    ("IPv6", "127.0.0.1", "2001:db8::1", "2001:db8::/64"),
]


@pytest.mark.parametrize(("who", "connected", "forwarded", "counts"), FORWARDED, ids=[row[0] for row in FORWARDED])
def test_only_our_own_proxies_are_believed(db, settings, who, connected, forwarded, counts):
    from ipaddress import ip_network

    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8")]
    settings.API_ANONYMOUS_RATE_LIMIT = "100/day"
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    Client(REMOTE_ADDR=connected).get(CHANGES, headers=headers)
    (counter,) = RateCounter.objects.all()
    assert counter.name.startswith(f"anonymous:{counts}:")


def test_the_limit_holds_over_all_processes(running_exchange):
    """Two processes of one server, and a new connection for each call."""
    until("no day ends during the test", lambda: 5 < time.time() % 86_400 < 86_340, seconds=90)
    port = free_port()
    command = ["-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", str(port), "--no-ws"]
    server = warm.start(
        [*command, "--workers", "2", "casexchange.asgi:application"],
        {**os.environ, **running_exchange.environment, "API_RATE_LIMIT": "40/day"},
        running_exchange.folder / "limited.log",
        is_once=True,
    )
    headers = dict(running_exchange.api("audrey").headers, Connection="close")

    def call():
        server.check_running()
        return requests.get(f"http://127.0.0.1:{port}{CHANGES}", headers=headers, timeout=30)

    def first():
        try:
            return call()
        except requests.ConnectionError:
            return None

    try:
        answers = [until("the server answers", first), *(call() for _ in range(59))]
    finally:
        server.stop()
    assert Counter(answer.status_code for answer in answers) == {200: 40, 429: 20}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers if answer.status_code == 429)


def test_the_description_of_the_api_is_made_once(db, monkeypatch):
    address = "/api/v1/schema/"
    first = Client().get(address)
    assert first.status_code == 200
    monkeypatch.setattr("drf_spectacular.generators.SchemaGenerator.get_schema", lambda *args, **kwargs: 1 / 0)
    again = Client().get(address)
    assert (again.status_code, again.content) == (200, first.content)
