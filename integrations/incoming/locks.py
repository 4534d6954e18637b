"""Locks on things that have no database row. They write nothing and end with the transaction."""

from django.db import connection


def lock_origin(system_id: str, operation_id: str) -> None:
    """Serialises transactions that receive the same original operation, which may arrive from two partners at once.

    Does nothing on SQLite, which has one writer at a time.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            name = f"origin {system_id} {operation_id}"
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
