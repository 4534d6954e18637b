"""Changes that are planned within a window of time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, DateTimeField, F, Func, Q, Value
from django.db.models.sql.compiler import SQLCompiler


class _MayOverlap(Func):
    """Lets PostgreSQL use the index `change_window`, whose migration repeats the expression. On SQLite always true."""

    conditional = True
    output_field = BooleanField()
    template = "tstzrange({0}, COALESCE({1}, {0}), '[]') && tstzrange({2}, {3}, '[)')"

    def __init__(self, start: datetime | None, end: datetime | None) -> None:
        moments = (Value(moment, DateTimeField()) for moment in (start, end))
        super().__init__(F("planned_start"), F("planned_end"), *moments)

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: object, **extra: object) -> Any:
        parts = [compiler.compile(expression) for expression in self.source_expressions]
        params = [param for _, own in parts for param in own]
        return self.template.format(*(sql for sql, _ in parts)), params

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: object, **extra: object) -> Any:
        return "1 = 1", []


def planned_within(start: datetime | None, end: datetime | None) -> Q:
    """The condition that the planned window overlaps the time from `start` to before `end`.

    None leaves that side open. A change without a planned start never matches. One without a planned end counts as
    the moment of its planned start.
    """
    condition = Q(planned_start__isnull=False) & Q(_MayOverlap(start, end))
    if end is not None:
        condition &= Q(planned_start__lt=end)
    if start is not None:
        condition &= Q(planned_end__gt=start) | Q(planned_end=None, planned_start__gte=start)
    return condition
