"""News of a partner on a change whose row another transaction holds.

A drain must not wait for that transaction. What it misses is kept in the transaction of the answer, so that it is not
lost, and noted later: after the commit, or else by a sweep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from changes.models.activity import note_activities
from integrations.models import MissedNews

AT_ONCE = 1000


def note_news(changes: Collection[int], now: datetime) -> None:
    """Notes news on these changes, without waiting for anybody."""
    missed = note_activities(changes, now)
    if not missed:
        return
    # In the order of the keys, so that two transactions do not wait for each other.
    rows = [MissedNews(change_id=key, at=now) for key in sorted(missed)]
    MissedNews.objects.bulk_create(rows, update_conflicts=True, unique_fields=["change"], update_fields=["at"])
    transaction.on_commit(note_missed, robust=True)


def note_missed() -> int:
    """Notes what was missed, where nobody holds the change now. Returns on how many."""
    by_moment: dict[datetime, list[int]] = defaultdict(list)
    for key, at in MissedNews.objects.order_by("change").values_list("change", "at")[:AT_ONCE]:
        by_moment[at].append(key)
    noted = 0
    for at, keys in by_moment.items():
        # If more is missed meanwhile, the row has another moment, and stays.
        done = {*keys} - {*note_activities(keys, at)}
        noted += MissedNews.objects.filter(change__in=done, at=at).delete()[0] if done else 0
    return noted
