"""Lets the database refuse writes, as in a conflict with another transaction."""

from __future__ import annotations

from contextlib import contextmanager

from django.db import OperationalError, connection

DEADLOCK = "40P01"


@contextmanager
def refused(times, table="changes_comment", code=DEADLOCK):
    """Lets the database refuse the next `times` writes to the table. On PostgreSQL the error is `code`."""
    with (_by_trigger if connection.vendor == "postgresql" else _by_lock)(times, table, code):
        yield


@contextmanager
def _by_trigger(times, table, code):
    with connection.cursor() as cursor:
        # A sequence keeps its value when the transaction is rolled back.
        cursor.execute("CREATE SEQUENCE refused")
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN "
            f"IF nextval('refused') <= {times} THEN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END IF; "
            "RETURN new; END $$ LANGUAGE plpgsql"
        )
        cursor.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION refuse CASCADE")
            cursor.execute("DROP SEQUENCE refused")


@contextmanager
def _by_lock(times, table, code):
    rival = connection.copy()
    count = 0

    def release():
        if rival.connection is not None:
            rival.close()

    def count_refusals(execute, sql, params, many, context):
        nonlocal count
        try:
            return execute(sql, params, many, context)
        except OperationalError:
            count += 1
            if count == times:
                release()
            raise

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 20")
    rival.cursor().execute("BEGIN IMMEDIATE")
    try:
        with connection.execute_wrapper(count_refusals):
            yield
    finally:
        release()
        connection.close()
