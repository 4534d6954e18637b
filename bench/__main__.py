"""`python -m bench`: runs the benchmarks in interleaved rounds, and prints a table. See docs/performance.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from integrations.sandbox.local.interruption import Interrupted, interruptible

from . import saved
from .checks import CheckFailed
from .figures import Figure, table
from .rows import LARGE_ROWS, LONG_ROWS, ROWS
from .session import Session
from .stack import Stack


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=[*ROWS, *LARGE_ROWS, *LONG_ROWS], help="only these rows")
    parser.add_argument("--large", action="store_true", help="the rows that need a large database")
    parser.add_argument("--changes", type=int, default=500, help="to drain, ten operations each (default: %(default)s)")
    parser.add_argument(
        "--size", type=int, default=1_000_000, help="changes in a large database (default: %(default)s)"
    )
    parser.add_argument("--minutes", type=int, default=30, help="of the soak (default: %(default)s)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keeps the ratios of this run")
    parser.add_argument("--against", type=Path, metavar="FILE", help="says what got worse since a saved run")
    options = parser.parse_args()
    try:
        before = saved.load(options.against) if options.against else None
    except (OSError, ValueError) as error:
        parser.error(f"--against: {error}")
    names = options.only or [*(LARGE_ROWS if options.large else ROWS)]
    try:
        with interruptible():
            figures, machine = _measure(names, options)
    except Interrupted:
        print("Interrupted. All started processes have ended.", file=sys.stderr)
        return 130
    except CheckFailed as error:
        print(f"CHECK FAILED: {error}", file=sys.stderr)
        return 1
    note = f"Medians of {options.rounds} rounds; in brackets the smallest and the largest."
    print(f"{table(figures)}\n\n{note}\n{machine}")
    if options.save:
        saved.save(options.save, figures, machine)
    if before is None:
        return 0
    comparisons = saved.compared(figures, before)
    print(f"\n{saved.report(comparisons)}")
    return int(any(each.verdict == "worse" for each in comparisons))


def _measure(names: Sequence[str], options: argparse.Namespace) -> tuple[list[Figure], str]:
    """Runs all rounds. Returns the figures and a description of the machine."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {text}", file=sys.stderr, flush=True)

    with Stack() as stack:
        session = Session(stack, options.changes, options.size, options.minutes, say)
        rows = [{**ROWS, **LARGE_ROWS, **LONG_ROWS}[name](session) for name in names]
        for number in range(1, options.rounds + 1):
            for row in rows:
                say(f"round {number} of {options.rounds}, {row.name}")
                row.measure()
        return [figure for row in rows for figure in row.figures], stack.describe()


if __name__ == "__main__":
    sys.exit(main())
