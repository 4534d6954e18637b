"""`python -m bench`: runs the benchmarks in interleaved rounds, and prints a table. See docs/performance.md."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import Any

from .figures import table
from .rows import LARGE_ROWS, ROWS
from .session import Session
from .stack import Stack


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=[*ROWS, *LARGE_ROWS], help="these rows alone")
    parser.add_argument("--large", action="store_true", help="the rows that need a large database")
    parser.add_argument("--changes", type=int, default=500, help="to drain, ten operations each (default: %(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    names = options.only or [*(LARGE_ROWS if options.large else ROWS)]
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {text}", file=sys.stderr, flush=True)

    try:
        with Stack() as stack:
            session = Session(stack, options.changes, say)
            rows = [{**ROWS, **LARGE_ROWS}[name](session) for name in names]
            for number in range(1, options.rounds + 1):
                for row in rows:
                    say(f"round {number} of {options.rounds}, {row.name}")
                    row.measure()
    except KeyboardInterrupt:
        say("interrupted: everything that was started has ended")
        return 130
    print(table([figure for row in rows for figure in row.figures]))
    return 0


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
