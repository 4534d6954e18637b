"""Signs of life: beat, and a worker of each queue, note in the database that they are at work."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, close_old_connections
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from integrations.models import SignOfLife

logger = logging.getLogger(__name__)

BEAT, DELIVERY, HOUSEKEEPING = "beat", "worker_delivery", "worker_housekeeping"
ROLES = (BEAT, DELIVERY, HOUSEKEEPING)
_WORKER = "celery -A casexchange worker"
STARTED_BY = {BEAT: "celery -A casexchange beat", DELIVERY: _WORKER, HOUSEKEEPING: _WORKER}
# A restart takes less, and so does a task that keeps a process busy.
AT_LEAST_LATELY = 60.0

_left: dict[str, float] = {}


def lately() -> float:
    """Who was heard within so many seconds is at work."""
    return max(AT_LEAST_LATELY, 12 * settings.DISPATCH_INTERVAL)


def leave(role: str) -> None:
    """Notes that this part is at work: one small statement, and of one process at most two in each interval."""
    now = time.monotonic()
    if now - _left.get(role, -math.inf) < settings.DISPATCH_INTERVAL / 2:
        return
    _left[role] = now
    # The database's clock, since those of two hosts may differ.
    if SignOfLife.objects.filter(role=role).update(seen_at=Now()):
        return
    SignOfLife.objects.bulk_create(
        [SignOfLife(role=role, seen_at=Now())],
        update_conflicts=True,
        update_fields=["seen_at"],
        unique_fields=["role"],
    )


def ages() -> dict[str, timedelta]:
    """How long ago each part was heard. One that never was is missing.

    From the primary, whose clock wrote the times.
    """
    age = ExpressionWrapper(Now() - F("seen_at"), DurationField())
    return dict(SignOfLife.objects.using(DEFAULT_DB_ALIAS).annotate(age=age).values_list("role", "age"))


def leave_for_beat(last_tick: Callable[[], float]) -> None:
    """Lets a thread of this process leave signs for beat, as long as it ticks. A database that hangs holds up no tick.

    `last_tick`: the `time.monotonic()` of the last one.
    """

    def run() -> None:
        is_out = False
        while True:
            time.sleep(min(1.0, settings.DISPATCH_INTERVAL))
            if time.monotonic() - last_tick() > AT_LEAST_LATELY / 2:
                continue
            close_old_connections()
            try:
                leave(BEAT)
            except Error as error:
                if not is_out:
                    logger.warning("The database takes no sign of life of beat: %s", error)
                is_out = True
            else:
                is_out = False

    threading.Thread(target=run, name="sign-of-life", daemon=True).start()
