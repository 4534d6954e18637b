"""What `/readyz` says while a part of the installation is gone or hangs. It always answers within seconds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

pytestmark = pytest.mark.xdist_group("faults")

# The checks are kept for a second, and wait two seconds at most; the rest is for a busy machine.
SOON = 10


def _asked(exchange) -> tuple[int, dict[str, str]]:
    """The status, and the state of each check."""
    answer = requests.get(f"{exchange.base_url}/readyz", timeout=SOON)
    return answer.status_code, {name: check["state"] for name, check in answer.json()["checks"].items()}


def _until(exchange, **states: str) -> None:
    """Waits until these checks have these states, and all others are well."""

    def is_so() -> bool:
        status, found = _asked(exchange)
        others = {state for name, state in found.items() if name not in states}
        return others <= {"ok"} and states.items() <= found.items() and status == (503 if states else 200)

    exchange.until(f"readyz says {states or 'ready'}", is_so)
    assert requests.get(f"{exchange.base_url}/healthz", timeout=SOON).json() == {"status": "alive"}


def test_all_is_well_at_first_and_a_lost_broker_is_named(exchange):
    _until(exchange)
    exchange.redis.process.kill_all()
    try:
        _until(exchange, broker="failing")
    finally:
        exchange.start_redis()
    _until(exchange)


def test_a_broker_that_hangs_is_named(exchange):
    exchange.redis.process.pause()
    try:
        _until(exchange, broker="failing")
    finally:
        exchange.redis.process.resume()
    _until(exchange)


def test_a_database_that_hangs_is_named_although_every_other_request_waits_for_it(exchange):
    unknown = dict.fromkeys(("migrations", "beat", "worker_delivery", "worker_housekeeping"), "unknown")
    _until(exchange)
    exchange.postgresql.process.pause()
    try:
        with ThreadPoolExecutor(8) as people:
            # More than the server has threads for.
            pages = [people.submit(exchange.pages("alice").get, "/changes/") for _ in range(8)]
            try:
                _until(exchange, database="failing", **unknown)
                assert not any(page.done() for page in pages)
            finally:
                exchange.postgresql.process.resume()
            assert {page.result().status_code for page in pages} == {200}
    finally:
        exchange.postgresql.process.resume()
    _until(exchange)


@pytest.mark.parametrize("role", ["beat", "worker_delivery", "worker_housekeeping"])
def test_what_is_not_heard_for_a_minute_is_named_until_it_is_heard_again(exchange, role):
    stopped = ["beat"] if role == "beat" else ["worker-1", "worker-2"]
    exchange.stop_processes(stopped)
    # The minute, without waiting for it.
    exchange.query(
        "UPDATE integrations_signoflife SET seen_at = now() - interval '61 s' WHERE role = %(role)s RETURNING role",
        role=role,
    )
    _until(exchange, **{role: "failing"})
    for name in stopped:
        exchange.start_process(name)
    _until(exchange)
