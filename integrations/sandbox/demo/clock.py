"""Sets Django's clock, so that the demo's history can be written through the models, which read the clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.utils import timezone


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Inside the `with` block, `timezone.now()` returns `moment`. Affects all threads: use before any server runs."""
    real = timezone.now
    timezone.now = lambda: moment
    try:
        yield
    finally:
        timezone.now = real
