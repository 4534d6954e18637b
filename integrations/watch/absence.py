"""Which parts in the background are not at work, in words for the pages. /readyz goes by the same rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _

from integrations.standing.flow import Condition
from integrations.standing.status import SystemStatus
from integrations.workers import signs

from . import readiness

# Who can do something about it, or knows who can.
PERMISSION = "integrations.change_externalsystem"


@dataclass(frozen=True)
class Absence:
    """A part that was not heard lately. `since`: when it was heard last, None for never. `start`: what starts it."""

    role: str
    told: str
    effect: str
    start: str
    since: datetime | None


def absences(user: User | AnonymousUser, statuses: Sequence[SystemStatus], now: datetime) -> list[Absence]:
    """What `user` is to know of. Empty for people who can do nothing.

    A part that was never heard may be one that is not wanted yet. It is told of once operations are late.
    """
    if not user.has_perm(PERMISSION):
        return []
    ages = {role: age.total_seconds() for role, age in signs.ages().items()}
    silent = [role for role in signs.ROLES if not readiness.heard(role, ages).is_ok]
    if signs.BEAT in silent:
        silent = [signs.BEAT]  # workers are heard at its sweeps only
    is_late = any(status.flow.condition == Condition.SLOW for status in statuses)
    texts = {
        signs.BEAT: (
            _("Beat is not at work"),
            _("Nothing is retried or polled, and no worker is heard: that happens at its sweeps."),
        ),
        signs.DELIVERY: (_("No worker delivers"), _("Operations are recorded, and wait.")),
        signs.HOUSEKEEPING: (
            _("No worker does the housekeeping"),
            _("Bulk jobs, polls for news, and what dead workers left have to wait."),
        ),
    }
    return [
        Absence(role, *texts[role], signs.STARTED_BY[role], _moment(ages.get(role), now))
        for role in silent
        if role in ages or is_late
    ]


def _moment(age: float | None, now: datetime) -> datetime | None:
    return None if age is None else now - timedelta(seconds=age)
