"""Whether the installation is well: the database and its migrations, the broker, the workers and beat.

Nothing here waits longer than `PATIENCE`, whatever hangs. A stranger may read the answers, so they name no host and no
version; the log has the errors.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from integrations.workers import signs
from integrations.workers.wakeup import Link

from .bounded import Look

logger = logging.getLogger(__name__)

# Seconds that a call waits for all checks together.
PATIENCE = 2.0
# Seconds for which what was seen is told to others who ask.
KEPT_FOR = 1.0
# That nothing is missing stays true for a while.
MIGRATIONS_KEPT_FOR = 30.0

UNUSABLE = "cannot be used"
OK, FAILING, UNKNOWN = "ok", "failing", "unknown"
DATABASE, MIGRATIONS, BROKER = "database", "migrations", "broker"
CHECKS = (DATABASE, MIGRATIONS, BROKER, *signs.ROLES)


@dataclass(frozen=True)
class Check:
    """`seconds_ago`: how long ago it was well, or was heard; None for never."""

    state: str
    detail: str = ""
    seconds_ago: float | None = None

    @property
    def is_ok(self) -> bool:
        return self.state == OK


@dataclass(frozen=True)
class _Database:
    """What one look at the database saw. `ages`: seconds since each sign of life; None if they cannot be read yet."""

    missing: int
    ages: dict[str, float] | None


def checks(wanted: Collection[str] = CHECKS) -> dict[str, Check]:
    """These checks, by their names."""
    asks_database, asks_broker = bool({*wanted} - {BROKER}), BROKER in wanted
    # Both begin before either is waited for.
    if asks_broker:
        _broker.begin()
    found: dict[str, Check] = _of_database() if asks_database else {}
    if asks_broker:
        lengths, detail = _seen(_broker)
        found[BROKER] = _memory.noted(BROKER, lengths is not None, detail or UNUSABLE)
    return {name: found[name] for name in CHECKS if name in wanted}


def queue_lengths() -> dict[str, int]:
    """How many messages wait in each queue of the broker; empty if it cannot be asked in time."""
    try:
        return _broker.result(PATIENCE) or {}
    except TimeoutError:
        return {}


def _of_database() -> dict[str, Check]:
    seen, detail = _seen(_database)
    found = {DATABASE: _memory.noted(DATABASE, seen is not None, detail)}
    if seen is None:
        unknown = Check(UNKNOWN, "the database has to be asked for it")
        return found | dict.fromkeys((MIGRATIONS, *signs.ROLES), unknown)
    found[MIGRATIONS] = _memory.noted(MIGRATIONS, not seen.missing, f"{seen.missing} not applied: run migrate")
    if seen.ages is None:
        return found | dict.fromkeys(signs.ROLES, Check(UNKNOWN, "a migration is missing"))
    return found | {role: _memory.told(role, heard(role, seen.ages)) for role in signs.ROLES}


def heard(role: str, ages: Mapping[str, float]) -> Check:
    """Whether this part was heard lately. `ages`: seconds since each was."""
    if role not in ages:
        return Check(FAILING, "never heard")
    age, lately = max(0.0, ages[role]), signs.lately()
    if age > lately:
        return Check(FAILING, f"not heard for more than {lately:g} s", round(age, 1))
    return Check(OK, "", round(age, 1))


def _seen(look: Look[Any]) -> tuple[Any, str]:
    """What was seen; or None, and why nothing was."""
    try:
        return look.result(PATIENCE), ""
    except TimeoutError:
        return None, f"no answer within {PATIENCE:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not well
        logger.debug("A check failed: %s", error)
        return None, UNUSABLE


class _Memory:
    """When each check was last well, and which are not, so that the log tells each change once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._well_at: dict[str, float] = {}
        self._failing: set[str] = set()

    def noted(self, name: str, is_well: bool, detail: str) -> Check:
        with self._lock:
            if is_well:
                self._well_at[name] = time.monotonic()
            well_at = self._well_at.get(name)
        ago = None if well_at is None else round(time.monotonic() - well_at, 1)
        return self.told(name, Check(OK, "", ago) if is_well else Check(FAILING, detail, ago))

    def told(self, name: str, check: Check) -> Check:
        with self._lock:
            is_news = check.is_ok == (name in self._failing)
            (self._failing.discard if check.is_ok else self._failing.add)(name)
        if is_news and check.is_ok:
            logger.info("Readiness: %s is well again", name)
        elif is_news:
            logger.warning("Readiness: %s is not well: %s", name, check.detail)
        return check


# --- The looks ---


class _LookAtDatabase:
    """Opens a connection for each look: it then also tells whether one can be had, and keeps none from the others."""

    def __init__(self) -> None:
        self._none_missing_until = 0.0

    def __call__(self) -> _Database:
        try:
            return self._look()
        finally:
            connection.close()

    def _look(self) -> _Database:
        if time.monotonic() > self._none_missing_until:
            executor = MigrationExecutor(connection)
            if missing := len(executor.migration_plan(executor.loader.graph.leaf_nodes())):
                return _Database(missing, None)
            self._none_missing_until = time.monotonic() + MIGRATIONS_KEPT_FOR
        return _Database(0, {role: age.total_seconds() for role, age in signs.ages().items()})


def _logged(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except Exception as error:
        logger.info("Readiness: the database cannot be used: %s", error)
        raise


_memory = _Memory()
_database: Look[_Database] = Look(partial(_logged, _LookAtDatabase()), KEPT_FOR)
_broker: Look[dict[str, int] | None] = Look(Link("questions about its queues").lengths, KEPT_FOR)
