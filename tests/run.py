"""Runs all tests on PostgreSQL, and beside it on SQLite those that belong on both: `python -m tests.run`.

Further arguments go to pytest. Ends with how long it took, the slowest modules, and the last line of either run, and
exits non-zero unless both passed. What runs where: databases.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

from .services import DATABASES

SLOWEST = 10
PATIENCE = 60  # seconds until what does not end is killed
# PostgreSQL has most of the work. Tests that wait for a process leave room for a worker more than there are cores.
CORES = len(os.sched_getaffinity(0))
# 0 is the process that collects the tests, and starts sooner than a worker beside it.
WORKERS = {"postgresql": max(2, CORES), "sqlite": CORES // 2 if CORES > 3 else 0}


class Ended(BaseException):
    """Somebody has enough of it: by Ctrl-C, or a signal to this process alone."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Run:
    """pytest on one database. What it prints goes to this process's own output, or is kept until it is over.

    It has a process group of its own, so that a signal gets to it and to all that it started, wherever it came from.
    """

    def __init__(self, database: str, arguments: list[str], folder: Path, *, is_shown: bool) -> None:
        self.database = database
        self.last = ""
        self._durations = folder / f"{database}.json"
        self._log = None if is_shown else folder / f"{database}.log"
        color = "yes" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else "no"
        command = [sys.executable, "-m", "pytest", "--database", database, "-n", str(WORKERS[database])]
        command += [f"--color={color}", "--module-durations", str(self._durations), *arguments]
        output = self._log.open("wb") if self._log else subprocess.PIPE
        # Where Python may not keep what it compiles, as in many a container, each process would compile it all anew.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, env=environment, process_group=0
        )

    def show(self) -> int:
        """Shows all that it prints, and returns its exit code."""
        if self._log:
            self._child.wait()
            print(f"\nOn {self.database}")
        output = self._log.open("rb") if self._log else self._child.stdout
        assert output
        for line in output:
            sys.stdout.write(text := line.decode(errors="replace"))
            sys.stdout.flush()
            self.last = text.strip() or self.last
        code = self._child.wait()
        self._signal(signal.SIGKILL)
        return code

    def durations(self) -> Counter[str]:
        return Counter(json.loads(self._durations.read_text()) if self._durations.exists() else {})

    def interrupt(self) -> None:
        """As Ctrl-C does: pytest then takes down what it started."""
        self._signal(signal.SIGINT)

    def end(self) -> None:
        """Waits for that, but not for ever, and shows what it says of the tests so far."""
        try:
            said, _ = self._child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            said, _ = self._child.communicate()
        print((said or b"").decode(errors="replace"))
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """To all of its process group, in which something may be left when pytest itself has ended."""
        with contextlib.suppress(ProcessLookupError):  # nothing is
            os.killpg(self._child.pid, number)


def _raise_ended(number: int, _: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # once is enough
    raise Ended(number)


def main() -> int:
    began = time.monotonic()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="casexchange-run-") as folder:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, _raise_ended)
            for name in DATABASES:  # one by one: a signal finds those that have begun
                run = Run(name, sys.argv[1:], Path(folder), is_shown=name == DATABASES[0])
                runs.append(run)
            codes = [run.show() for run in runs]
        except Ended as ended:
            for run in runs:
                run.interrupt()
            for run in runs:
                run.end()
            return 128 + ended.number
        durations = sum((run.durations() for run in runs), Counter())
    return _report(runs, codes, durations, time.monotonic() - began)


def _report(runs: list[Run], codes: list[int], durations: Counter[str], together: float) -> int:
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
    print(f"{'together':<22} {together:.0f} s")
    return int(not {*codes} <= {*words})


if __name__ == "__main__":
    sys.exit(main())
