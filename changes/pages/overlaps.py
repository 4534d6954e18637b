"""Changes that are planned on the same service at the same time as one change."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta

from changes.choices import Phase
from changes.models import Change

# The changes that are named; of more the page says that there are more.
MOST_NAMED = 5


@dataclass(frozen=True)
class Overlaps:
    """`named` begins with the earliest; its changes have no long texts. `is_more`: there are others."""

    named: Sequence[Change]
    is_more: bool = False

    @property
    def version(self) -> str:
        """Differs whenever what is named differs."""
        named = [(change.pk, change.version) for change in self.named]
        return hashlib.sha256(repr((named, self.is_more)).encode()).hexdigest()[:8] if named else ""


def overlaps_of(change: Change) -> Overlaps:
    """The changes on the service of `change`, saved or only typed so far, whose planned window meets its own.

    One query; none if it has no service or no planned start, or is over. An abandoned change overlaps nothing.
    """
    start, end, service = change.planned_start, change.planned_end, " ".join(change.service.split())
    if not (service and start) or change.is_final or (end is not None and end <= start):
        return Overlaps([])
    # A window without an end is the moment of its start, which the next microsecond ends.
    until = end or start.astimezone(UTC) + timedelta.resolution
    same = Change.objects.on_service([service]).planned_within(start, until)
    others = same.exclude(phase=Phase.ABANDON).exclude(pk=change.pk)
    found = list(others.for_rows().order_by("planned_start", "pk")[: MOST_NAMED + 1])
    return Overlaps(found[:MOST_NAMED], len(found) > MOST_NAMED)
