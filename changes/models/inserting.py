"""Inserts a record by SQL that is composed once for each model. The ORM composes it anew for each record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from django.db import connections, models
from django.db.models.expressions import DatabaseDefault

# Kinds of field, and the type of their values that the driver takes as they are.
_PLAIN = {models.CharField: str, models.TextField: str, models.AutoField: int}
_PREPARING = ("get_db_prep_save", "get_db_prep_value", "get_prep_value")


class QuicklyInserted(models.Model):
    """A model of which every operation inserts a record. It behaves as any other, but its values are no expressions."""

    class Meta:
        abstract = True

    def _do_insert(
        self, manager: Any, using: str, fields: Sequence[Any], returning_fields: Sequence[Any], raw: bool
    ) -> Any:
        if raw or connections[using].vendor != "postgresql":
            return super()._do_insert(manager, using, fields, returning_fields, raw)  # type: ignore[misc]
        return insert(self, using, fields, returning_fields)


def insert(record: models.Model, using: str, fields: Sequence[Any], returning_fields: Sequence[Any]) -> Any:
    """Inserts these fields of the record. Returns the row with the values that the database gave the others, if any."""
    connection = connections[using]
    names: list[str] = []
    values: list[Any] = []
    for field, plain in _with_plain(type(record), len(fields)):
        value = field.pre_save(record, True)
        if isinstance(value, DatabaseDefault):
            continue
        names.append(field.column)
        values.append(value if type(value) is plain else field.get_db_prep_save(value, connection))
    with connection.cursor() as cursor:
        cursor.execute(_sql(type(record), tuple(names), using), values)
        return cursor.fetchall() if returning_fields else []


@lru_cache(maxsize=64)
def _with_plain(model: type[models.Model], count: int) -> list[tuple[Any, type | None]]:
    """The `count` fields to insert: all, or all but the key that the database gives."""
    fields: list[Any] = [field for field in model._meta.local_concrete_fields if not field.generated]
    if len(fields) > count:
        fields.remove(model._meta.auto_field)
    return [(field, plain_type(field)) for field in fields]


def plain_type(field: Any) -> type | None:
    """The type of values that the driver takes as they are, None if there is none: see `get_db_prep_save()`."""
    target = field.target_field if field.is_relation else field
    for kind, plain in _PLAIN.items():
        if isinstance(target, kind) and all(getattr(type(target), name) is getattr(kind, name) for name in _PREPARING):
            return plain
    return None


@lru_cache(maxsize=64)
def _sql(model: type[models.Model], columns: tuple[str, ...], using: str) -> str:
    quote: Callable[[Any], str] = connections[using].ops.quote_name
    names, places = ", ".join(map(quote, columns)), ", ".join(["%s"] * len(columns))
    given = ", ".join(quote(field.column) for field in model._meta.db_returning_fields)
    sql = f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({places})"  # noqa: S608 - names of our columns  # nosec
    return f"{sql} RETURNING {given}" if given else sql
