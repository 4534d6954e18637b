"""Work of which a process does only a little at a time, so that it does not keep all threads of a web server busy."""

from __future__ import annotations

from threading import BoundedSemaphore


class TooBusy(Exception):  # noqa: N818 - reads as a statement, like the other exceptions of the project
    """Too many do this work already. Nothing was done; the request may be repeated."""


class Turns:
    """A context manager that lets `at_once` threads in, and `waiting` more wait for at most `seconds` each.

    The others get TooBusy at once, so that their threads are free.
    """

    def __init__(self, *, at_once: int, waiting: int, seconds: float) -> None:
        self.seconds = seconds
        self._turns = BoundedSemaphore(at_once)
        self._waiting = BoundedSemaphore(waiting)

    def __enter__(self) -> None:
        if not self._turns.acquire(blocking=False):
            self._wait()

    def _wait(self) -> None:
        if not self._waiting.acquire(blocking=False):
            raise TooBusy
        try:
            if not self._turns.acquire(timeout=self.seconds):
                raise TooBusy
        finally:
            self._waiting.release()

    def __exit__(self, *_: object) -> None:
        self._turns.release()
