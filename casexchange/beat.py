"""The scheduler of beat: keeps sweeping whatever becomes of the broker and of the clock.

Celery's own remembers its last sweeps in a file, and follows the clock: set back by an hour, it would not sweep for an
hour. It logs two lines for each sweep, and pages of them for each one that fails.
"""

from __future__ import annotations

from typing import Any

from celery import beat
from django.conf import settings

from integrations.workers.wakeup import Link


class Scheduler(beat.Scheduler):
    def __init__(self, *args: object, **kwargs: object) -> None:
        self.link = Link("sweeps")
        super().__init__(*args, **kwargs)
        self.latest = self.app.now()

    @property
    def producer(self) -> None:
        """None is kept here: the link has its own."""
        return

    def tick(self, *args: object, **kwargs: object) -> float:
        """Sends the next sweep that is due. Returns the seconds until the one after it."""
        now = self.app.now()
        if now < self.latest:
            # The clock was set back. The last sweeps were not in the future.
            for entry in self.schedule.values():
                entry.last_run_at = now
            self._heap = None
        self.latest = now
        return float(super().tick(*args, **kwargs))

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Never fails: without the broker nothing is sent, and the next one is tried when it is due.

        Without workers no more are sent than anybody needs, so they do not pile up.
        """
        self.link.send(entry.task, unless_flooded=settings.CELERY_TASK_ROUTES[entry.task]["queue"])
