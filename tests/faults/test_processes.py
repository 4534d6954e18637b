"""Our processes are killed with SIGKILL: workers, the web server, beat."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import pytest
import requests

from tests.processes import is_running, send_signal, until

from .stack import WORKERS

pytestmark = pytest.mark.xdist_group("faults")


def lose_the_host(exchange, name, random):
    exchange.kill_process_and_its_children(name)
    exchange.start_process(name)


def kill_the_parent(exchange, name, random):
    """Kills only the parent. Its children finish their work beside the children of the new worker."""
    exchange.kill_process(name)
    exchange.start_process(name)


def kill_a_child(exchange, name, random):
    # Celery ends a worker that loses a child before it takes its first task.
    exchange.until(f"{name} works", lambda: exchange.processes[name].has_printed("casexchange.attempts.delivered"))
    if children := exchange.processes[name].family()[1:]:
        send_signal(random.choice(children), signal.SIGKILL)


@pytest.mark.parametrize(("kill", "times"), [(lose_the_host, 5), (kill_the_parent, 2), (kill_a_child, 6)])
def test_a_worker_is_killed_at_random_moments_again_and_again(exchange, load, random, nothing_is_lost, kill, times):
    """Another worker keeps running."""
    orphans: list[int] = []
    with load() as work:
        for _ in range(times):
            victim, other = random.sample(WORKERS, 2)
            exchange.until_worker_is_ready(other)
            time.sleep(random.uniform(0, 0.5))
            orphans += exchange.processes[victim].family()[1:] if kill is kill_the_parent else []
            kill(exchange, victim, random)
    assert nothing_is_lost(work)
    assert work.failures == []
    until("the children of the killed ones have ended", lambda: not any(map(is_running, orphans)))


def test_all_workers_are_killed_at_once_while_requests_are_on_their_way(exchange, load, nothing_is_lost):
    exchange.behave("ACME", mode="hang", seconds=0.5)
    with load() as work:
        exchange.until("something is being sent", lambda: sending(exchange))
        for name in WORKERS:
            exchange.kill_process_and_its_children(name)
        for name in WORKERS:
            exchange.start_process(name)
    exchange.behave("ACME", mode="normal")
    assert nothing_is_lost(work)
    assert work.failures == []


def sending(exchange):
    return exchange.query("SELECT count(*) FROM integrations_outgoingoperation WHERE status = 'Sending'")[0][0]


# --- The web server ---


def test_the_web_server_is_killed_at_random_moments(exchange, load, random, nothing_is_lost):
    """A partner repeats an unanswered operation with the same key, and it is applied once."""
    with load() as work:
        for _ in range(3):
            time.sleep(random.uniform(0.2, 0.8))
            exchange.kill_process_and_its_children("web")
            exchange.start_process("web")
            exchange.until("the web server answers", exchange.is_answering)
    assert nothing_is_lost(work)
    assert work.failures


@pytest.mark.parametrize("redis_is", ["gone", "paused"])
def test_the_web_server_is_killed_between_commit_and_wake_up(exchange, since, nothing_is_lost, redis_is):
    """Without the broker no wake-up is sent; with a paused one it hangs. The sweep must find the due operations."""
    if redis_is == "gone":
        exchange.redis.stop()
    else:
        exchange.redis.process.pause()
    request = threading.Thread(target=create, args=(exchange,))
    request.start()
    committed = "SELECT count(*) FROM integrations_outgoingoperation o WHERE o.change_id > %(since)s"
    until("the operation is committed", lambda: exchange.query(committed, since=since)[0][0])
    exchange.kill_process_and_its_children("web")
    request.join()
    if redis_is == "gone":
        exchange.start_redis()
    else:
        exchange.redis.process.resume()
    exchange.start_process("web")
    exchange.until("the web server answers", exchange.is_answering)
    assert nothing_is_lost() == 1


def create(exchange):
    with contextlib.suppress(requests.ConnectionError):  # the web server is killed at this point
        exchange.api("alice").post("/api/v1/changes/", json={"title": "Lost?", "owning_group": "ACME Networks"})


# --- Beat ---


def test_beat_is_killed(exchange, load, random, nothing_is_lost):
    with load() as work:
        for _ in range(2):
            time.sleep(random.uniform(0.1, 0.7))
            exchange.kill_process_and_its_children("beat")
            done = work.marks()
            exchange.until("work went on without beat", lambda done=done: work.everybody_did(3, since=done))
            exchange.start_process("beat")
    assert nothing_is_lost(work)
    assert work.failures == []


def test_what_only_the_sweep_can_find_waits_for_beat(exchange, since, nothing_is_lost):
    """Beat is dead and the wake-up is lost. Restarting beat is enough."""
    exchange.kill_process_and_its_children("beat")
    exchange.redis.stop()
    create(exchange)
    exchange.start_redis()
    exchange.start_process("beat")
    assert nothing_is_lost() == 1
