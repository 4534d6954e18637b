"""The figures that the database and the broker tell when Prometheus asks, beside those that the processes count.

One query reads the systems, as for the status page: each number is counted in a partial index. So the cost depends on
what waits, not on all that was ever delivered. Whatever hangs, the answer comes within some seconds, without those
figures.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.db import connection
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from changes.models import restored_copy
from integrations.choices import Breaker
from integrations.models import ConnectionPoll, ExternalSystem
from integrations.retention import sweeping
from integrations.standing import status
from integrations.standing.flow import STOPPED
from integrations.workers import last_runs, signs

from . import process_files, readiness
from .bounded import Look

logger = logging.getLogger(__name__)

# Seconds for which the numbers of the database are told to others who ask.
KEPT_FOR = 5.0
PATIENCE = 5.0


class Exposed(Collector):
    """All figures. `folder`: where the processes count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        systems = _systems.begin()
        yield from process_files.summed(self._folder)
        yield from _of_checks(readiness.checks())
        yield _of_broker()
        yield from _of_runs()
        try:
            found = systems.result(PATIENCE)
        except Exception as error:  # noqa: BLE001 - casexchange_ready tells that the database is not well
            logger.info("The figures of the systems are left out: %s", error or "no answer in time")
        else:
            yield from _of_systems(found)


def registry(folder: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Exposed(folder))
    return registry


def _of_checks(checks: dict[str, readiness.Check]) -> Iterator[Metric]:
    ready = GaugeMetricFamily("casexchange_ready", "1 if this check of /readyz is well, else 0.", labels=["check"])
    heard = GaugeMetricFamily(
        "casexchange_last_sign_of_life_seconds",
        "Seconds since beat, or a worker of this queue, was last heard.",
        labels=["role"],
    )
    for name, check in checks.items():
        ready.add_metric([name], float(check.is_ok))
        if name in signs.ROLES and check.seconds_ago is not None:
            heard.add_metric([name], check.seconds_ago)
    yield from (ready, heard)


def _of_broker() -> Metric:
    waiting = GaugeMetricFamily("casexchange_broker_messages", "Messages that wait in a queue.", labels=["queue"])
    for queue, length in readiness.queue_lengths().items():
        waiting.add_metric([queue], length)
    return waiting


def _of_runs() -> Iterator[Metric]:
    """Of this machine: the others tell of theirs."""
    backup = GaugeMetricFamily(
        "casexchange_last_backup_timestamp_seconds",
        "When the last good backup was taken on this machine; 0 for never.",
    )
    backup.add_metric([], _ran_at(last_runs.BACKUP))
    retention = GaugeMetricFamily(
        "casexchange_last_retention_timestamp_seconds",
        "When retention last ran to its end on this machine; 0 for never. Only if anything is to be removed.",
    )
    if sweeping.is_wanted():
        retention.add_metric([], _ran_at(last_runs.RETENTION))
    yield from (backup, retention)


def _ran_at(name: str) -> float:
    run = last_runs.last(name)
    return run.at.timestamp() if run else 0.0


# --- Systems ---

Systems = tuple[list[status.SystemStatus], dict[str, ConnectionPoll], datetime, bool]


def _look() -> Systems:
    try:
        now = timezone.now()
        systems = status.with_traffic(ExternalSystem.objects.order_by("system_id"), now)
        found = [status.status_of(system, now) for system in systems]
        polls = {one.system_id: one.system.poll for one in found if _is_polled(one)}
        return found, polls, now, restored_copy() is not None
    finally:
        connection.close()


def _is_polled(one: status.SystemStatus) -> bool:
    return hasattr(one.system, "poll") and one.flow.condition not in STOPPED


_systems: Look[Systems] = Look(_look, KEPT_FOR)


def _of_systems(found: Systems) -> Iterator[Metric]:
    statuses, polls, now, is_copy = found
    restored = GaugeMetricFamily("casexchange_restored_copy", "1 in a restored copy that waits for a person, else 0.")
    restored.add_metric([], float(is_copy))
    yield restored
    operations = GaugeMetricFamily(
        "casexchange_operations",
        "Operations that are neither delivered nor skipped, by system and state.",
        labels=["system", "state"],
    )
    oldest = GaugeMetricFamily(
        "casexchange_oldest_waiting_seconds", "The age of the oldest waiting operation; 0 for none.", labels=["system"]
    )
    condition = GaugeMetricFamily(
        "casexchange_system_condition",
        "1 for the condition of the system, as its page shows it.",
        labels=["system", "condition"],
    )
    breaker = GaugeMetricFamily(
        "casexchange_breaker", "1 for the state of the system's circuit breaker.", labels=["system", "state"]
    )
    for one in statuses:
        counts = {"waiting": one.waiting, "sending": one.in_flight, "refused": one.refused}
        for state, count in counts.items():
            operations.add_metric([one.system_id, state], count)
        oldest.add_metric([one.system_id], one.oldest_waiting_age or 0)
        condition.add_metric([one.system_id, str(one.flow.condition)], 1)
        for each in Breaker:
            breaker.add_metric([one.system_id, each.value], float(one.breaker.state == each))
    yield from (operations, oldest, condition, breaker)
    yield from _of_polls(polls, now)


def _of_polls(polls: dict[str, ConnectionPoll], now: datetime) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "casexchange_poll_lag_seconds",
        "Seconds by which a poll for a partner's news is late, or since when polls fail; 0 if they are in time.",
        labels=["system"],
    )
    failures = GaugeMetricFamily("casexchange_poll_failures", "Polls in a row that failed.", labels=["system"])
    for system, poll in polls.items():
        since = poll.failing_since or poll.due_at
        lag.add_metric([system], max(0.0, (now - since).total_seconds()))
        failures.add_metric([system], poll.failures)
    yield from (lag, failures)
