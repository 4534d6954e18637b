"""Runs all tests on PostgreSQL and, in parallel, some of them on SQLite: `python -m tests.run`.

Further arguments are passed to pytest. At the end it prints the duration, the slowest modules, and the last line of
each run. It exits with 0 only if both passed. databases.py says which tests run on SQLite.
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
PATIENCE = 30  # seconds until a process that does not end is interrupted again, and then killed
# PostgreSQL has most of the work. Its tests often wait for processes, so one worker more than cores is useful.
CORES = len(os.sched_getaffinity(0))
# 0 workers: pytest's own process runs the tests, which starts sooner than an extra worker.
WORKERS = {"postgresql": CORES + 1, "sqlite": CORES // 2 if CORES > 3 else 0}


class Ended(BaseException):
    """The run was interrupted: by Ctrl-C, or by a signal to this process alone."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Run:
    """A pytest process on one database. Its output is shown at once, or kept until it has ended.

    It has its own process group, so that a signal reaches all processes that it started.
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
        # Many containers set PYTHONDONTWRITEBYTECODE. Each process of a run would then compile all modules again.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, env=environment, process_group=0
        )

    def show(self) -> int:
        """Prints its output until it ends. Returns its exit code."""
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
        """Interrupts it as Ctrl-C does. pytest then stops the processes that it started."""
        self._signal(signal.SIGINT)

    def end(self) -> None:
        """Waits until it has ended, and shows the results of the tests so far. Kills it if it does not end."""
        # Python loses a signal that comes while it ignores exceptions, as in a destructor.
        for number in (signal.SIGINT, signal.SIGKILL):
            try:
                said, _ = self._child.communicate(timeout=PATIENCE)
                break
            except subprocess.TimeoutExpired:
                self._signal(number)
        else:
            said, _ = self._child.communicate()
        print((said or b"").decode(errors="replace"))
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """To all of its process group, in which something may be left when pytest itself has ended."""
        with contextlib.suppress(ProcessLookupError):  # nothing is
            os.killpg(self._child.pid, number)


def _raise_ended(number: int, _: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    raise Ended(number)


def main() -> int:
    began = time.monotonic()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="casexchange-run-") as folder:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, _raise_ended)
            for name in DATABASES:  # a signal between two starts must end the first
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
    # With a selection, one of the runs may have no tests, but not both.
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
