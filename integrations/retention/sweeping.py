"""The sweep: each batch is archived and removed in a short transaction of its own, so an interrupted run goes on."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from changes.models import Change, restored_copy
from integrations.models import RetentionProgress
from integrations.workers import last_runs

from . import archived
from .kinds import Kind, Place, all_kinds

logger = logging.getLogger(__name__)

# After how many days records of each kind go.
SETTINGS = {
    "changes": "RETENTION_CHANGE_DAYS",
    "delivered": "RETENTION_DELIVERED_DAYS",
    "attempts": "RETENTION_ATTEMPT_DAYS",
    "incoming": "RETENTION_INCOMING_BODY_DAYS",
}


def sweep(is_asked_to_end: Callable[[], bool], seconds: float = float("inf")) -> Counter[str]:
    """Removes what is old, until nothing is or `seconds` have passed. Returns how much of each kind was removed.

    Removes nothing in a restored copy that waits.
    """
    removed: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    if restored_copy():
        return removed
    for kind in all_kinds():
        before = _before(kind)
        while before and not is_asked_to_end() and time.monotonic() < ends:
            count = _batch(kind, before)
            if count is None:
                break
            removed[kind.name] += count
    if is_wanted() and not is_asked_to_end():
        try:
            last_runs.note(last_runs.RETENTION, timezone.now())
        except OSError as error:
            logger.warning("It could not be noted that retention ran: %s", error)
    return removed


def is_wanted() -> bool:
    """Whether anything is to be removed."""
    return any(getattr(settings, name) for name in SETTINGS.values())


def count() -> Counter[str]:
    """How many records of each kind the next sweeps would go through."""
    found: Counter[str] = Counter()
    for kind in all_kinds():
        if before := _before(kind):
            progress = RetentionProgress.objects.filter(pk=kind.key).first()
            found[kind.name] += kind.old(before, _place(progress.place if progress else "")).count()
    return found


def _before(kind: Kind) -> datetime | None:
    days: int | None = getattr(settings, kind.setting)
    return timezone.now() - timedelta(days=days) if days else None


def _batch(kind: Kind, before: datetime) -> int | None:
    """How much was removed; None if nothing is left."""
    RetentionProgress.objects.get_or_create(pk=kind.key)
    with transaction.atomic():
        progress = RetentionProgress.objects.select_for_update().get(pk=kind.key)
        found = kind.old(before, _place(progress.place))
        if found.model is Change:
            # One that somebody is writing to is not without activity.
            found = found.select_for_update(skip_locked=True, of=("self",))
        rows = list(found[: kind.batch])
        if not rows:
            return None
        going = [*rows, *kind.others(rows, before)]
        archived.write(kind.name, kind.lines(going))
        removed = kind.remove(going)
        if found.model is not Change:  # nothing is left of a change to pass over
            progress.place = f"{getattr(rows[-1], kind.moment).isoformat()} {rows[-1].pk}"
            progress.save()
    return removed


def _place(text: str) -> Place:
    if not text:
        return None
    moment, _, key = text.partition(" ")
    return datetime.fromisoformat(moment), str(UUID(key))
