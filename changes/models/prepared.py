"""Prepared statements: on each connection, PostgreSQL parses and plans a repeated statement only once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection

from changes.spans import prepared_cursor

# The number of executions on a connection after which a statement is prepared.
THRESHOLD = 3


@contextmanager
def prepared() -> Iterator[None]:
    """Lets PostgreSQL prepare the statements inside the `with` block. For the few statements that every operation runs.

    Do not use it around a query that passes the condition of a partial index as a parameter: a plan for all values
    cannot use that index. Receivers of a save run inside such a block too, so `Unsettled` in integrations/querysets.py
    writes its values out. A savepoint that is rolled back costs the connection its plans.

    `DATABASE_PREPARED_STATEMENTS` turns it off, for a PgBouncer that does not support it.
    """
    # Off while queries are logged, in a test or with DEBUG, so that the log shows their values.
    is_wanted = settings.DATABASE_PREPARED_STATEMENTS and not connection.queries_logged
    if connection.vendor != "postgresql" or not is_wanted:
        yield
        return
    connection.ensure_connection()
    session: Any = connection.connection  # the driver's connection
    ordinary = session.cursor_factory, session.prepare_threshold
    session.cursor_factory, session.prepare_threshold = prepared_cursor(), THRESHOLD
    try:
        yield
    finally:
        session.cursor_factory, session.prepare_threshold = ordinary
