"""Redis fails. It only wakes workers, so pages and API continue. When it is back, delivery resumes by itself."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.xdist_group("faults")


def gone(redis, exchange):
    redis.stop()
    yield
    exchange.start_redis()


def paused(redis, exchange):
    redis.process.pause()
    yield
    redis.process.resume()


def without_enough_replicas(redis, exchange):
    redis.connect().config_set("min-replicas-to-write", 1)
    yield
    redis.connect().config_set("min-replicas-to-write", 0)


def full(redis, exchange):
    redis.connect().config_set("maxmemory-policy", "noeviction")
    redis.connect().config_set("maxmemory", 1)
    yield
    redis.connect().config_set("maxmemory", 0)


@pytest.mark.parametrize("fault", [gone, paused, without_enough_replicas, full])
def test_without_redis_people_and_partners_go_on_and_later_all_is_delivered(exchange, load, nothing_is_lost, fault):
    with load() as work:
        exchange.until("work has begun", lambda: work.everybody_did(2))
        outage = fault(exchange.redis, exchange)
        next(outage)
        began = time.monotonic()
        done = work.marks()
        try:
            exchange.until("everybody goes on", lambda: work.everybody_did(3, since=done))
            exchange.until("some seconds have passed", lambda: time.monotonic() > began + 3)
        finally:
            next(outage, None)
    assert nothing_is_lost(work)
    assert work.failures == []


def test_redis_is_restarted_empty_again_and_again(exchange, load, random, nothing_is_lost):
    with load() as work:
        for _ in range(3):
            time.sleep(random.uniform(0.1, 1))
            exchange.redis.process.kill()
            exchange.start_redis()
    assert nothing_is_lost(work)
    assert work.failures == []


def test_redis_forgets_all(exchange, load, random, nothing_is_lost):
    """Redis loses its queues, the unacknowledged messages, and the subscriptions."""
    with load() as work:
        for _ in range(3):
            time.sleep(random.uniform(0.1, 0.5))
            exchange.redis.connect().flushall()
    assert nothing_is_lost(work)
    assert work.failures == []


def test_without_redis_the_sweep_alone_delivers_in_a_process_that_needs_no_broker(exchange, load, nothing_is_lost):
    exchange.redis.stop()
    exchange.start_command("deliver", ["deliver", "--forever"])
    try:
        with load() as work:
            pass
        assert nothing_is_lost(work)  # while Redis is still down
    finally:
        exchange.stop_process("deliver")
        exchange.start_redis()
    assert work.failures == []
