"""The figures of a whole installation: what the worker and the web server count is read from either door."""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.exchange import METRICS_TOKEN, RunningExchange
from tests.integrations.watch.prometheus import named, parsed
from tests.processes import free_port


def test_both_doors_have_the_figures_of_all_processes(running_exchange):
    number = running_exchange.api("alice").post(
        "/api/v1/changes/", json={"title": "Replace core switch", "owning_group": "ACME Networks"}
    )
    running_exchange.until_received("ACME", number.json()["number"], ["Assign"])
    port = free_port()
    running_exchange.environment["METRICS_PORT"] = str(port)
    running_exchange.start_process("metrics")
    try:
        own = f"http://127.0.0.1:{port}/metrics"
        running_exchange.until("the port answers", lambda: _answers(own))
        delivered = named("attempt_seconds_count", system="ACME", result="delivered")
        created = named("requests_total", view="api:changes", status="201")
        _has(running_exchange, own, {}, delivered, created)
        token = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        _has(running_exchange, f"{running_exchange.base_url}/metrics", token, delivered, created)
    finally:
        running_exchange.stop_process("metrics")
    assert requests.get(f"{running_exchange.base_url}/metrics", timeout=10).status_code == 401


def test_one_id_leads_from_the_web_servers_log_to_the_workers(running_exchange):
    made = running_exchange.api("alice").post(
        "/api/v1/changes/",
        json={"title": "Replace core switch", "owning_group": "ACME Networks"},
        headers={"X-Request-ID": "from-the-proxy-1"},
    )
    assert made.headers["X-Request-ID"] == "from-the-proxy-1"
    running_exchange.until_received("ACME", made.json()["number"], ["Assign"])
    (asked,) = _lines(running_exchange, "web", "casexchange.requests")
    assert (asked["view"], asked["status"], asked["level"]) == ("api:changes", 201, "info")

    def delivered() -> list[dict[str, Any]]:
        return _lines(running_exchange, "worker", "casexchange.attempts.delivered")

    running_exchange.until("the worker has told it", delivered)
    (sent,) = delivered()
    assert [sent["operation_id"]] == asked["operations"]
    assert (sent["system"], sent["attempt"], sent["result"]) == ("ACME", 1, "delivered")


def _lines(exchange: RunningExchange, process: str, logger: str) -> list[dict[str, Any]]:
    """The lines of this log that have the id of the request."""
    text = (exchange.folder / f"{process}.log").read_text()
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{") and "from-the-proxy-1" in line]
    return [line for line in found if line["logger"] == logger]


def _has(exchange, url: str, headers: dict[str, str], *names: str) -> None:
    def has_all() -> bool:
        found = parsed(requests.get(url, headers=headers, timeout=30).text)
        roles = ("beat", "worker_delivery", "worker_housekeeping", "database", "broker", "migrations")
        checks = [found.get(named("ready", check=role)) for role in roles]
        return checks == [1] * len(roles) and all(found.get(name, 0) >= 1 for name in names)

    exchange.until(f"{url} has {names}", has_all)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).ok
    except requests.ConnectionError:
        return False
