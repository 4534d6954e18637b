"""The last activity on a change: what was saved on it, added to it, or heard of it from a partner."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import connection
from django.db.models import Model

from .holding import at_end, held, marks
from .prepared import prepared

# An older moment changes nothing, so it does not matter in which order writers come.
_NOTE = """
UPDATE changes_change SET last_activity_at = %s
WHERE id = %s AND last_activity_at < %s"""
_NOTE_UNLOCKED = """
UPDATE changes_change SET last_activity_at = %s
WHERE id IN (SELECT id FROM changes_change WHERE id IN ({keys}){lock}) AND last_activity_at < %s"""
_SKIPPED = "SELECT id FROM changes_change WHERE id IN ({keys}) AND last_activity_at < %s"


_NOTED, _SAVED = "last activity", "saved"


def note_save(change: Model) -> None:
    """Says that a save in this transaction wrote the last activity of the change."""
    marks(type(change), change.pk)[_SAVED] = True


def note_activity(model: type[Model], key: int, at: datetime, *, after_save: bool = True) -> None:
    """Notes an activity on the change with this key, whose row lock the caller holds.

    In a transaction that holds the change, only the last one is written, at its end. Without `after_save`, it adds
    nothing to a save of the change in the same transaction.
    """
    noted = marks(model, key)
    if _SAVED in noted and not after_save:
        return
    if _NOTED in noted:
        noted[_NOTED] = at
    elif held(model, key):
        noted[_NOTED] = at
        at_end(lambda: write_activity(key, noted[_NOTED]))
    else:
        write_activity(key, at)


def write_activity(key: int, at: datetime) -> None:
    """Writes an activity on the change with this key. Waits for its row lock."""
    moment = connection.ops.adapt_datetimefield_value(at)
    with prepared(), connection.cursor() as cursor:
        cursor.execute(_NOTE, [moment, key, moment])


def note_activities(keys: Collection[int], at: datetime) -> list[int]:
    """Notes an activity on these changes, except those whose row is locked elsewhere. Returns the keys of those.

    For a caller that holds locks which others take after a change's: waiting here could end in a deadlock.
    """
    if not keys:
        return []
    moment = connection.ops.adapt_datetimefield_value(at)
    places = ", ".join(["%s"] * len(keys))
    skip = " FOR NO KEY UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_UNLOCKED.format(keys=places, lock=skip), [moment, *keys, moment])
        if cursor.rowcount == len(keys):
            return []
        cursor.execute(_SKIPPED.format(keys=places), [*keys, moment])
        return [key for (key,) in cursor.fetchall()]
