"""A command that is asked to end cleans up first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

ASKING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Ending:
    """Inside `with Ending():` these signals raise SystemExit, so that `finally` is carried out. Only the first counts:
    another one does not break off the cleaning up.
    """

    def __init__(self) -> None:
        self._asked, self._is_held_off = 0, False

    def __enter__(self) -> Ending:
        self._former = {number: signal.signal(number, self._ask) for number in ASKING}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """What is inside is carried out to its end first."""
        self._is_held_off = True
        try:
            yield
        finally:
            self._is_held_off = False
        if self._asked:
            raise SystemExit(128 + self._asked)

    def _ask(self, number: int, frame: object) -> None:
        if self._asked:
            return
        self._asked = number
        if not self._is_held_off:
            raise SystemExit(128 + number)
