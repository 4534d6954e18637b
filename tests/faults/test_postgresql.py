"""PostgreSQL fails. Nothing works without it, but operations committed before are delivered afterwards, once."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.xdist_group("faults")

_CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'faults' AND pid <> pg_backend_pid()"
)


@pytest.mark.parametrize("how", ["SIGINT", "SIGQUIT", "SIGKILL"])
def test_postgresql_is_restarted_in_the_middle(exchange, load, random, nothing_is_lost, how):
    """A regular stop, an immediate stop, and a crash, after which it recovers from its log."""
    with load() as work:
        for _ in range(2):
            time.sleep(random.uniform(0.3, 0.8))
            exchange.stop_postgresql(how)
            exchange.start_postgresql()
            done = work.marks()
            exchange.until("work goes on", lambda done=done: work.everybody_did(1, since=done))
    assert nothing_is_lost(work)


def test_connections_are_cut_again_and_again(exchange, load, random, nothing_is_lost):
    with load() as work:
        for _ in range(10):
            time.sleep(random.uniform(0.05, 0.3))
            exchange.query(_CUT)
    assert nothing_is_lost(work)


def test_postgresql_is_paused_for_longer_than_a_lease(exchange, load, nothing_is_lost):
    with load() as work:
        exchange.until("work has begun", lambda: work.everybody_did(2))
        exchange.postgresql.process.pause()
        try:
            time.sleep(3)
        finally:
            exchange.postgresql.process.resume()
    assert nothing_is_lost(work)
    assert work.failures == []
