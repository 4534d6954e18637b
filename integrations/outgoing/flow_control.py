"""How much may be sent to a system now: requests in flight, circuit breaker, rate limit. Pure: no database, no clock.

The state is in `DeliveryControl`, one row per system. The caller holds that row locked, so the limits hold over all
workers.

The breaker opens after `failures` failed tries in a row, or when half of the tries within a window failed. A window of
`BREAKER_WINDOW` begins with a failure, so nothing is counted or written for a system without failures. The counts stop
until the breaker is closed again, so they still tell why it opened: standing/failures.py makes a text of them.

While the breaker is open, nothing is sent and no operation uses up a try. After `open_for`, one operation is sent as a
probe. If the probe fails, the breaker opens again; otherwise it closes. A breaker that a person opened stays open until
a person closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from integrations.choices import BREAKER_WINDOW, Breaker, BreakerCause

if TYPE_CHECKING:
    from integrations.models import DeliveryControl

WINDOW_SHARE = 0.5
# How much of a rate limit may be used at once after a quiet time: what the limit allows in this time.
BURST = timedelta(seconds=1)


@dataclass(frozen=True)
class BreakerSettings:
    """`failures`: failed tries in a row that open the breaker. `open_for`: how long it stays open before a probe."""

    failures: int
    open_for: timedelta

    @property
    def window_tries(self) -> int:
        """The fewest tries in a window for its share of failures to count: a share of fewer tries means nothing."""
        return 2 * self.failures


# --- What may be sent ---


def at_once(control: DeliveryControl, now: datetime) -> int:
    """The most requests that may be under way at a time; 0 while the breaker is open."""
    if control.breaker == Breaker.CLOSED:
        return control.system.max_in_flight
    if control.breaker == Breaker.OPEN and (control.breaker_until is None or control.breaker_until > now):
        return 0
    # The probe. It waits for all requests from before the breaker opened: their results would be taken for the probe's.
    return 1


def allowance(control: DeliveryControl, now: datetime) -> int:
    """How many operations may be claimed now if none is under way. The caller accounts for those that are."""
    return min(at_once(control, now), _unused_rate(control, now))


def claimed(control: DeliveryControl, count: int, now: datetime) -> bool:
    """Notes that `count` operations are about to be sent. Returns whether `control` was changed and must be saved."""
    changed = False
    if control.breaker == Breaker.OPEN:
        control.breaker, changed = Breaker.HALF_OPEN, True
    if pause := _pause(control):
        control.rate_used_until = max(_used_until(control, now), now) + count * pause
        changed = True
    return changed


def _pause(control: DeliveryControl) -> timedelta | None:
    """The time between two operations under the rate limit, or None without a limit."""
    limit = control.system.rate_limit
    return timedelta(minutes=1) / limit if limit else None


def _unused_rate(control: DeliveryControl, now: datetime) -> int:
    pause = _pause(control)
    if pause is None:
        return control.system.max_in_flight
    return max(0, (now + max(BURST, pause) - max(_used_until(control, now), now)) // pause)


def _used_until(control: DeliveryControl, now: datetime) -> datetime:
    """When the rate limit is free again. A time that is impossibly far off is ignored: the clock was set back since."""
    pause = _pause(control) or timedelta()
    if control.rate_used_until is None or control.rate_used_until > now + max(BURST, pause) + pause:
        return now
    return control.rate_used_until


# --- Counting results ---


def tried(control: DeliveryControl, failures: Sequence[bool], now: datetime, settings: BreakerSettings) -> None:
    """Counts finished tries, in order (True: failed), and opens or closes the breaker."""
    for failed in failures:
        if control.breaker == Breaker.OPEN:
            return  # these were sent before the breaker opened, and tell nothing new
        if control.breaker == Breaker.HALF_OPEN:
            if failed:
                _reopen(control, now, settings)
            else:
                close(control)
            continue
        _count(control, failed, now)
        if control.consecutive_failures >= settings.failures:
            _open(control, BreakerCause.IN_A_ROW, now, settings)
        elif (
            failed
            and control.window_tries >= settings.window_tries
            and control.window_failures >= WINDOW_SHARE * control.window_tries
        ):
            _open(control, BreakerCause.SHARE, now, settings)


def _count(control: DeliveryControl, failed: bool, now: datetime) -> None:
    control.consecutive_failures = control.consecutive_failures + 1 if failed else 0
    started = control.window_started_at
    if started is not None and not now - BREAKER_WINDOW < started <= now:
        control.window_started_at = started = None
    if started is None:
        if not failed:
            return
        control.window_started_at, control.window_tries, control.window_failures = now, 0, 0
    control.window_tries += 1
    control.window_failures += failed


def _open(control: DeliveryControl, cause: BreakerCause, now: datetime, settings: BreakerSettings) -> None:
    control.breaker_opened_at, control.breaker_cause = now, cause
    _reopen(control, now, settings)


def _reopen(control: DeliveryControl, now: datetime, settings: BreakerSettings) -> None:
    control.breaker = Breaker.OPEN
    control.breaker_until = now + settings.open_for


def open_by_hand(control: DeliveryControl, reason: str, now: datetime) -> None:
    """Opens the breaker until a person closes it."""
    control.breaker, control.breaker_opened_at, control.breaker_until = Breaker.OPEN, now, None
    control.breaker_cause, control.breaker_reason = BreakerCause.BY_HAND, reason[:300]


def close(control: DeliveryControl) -> None:
    """Closes the breaker and resets all counts of failures."""
    control.breaker, control.breaker_opened_at, control.breaker_until = Breaker.CLOSED, None, None
    control.breaker_cause = control.breaker_reason = ""
    control.consecutive_failures = control.window_tries = control.window_failures = 0
    control.window_started_at = None
