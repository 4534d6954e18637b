"""The orders of changes in the list and in the REST API. Each has an index, whose last column is the primary key."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from django.db.models import F

from ..choices import Priority
from .keyset import MOMENT, PRIMARY_KEY, TEXT, WHOLE_NUMBER, Column
from .querysets import NEVER, PLANNED_START, PRIORITY_RANK

ORDERS: Mapping[str, tuple[Column, ...]] = {
    "number": (PRIMARY_KEY,),
    "created_at": (Column(F("created_at"), MOMENT, attrgetter("created_at")), PRIMARY_KEY),
    "updated_at": (Column(F("updated_at"), MOMENT, attrgetter("updated_at")), PRIMARY_KEY),
    "last_activity_at": (Column(F("last_activity_at"), MOMENT, attrgetter("last_activity_at")), PRIMARY_KEY),
    "planned_start": (Column(PLANNED_START, MOMENT, lambda change: change.planned_start or NEVER), PRIMARY_KEY),
    # The most urgent first.
    "priority": (
        Column(PRIORITY_RANK, WHOLE_NUMBER, lambda change: Priority.values.index(change.priority)),
        PRIMARY_KEY,
    ),
    "title": (Column(F("title"), TEXT, attrgetter("title")), PRIMARY_KEY),
}
