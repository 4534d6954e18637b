"""Measures the duration of each test module. `--module-durations FILE` writes it as JSON, for tests/run.py."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest


class ModuleDurations:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid.partition("::")[0]] += report.duration

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps(self._seconds))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--module-durations", type=Path, metavar="FILE", help="write the seconds of each module to FILE")


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("module_durations")
    # xdist's workers report to the main process, which writes the file.
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ModuleDurations(file.absolute()))
