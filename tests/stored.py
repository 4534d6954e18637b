"""Rows as an earlier release may have stored them, which no way in would make today."""

from django.db import connection


def store(change, **values):
    """Writes these columns of a change, and of its history, past every rule."""
    columns = ", ".join(f"{name} = %s" for name in values)
    with connection.cursor() as cursor:
        for table in ("changes_change", "changes_historicalchange"):
            cursor.execute(f"UPDATE {table} SET {columns} WHERE id = %s", [*values.values(), change.pk])  # noqa: S608
