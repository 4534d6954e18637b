"""Rate limits that hold over all processes, and cost most requests no query.

A process takes a share of a limit from the database, a hundredth at a time, and counts it down in memory. So a limit
is never exceeded. It may be reached a little early, when other processes hold shares that they do not use.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from changes.conflicts import written_apart
from changes.models import RateCounter

SHARES = 100
# Names whose shares are kept in memory. Beyond that all are forgotten, and taken anew.
MOST_KEPT = 10_000
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
RATE = r"[1-9][0-9]*/(second|minute|hour|day)"


class Rate(NamedTuple):
    """At most `most` in each window of so many seconds."""

    most: int
    seconds: int

    @classmethod
    def read(cls, text: str | None) -> Rate | None:
        """The rate of a text such as `6000/minute`; None, which means no limit, for an empty one."""
        if not text:
            return None
        if not re.fullmatch(RATE, text):
            raise ValueError(f"{text!r}: write a number and second, minute, hour or day, such as 6000/minute")
        most, _, unit = text.partition("/")
        return cls(int(most), SECONDS[unit])


@dataclass
class _Share:
    """What this process may still use of a window. `is_last`: the database has nothing more."""

    window: int
    left: int = 0
    is_last: bool = False


_shares: dict[str, _Share] = {}
_lock = threading.Lock()


def forget() -> None:
    """Forgets the shares of this process, as when it starts anew."""
    with _lock:
        _shares.clear()


def use(name: str, rate: Rate, amount: int = 1) -> float:
    """Counts `amount` under `name`. Returns 0, or the seconds to wait if that would exceed the rate.

    Do not call it in a transaction: a rollback would undo the count.
    """
    now = time.time()
    window = int(now // rate.seconds)
    wait = (window + 1) * rate.seconds - now
    with _lock:
        share = _share(name, window)
        if share.left >= amount:
            share.left -= amount
            return 0
        if share.is_last:
            return wait
    taken = _take(f"{name}:{window}", rate, max(amount, rate.most // SHARES), (window + 1) * rate.seconds)
    with _lock:
        share = _share(name, window)
        share.left += taken
        share.is_last = taken == 0
        if share.left < amount:
            return wait
        share.left -= amount
        return 0


def charge(name: str, rate: Rate, amount: int) -> None:
    """Counts `amount` that was used already, even if it exceeds the rate: then nothing more may be used."""
    part = max(1, rate.most // SHARES)
    while amount > 0 and not use(name, rate, min(amount, part)):
        amount -= part
    if amount > 0:
        with _lock:  # the rest of the window is too little, and is used up too
            share = _share(name, int(time.time() // rate.seconds))
            share.left, share.is_last = 0, True


def wait_for(name: str, rate: Rate) -> float:
    """The seconds until something may be counted again, as far as this process knows; 0 if now. Counts nothing."""
    now = time.time()
    with _lock:
        share = _shares.get(name)
    is_over = share is not None and share.window == int(now // rate.seconds) and share.is_last and not share.left
    return (int(now // rate.seconds) + 1) * rate.seconds - now if is_over else 0


def _share(name: str, window: int) -> _Share:
    share = _shares.get(name)
    if share is None or share.window != window:
        if len(_shares) >= MOST_KEPT:
            _shares.clear()
        share = _shares[name] = _Share(window)
    return share


@written_apart()
def _take(name: str, rate: Rate, wanted: int, end: float) -> int:
    """Takes up to `wanted` from what is left of the window."""
    with transaction.atomic():
        counter, is_new = RateCounter.objects.select_for_update().get_or_create(
            name=name, defaults={"ends_at": datetime.fromtimestamp(end, UTC)}
        )
        taken = max(0, min(wanted, rate.most - counter.counted))
        if taken:
            counter.counted += taken
            counter.save(update_fields=["counted"])
    if is_new:
        RateCounter.objects.filter(ends_at__lte=timezone.now()).delete()
    return taken
