"""Fixtures of the fault tests: the installation, the load on it, and the check at the end of each test.

The report's header shows the seed of the run. `FAULTS_SEED=1234` repeats the same load, and the times of the faults.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests import services

from .check import assert_nothing_lost
from .load import Load
from .stack import FaultStack


class _Stacks:
    """Keeps at most one installation running. After a failed test it is not used again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: FaultStack | None = None

    def get(self) -> FaultStack:
        if self.running is None:
            stack = FaultStack(self.folder / services.new_name("faults"))
            try:
                stack.start()
            except BaseException:
                stack.stop()
                raise
            self.running = stack
        return self.running

    def end(self) -> None:
        stack, self.running = self.running, None
        if stack is not None:
            stack.stop()


@pytest.fixture(scope="session")
def _stacks() -> Iterator[_Stacks]:
    stacks = _Stacks(services.run_dir())
    yield stacks
    stacks.end()


@pytest.fixture
def exchange(_stacks: _Stacks, request: pytest.FixtureRequest) -> Iterator[FaultStack]:
    """The installation with all processes running. A test must leave it in this state."""
    exchange = _stacks.get()
    exchange.check_running()
    yield exchange
    if getattr(request.node, "has_failed", False):
        _stacks.end()


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> str:
    """The seed of this test, derived from that of the run."""
    return f"{os.environ['FAULTS_SEED']}/{request.node.name}"


@pytest.fixture
def random(seed: str) -> Random:
    """The random numbers for the test itself: the time and the target of a fault."""
    return Random(seed)


@pytest.fixture
def since(exchange: FaultStack) -> int:
    """The id of the newest change before the test."""
    return exchange.query("SELECT coalesce(max(id), 0) FROM changes_change")[0][0]


@pytest.fixture
def load(exchange: FaultStack, seed: str, since: int) -> Iterator[Callable[..., Load]]:
    """`with load():` lets people and partners work meanwhile. At the end of the test nothing may be lost."""
    loads: list[Load] = []

    def make(**options: Any) -> Load:
        loads.append(Load(exchange, f"{seed}/{len(loads)}", **options))
        return loads[-1]

    yield make


@pytest.fixture
def nothing_is_lost(exchange: FaultStack, since: int) -> Callable[..., int]:
    """`nothing_is_lost(load)` is the check at the end of each test: see check.py."""
    return lambda *loads: assert_nothing_lost(exchange, since, {text for load in loads for text in load.answered})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Adds the seed and the last lines of the logs to the report of a failed test, and discards its installation."""
    report = yield
    exchange = getattr(item, "funcargs", {}).get("exchange")
    if report.failed and isinstance(exchange, FaultStack):
        item.has_failed = True  # type: ignore[attr-defined]
        report.sections.append(("seed", f"FAULTS_SEED={os.environ['FAULTS_SEED']}"))
        report.sections.append(("state", exchange.state()))
        report.sections.append(("logs", exchange.logs(100)))
    return report
