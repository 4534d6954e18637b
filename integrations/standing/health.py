"""How well a system takes what is sent to it, in one word. Pure: no database, no clock.

Flowing, slow (it takes longer than it should), paused (a person or the partner's answer stopped it) or down (its
circuit breaker opened by itself, because tries failed). What that means for an operation: wording.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from . import wording

if TYPE_CHECKING:
    from .status import SystemStatus

# What is due for longer is late: workers take it within seconds.
LATE = timedelta(minutes=1)
# What a partner has not collected for longer is late: they ask when it suits them.
LATE_TO_COLLECT = timedelta(hours=1)


class Condition(TextChoices):
    FLOWING = "flowing", gettext_lazy("Flowing")
    SLOW = "slow", gettext_lazy("Slow")
    PAUSED = "paused", gettext_lazy("Paused")
    DOWN = "down", gettext_lazy("Down")


TONES = {
    Condition.FLOWING: wording.OK,
    Condition.SLOW: wording.WAIT,
    Condition.PAUSED: wording.IDLE,
    Condition.DOWN: wording.BAD,
}


@dataclass(frozen=True)
class Health:
    """`since`: where it is known; never while it flows. `detail` says why, in whole sentences."""

    condition: Condition
    detail: str
    since: datetime | None = None

    @property
    def word(self) -> str:
        return str(self.condition.label)

    @property
    def tone(self) -> str:
        """Picks a colour and a sign."""
        return TONES[self.condition]


def health_of(status: SystemStatus, now: datetime) -> Health:
    system, breaker, detail = status.system, status.breaker, status.state.detail
    if not system.enabled:
        return Health(Condition.PAUSED, detail)
    if system.paused_at is not None:
        return Health(Condition.PAUSED, detail, system.paused_at)
    if not status.is_called:
        return _of_one_that_collects(status, now)
    if breaker.is_by_hand:
        return Health(Condition.PAUSED, detail, breaker.since)
    if not breaker.is_closed:
        return Health(Condition.DOWN, detail, breaker.since)
    return _of_one_that_is_called(status, now)


def _of_one_that_collects(status: SystemStatus, now: datetime) -> Health:
    oldest = status.oldest_waiting
    if oldest is None or now - oldest < LATE_TO_COLLECT:
        return Health(Condition.FLOWING, status.state.detail)
    values = {"system": status.system_id}
    return Health(Condition.SLOW, _("%(system)s has not collected its operations for a while.") % values, oldest)


def _of_one_that_is_called(status: SystemStatus, now: datetime) -> Health:
    due, failures = status.due_since, status.breaker.consecutive_failures
    if failures:
        detail = ngettext(
            "The latest try failed; it is repeated.", "The latest %(count)s tries failed; they are repeated.", failures
        )
        return Health(Condition.SLOW, detail % {"count": failures})
    if due is not None and now - due > LATE:
        detail = _("Operations have been due for a while, and no worker has taken them.")
        if status.rate_limit:
            values = {"limit": status.rate_limit}
            detail = _("More is due than the limit of %(limit)s operations a minute lets through.") % values
        return Health(Condition.SLOW, detail, due)
    return Health(Condition.FLOWING, status.state.detail)
