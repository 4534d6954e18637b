"""The time at which the demo's history happens: the models read the clock, so the clock is what is set."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.utils import timezone


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Inside, it is `moment` for whatever asks Django for the time. For one thread, before any server runs."""
    real = timezone.now
    timezone.now = lambda: moment
    try:
        yield
    finally:
        timezone.now = real
