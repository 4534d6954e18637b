"""Beat's scheduler. It keeps sweeping when the broker is gone or the clock is set back.

Celery's own scheduler stores the last sweeps in a file and trusts the clock: with the clock set back by an hour, it
would not sweep for an hour. It also logs two lines per sweep, and a long traceback per failed sweep.
"""

from __future__ import annotations

import time
from typing import Any

from celery import beat, signals
from django.conf import settings

from integrations.workers import signs
from integrations.workers.wakeup import Link

# Seconds that beat sleeps at least.
LEAST = 0.001


class Scheduler(beat.Scheduler):
    def __init__(self, *args: object, **kwargs: object) -> None:
        self.link = Link("sweeps")
        self.ticked_at = time.monotonic()
        super().__init__(*args, **kwargs)
        self.latest = self.app.now()

    @property
    def producer(self) -> None:
        """Always None: `Link` keeps its own connection to the broker."""
        return

    def tick(self, *args: object, **kwargs: object) -> float:
        """Sends the next sweep if it is due. Returns the seconds until the next call."""
        self.ticked_at = time.monotonic()
        now = self.app.now()
        if now < self.latest:
            # The clock was set back: date the last sweeps to now, or none would be due until the old time is reached.
            for entry in self.schedule.values():
                entry.last_run_at = now
            self._heap = None
        self.latest = now
        # Celery says nothing is left to wait for the last ten milliseconds before each sweep, and would spin.
        return max(float(super().tick(*args, **kwargs)), LEAST)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Sends one sweep. Never raises: if the broker is gone, the sweep is dropped and the next one is sent when due.

        Nothing is sent while enough messages wait in the queue, so sweeps do not pile up when no worker runs.
        """
        self.link.send(entry.task, unless_flooded=settings.CELERY_TASK_ROUTES[entry.task]["queue"])


@signals.beat_init.connect(dispatch_uid="casexchange.leave_signs")
@signals.beat_embedded_init.connect(dispatch_uid="casexchange.leave_signs")
def leave_signs(sender: Any, **kwargs: object) -> None:
    signs.leave_for_beat(lambda: sender.scheduler.ticked_at)
