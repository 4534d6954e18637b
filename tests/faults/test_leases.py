"""Two workers hold one operation: the lease is shorter than a request, a worker is suspended, or a clock is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from .stack import WORKERS

pytestmark = pytest.mark.xdist_group("faults")

# Many times the lease, but within the five minutes that a partner tolerates in a signature's timestamp.
WRONG_CLOCKS = {"ahead": "+240s", "behind": "-240s"}
# The number of different clocks that have sent something.
_CLOCKS = """
    SELECT count(DISTINCT round(extract(epoch FROM a.started_at - o.created_at) / 240))
    FROM integrations_deliveryattempt a JOIN integrations_outgoingoperation o ON o.id = a.operation_id
    WHERE o.change_id > %(since)s
"""


@pytest.fixture
def other_workers(exchange):
    """Replaces the usual workers with those of the test. Restores them afterwards."""
    exchange.stop_processes(WORKERS)
    before = {*exchange.processes}
    yield
    others = {*exchange.processes} - before
    for name in WORKERS:
        exchange.start_process(name)
    exchange.stop_processes(others)
    for name in WORKERS:
        exchange.until_worker_is_ready(name)


def test_a_lease_shorter_than_a_request(exchange, load, nothing_is_lost, other_workers):
    """Each operation is claimed again while its request is in flight, and the partners stay slow. A late success must
    still count; otherwise the same operation would be sent for ever."""
    for name in ("hasty-1", "hasty-2"):
        exchange.start_worker(name, DELIVERY_LEASE="0.2", DELIVERY_TIMEOUT="3")
    for name in ("hasty-1", "hasty-2"):
        exchange.until_worker_is_ready(name)
    before = len(repeats(exchange))
    exchange.behave("ACME", mode="hang", seconds=0.8)
    exchange.behave("BETA", mode="hang", seconds=0.6)
    try:
        with load(at_least=5, pause=0.2) as work:
            exchange.until("something arrived twice", lambda: len(repeats(exchange)) > before, 180)
        assert nothing_is_lost(work)
    finally:
        for system_id in ("ACME", "BETA"):
            exchange.behave(system_id, mode="normal")
    assert work.failures == []


def test_a_worker_that_sleeps_longer_than_its_lease_changes_nothing_when_it_wakes(
    exchange, load, random, nothing_is_lost
):
    sleeper, other = random.sample(WORKERS, 2)
    before = len(repeats(exchange))
    for system_id in ("ACME", "BETA"):
        exchange.behave(system_id, mode="hang", seconds=0.8)
    try:
        with load() as work:
            exchange.until("something is being sent", lambda: sending(exchange))
            exchange.processes[other].pause()
            arrived = len(received(exchange))
            exchange.until("the one that is awake sends", lambda: len(received(exchange)) > arrived, 180)
            exchange.processes[sleeper].pause()
            exchange.processes[other].resume()
            exchange.until("the other one sends it again", lambda: len(repeats(exchange)) > before, 180)
            exchange.processes[sleeper].resume()
    finally:
        for name in WORKERS:
            exchange.processes[name].resume()
        for system_id in ("ACME", "BETA"):
            exchange.behave(system_id, mode="normal")
    assert nothing_is_lost(work)
    assert work.failures == []


def test_workers_whose_clocks_are_minutes_wrong(exchange, load, since, nothing_is_lost, other_workers):
    """One clock is ahead, one is behind, and one is right."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    assert library, "faketime is missing: `make test` installs it."
    for name, clock in WRONG_CLOCKS.items():
        exchange.start_worker(name, LD_PRELOAD=str(library), FAKETIME=clock, FAKETIME_DONT_FAKE_MONOTONIC="1")
    exchange.start_worker("right")
    for name in (*WRONG_CLOCKS, "right"):
        exchange.until_worker_is_ready(name)
    with load(at_least=12) as work:
        exchange.until("a wrong one has sent something", lambda: exchange.query(_CLOCKS, since=since)[0][0] > 1)
    assert nothing_is_lost(work)
    assert work.failures == []


def received(exchange):
    return exchange.simulator.get("/api/received").json()


def repeats(exchange):
    return [message for message in received(exchange) if message["repeat"]]


def sending(exchange):
    return exchange.query("SELECT count(*) FROM integrations_outgoingoperation WHERE status = 'Sending'")[0][0]
