"""Looks at something that may hang, such as a database, and never waits longer than it was told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


class Look(Generic[Seen]):
    """Calls `look` in a thread of its own, one at a time however many ask. What was seen is kept for some seconds.

    So neither something that hangs nor many callers cost more than one thread and one look in a while.
    """

    def __init__(self, look: Callable[[], Seen], kept_for: float) -> None:
        self._look, self._kept_for = look, kept_for
        self._lock = threading.Lock()
        self._latest: Future[Seen] | None = None
        self._began_at = self._ended_at = 0.0

    def begin(self) -> Future[Seen]:
        """The look that is under way, or was made just now, or else a new one."""
        with self._lock:
            latest = self._latest
            if latest is not None and (not latest.done() or time.monotonic() - self._ended_at < self._kept_for):
                return latest
            latest = self._latest = Future()
            self._began_at = time.monotonic()
        # A daemon, since one that hangs must not keep the process from ending.
        threading.Thread(target=self._run, args=(latest,), name="look", daemon=True).start()
        return latest

    def result(self, patience: float) -> Seen:
        """What the look sees. Raises TimeoutError if it takes longer than `patience` from its begin.

        So only those who ask first wait for one that hangs, and whoever asks later is told at once.
        """
        future = self.begin()
        return future.result(max(0.0, self._began_at + patience - time.monotonic()))

    def _run(self, future: Future[Seen]) -> None:
        try:
            seen = self._look()
        except BaseException as error:  # noqa: BLE001 - raised again where the result is read
            self._ended_at = time.monotonic()
            future.set_exception(error)
        else:
            self._ended_at = time.monotonic()
            future.set_result(seen)
