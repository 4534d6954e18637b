"""Writes many rows at once: with COPY on PostgreSQL, with batches of INSERT elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, models

Row = tuple[Any, ...]


class Table:
    """Collects rows of one model. Values are given in the order of `names`; other columns get their field's default."""

    def __init__(self, model: type[models.Model], *names: str) -> None:
        options = model._meta
        named = [options.get_field(name) for name in names]
        rest = [
            field for field in options.local_concrete_fields if field not in named and not _is_filled_by_database(field)
        ]
        quote = connection.ops.quote_name
        self._name = quote(options.db_table)
        self._columns = ", ".join(quote(str(field.column)) for field in (*named, *rest))  # type: ignore[union-attr]
        self._defaults = tuple(field.get_default() for field in rest)
        self._width = len(named) + len(rest)
        self._rows: list[Row] = []

    def add(self, *values: object) -> None:
        self._rows.append((*values, *self._defaults))

    def write(self) -> None:
        """Writes the rows added since the last call. Values must be in the database's form, such as JSON as text."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                with cursor.copy(f"COPY {self._name} ({self._columns}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                marks = ", ".join(["%s"] * self._width)
                insert = f"INSERT INTO {self._name} ({self._columns}) VALUES ({marks})"  # noqa: S608 - our own names  # nosec
                cursor.executemany(insert, [_adapted(row) for row in rows])


def _is_filled_by_database(field: models.Field[Any, Any]) -> bool:
    return field.generated or field.db_default is not models.NOT_PROVIDED or isinstance(field, models.AutoField)


def reserve(model: type[models.Model], count: int) -> int:
    """Reserves `count` consecutive primary keys and returns the first. Other writers are safe on PostgreSQL only."""
    if connection.vendor == "postgresql":
        # One statement, so that rows that others insert meanwhile get keys before or after the reserved ones.
        sequence = "pg_get_serial_sequence(%s, 'id')"
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT setval({sequence}, nextval({sequence}) + %s)",
                [model._meta.db_table, model._meta.db_table, count],
            )
            return int(cursor.fetchone()[0]) - count
    last = model._default_manager.aggregate(last=models.Max("pk"))["last"]
    return int(last or 0) + 1


@contextmanager
def quick() -> Iterator[None]:
    """Inside the `with` block, PostgreSQL has no time limit and does not wait for the disk.

    If the database user is a superuser, foreign keys are not checked either.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        settings = {"statement_timeout": "0", "synchronous_commit": "off"}
        if cursor.fetchone()[0]:
            settings["session_replication_role"] = "replica"
        for name, value in settings.items():
            cursor.execute(f"SET {name} = {value}")
        try:
            yield
        finally:
            for name in settings:
                cursor.execute(f"RESET {name}")


def tidy(written: Sequence[type[models.Model]]) -> None:
    """Updates statistics and, on PostgreSQL, the visibility map, as after some use. Call outside a transaction."""
    command = "VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE"
    with connection.cursor() as cursor:
        for model in written:
            cursor.execute(f"{command} {connection.ops.quote_name(model._meta.db_table)}")


def _adapted(row: Row) -> Row:
    return tuple(
        connection.ops.adapt_datetimefield_value(value)
        if isinstance(value, datetime)
        else value.hex
        if isinstance(value, uuid.UUID)
        else value
        for value in row
    )
