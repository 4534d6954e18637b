"""Locks on things that have no row of their own. They write nothing, and end with the transaction."""

from django.db import connection


def lock_origin(system_id: str, operation_id: str) -> None:
    """Makes two ways on which one operation arrives wait for each other. SQLite has one writer at a time anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            name = f"origin {system_id} {operation_id}"
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
