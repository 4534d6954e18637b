"""Helpers of the SQL statements: partly loaded models from rows, and conditions for several keys."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import DateTimeField, Model, Value

AnyModel = TypeVar("AnyModel", bound=Model)
# The columns with the state of an exchange.
SEQUENCES = ("last_sequence", "assigned_sequence", "cancelled_sequence", "rejected_at_sequence")


def partly(model: type[AnyModel], **values: Any) -> AnyModel:
    """An instance with only these fields loaded, as by `only()`. Pass `values` in the order of the model's fields."""
    return model.from_db(connection.alias, [*values], [*values.values()])


@lru_cache(maxsize=64)
def _reading(model: type[Model], columns: tuple[bytes, ...]) -> tuple[frozenset[str], list[int], list[tuple[int, str]]]:
    """How to build an instance from a row with these columns.

    Returns the names of the columns that are fields, their positions in the row in the model's order, and the position
    and name of each other column.
    """
    places = {name.decode(): place for place, name in enumerate(columns)}
    fields = [field.attname for field in model._meta.concrete_fields if field.attname in places]
    others = [(place, name) for name, place in places.items() if name not in fields]
    return frozenset(fields), [places[name] for name in fields], others


def read(model: type[AnyModel], sql: str, parameters: list[Any]) -> list[AnyModel]:
    """As `model.objects.raw()`, but faster. The columns must be named like their fields and need no conversion."""
    if connection.vendor != "postgresql":
        return list(model._default_manager.raw(sql, parameters))
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
        result: Any = cursor.pgresult  # names by `description` take longer than the models
        fields, places, others = _reading(model, tuple(map(result.fname, range(result.nfields))))
    found = []
    for row in rows:
        instance = model.from_db(connection.alias, fields, [row[place] for place in places])
        for place, name in others:
            setattr(instance, name, row[place])
        found.append(instance)
    return found


def among(column: str, keys: Iterable[Any]) -> tuple[str, list[Any]]:
    """SQL for "`column` is one of `keys`", and its parameters.

    On PostgreSQL the keys are one array parameter, so that the statement is the same for any number of keys.
    """
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s)", [[*keys]]
    adapted = [key.hex if isinstance(key, UUID) else key for key in keys]
    return f"{column} IN ({', '.join(['%s'] * len(adapted))})", adapted


def lock(skips_locked: bool = False) -> str:
    """SQL that locks the rows of a SELECT until the transaction ends. Empty where the database locks as a whole."""
    if not connection.features.has_select_for_update:
        return ""
    return " FOR NO KEY UPDATE" + (" SKIP LOCKED" if skips_locked else "")


def moment(value: Any) -> Any:
    """The datetime for a raw column value, converted as the ORM does: SQLite stores times as text."""
    if connection.vendor == "postgresql":
        return value
    column = Value(None, output_field=DateTimeField())
    for convert in connection.ops.get_db_converters(column):
        value = convert(value, column, connection)
    return value
