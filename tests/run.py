"""Runs all tests on PostgreSQL, and beside it on SQLite those that belong on both: `python -m tests.run`.

Further arguments go to pytest. Ends with how long it took, the slowest modules, and the last line of either run, and
exits non-zero unless both passed. What runs where: databases.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from .services import DATABASES

SLOWEST = 10
# PostgreSQL has most of the work. Tests that wait for a process leave room for a worker more than there are cores.
CORES = len(os.sched_getaffinity(0))
WORKERS = {"postgresql": max(2, CORES), "sqlite": max(1, CORES // 2)}


class Run:
    """pytest on one database. What it prints goes to this process's own output, or is kept until it is over."""

    def __init__(self, database: str, arguments: list[str], folder: Path, *, is_shown: bool) -> None:
        self.database = database
        self.last = ""
        self._durations = folder / f"{database}.json"
        self._log = None if is_shown else folder / f"{database}.log"
        color = "yes" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else "no"
        command = [sys.executable, "-m", "pytest", "--database", database, "-n", str(WORKERS[database])]
        command += [f"--color={color}", "--module-durations", str(self._durations), *arguments]
        output = self._log.open("wb") if self._log else subprocess.PIPE
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output)

    def show(self) -> int:
        """Shows all that it prints, and returns its exit code."""
        if self._log:
            self._child.wait()
            print(f"\nOn {self.database}")
        with self._log.open("rb") if self._log else self._child.stdout as output:  # type: ignore[union-attr]
            for line in output:
                sys.stdout.write(text := line.decode(errors="replace"))
                sys.stdout.flush()
                self.last = text.strip() or self.last
        return self._child.wait()

    def durations(self) -> Counter[str]:
        return Counter(json.loads(self._durations.read_text()) if self._durations.exists() else {})

    def end(self) -> None:
        """After Ctrl-C, of which pytest got its own: it takes down what it started."""
        self._child.wait()


def main() -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="casexchange-run-") as folder:
        runs = [Run(name, sys.argv[1:], Path(folder), is_shown=name == DATABASES[0]) for name in DATABASES]
        try:
            codes = [run.show() for run in runs]
        except KeyboardInterrupt:
            for run in runs:
                run.end()
            return 130
        durations = sum((run.durations() for run in runs), Counter())
    words = {pytest.ExitCode.OK: "passed"}
    # A choice of tests may leave none for one of the databases, but not for both.
    if pytest.ExitCode.OK in codes:
        words[pytest.ExitCode.NO_TESTS_COLLECTED] = "none"
    print(f"\nThe {SLOWEST} slowest modules")
    for module, seconds in durations.most_common(SLOWEST):
        print(f"{seconds:7.1f} s  {module}")
    print("\nResults")
    for run, code in zip(runs, codes, strict=True):
        print(f"{run.database:<11} {words.get(code, f'FAILED ({code})'):<10} {run.last.strip('= ')}")
    print(f"{'together':<22} {time.monotonic() - began:.0f} s")
    return int(not {*codes} <= {*words})


if __name__ == "__main__":
    sys.exit(main())
