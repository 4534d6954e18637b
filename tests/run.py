"""Runs all tests on SQLite, then on PostgreSQL, whatever became of the first: `python -m tests.run`.

Further arguments go to pytest. Ends with the last line of either, and exits non-zero unless both passed.
"""

import os
import subprocess
import sys

import pytest

from .services import DATABASES


def run(database: str, arguments: list[str]) -> tuple[int, str]:
    """The exit code of pytest, and the last line that it printed."""
    command = [sys.executable, "-m", "pytest", "--database", database, "--numprocesses", "auto", *arguments]
    color = "yes" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else "no"
    last = ""
    with subprocess.Popen(
        [*command, f"--color={color}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as child:
        for line in child.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return child.returncode, last


def main() -> int:
    results = {database: run(database, sys.argv[1:]) for database in DATABASES}
    codes = {code for code, _ in results.values()}
    words = {pytest.ExitCode.OK: "passed"}
    # A choice of tests may leave none for one of the databases, but not for both.
    if pytest.ExitCode.OK in codes:
        words[pytest.ExitCode.NO_TESTS_COLLECTED] = "none"
    print("\nResults")
    for database, (code, last) in results.items():
        print(f"{database:<11} {words.get(code, f'FAILED ({code})'):<10} {last.strip('= ')}")
    return int(not codes <= {*words})


if __name__ == "__main__":
    sys.exit(main())
