"""Subqueries that stop at a limit, so that their cost does not grow with the number of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, IntegerField, QuerySet, Subquery
from django.db.models.expressions import Combinable
from django.db.models.sql.compiler import SQLCompiler


@dataclass(frozen=True)
class Count:
    """A number of rows; with `is_capped` there are more than `number`."""

    number: int
    is_capped: bool = False


def capped(number: int, cap: int) -> Count:
    """The `Count` from a number that was counted no further than one past `cap`."""
    return Count(min(number, cap), number > cap)


class CappedCount(Subquery):
    """The number of rows of a queryset. Counting stops one past `cap`."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) capped)"
    output_field = IntegerField()

    def __init__(self, queryset: QuerySet[Any], cap: int) -> None:
        super().__init__(queryset.order_by().values("pk")[: cap + 1])


class Joined(Subquery):
    """The values of the text `column` in the first `limit` rows, joined by commas; None if there is no row."""

    template = "(SELECT STRING_AGG(joined.value, ',') FROM (%(subquery)s) joined)"
    output_field = CharField()

    def __init__(self, queryset: QuerySet[Any], column: Combinable | str, limit: int) -> None:
        super().__init__(queryset.annotate(value=column).values("value")[:limit])

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        template = self.template.replace("STRING_AGG", "GROUP_CONCAT")
        return self.as_sql(compiler, connection, template=template)
