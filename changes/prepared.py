"""Prepared statements: PostgreSQL parses and plans once for a connection what runs for every operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection

# A statement is prepared when a connection runs it for this time.
THRESHOLD = 3


@contextmanager
def prepared() -> Iterator[None]:
    """Around a few statements that run over and over, such as those of one operation.

    Not around a query that needs a partial index: a plan that fits all values does not know that the value is that of
    the index's condition. `DATABASE_PREPARED_STATEMENTS` turns it off, for a PgBouncer that cannot keep them.
    """
    # Who looks at the queries, in a test or with DEBUG, sees them with their values.
    is_wanted = settings.DATABASE_PREPARED_STATEMENTS and not connection.queries_logged
    if connection.vendor != "postgresql" or not is_wanted:
        yield
        return
    connection.ensure_connection()
    session: Any = connection.connection  # of the driver
    ordinary = session.cursor_factory, session.prepare_threshold
    session.cursor_factory, session.prepare_threshold = psycopg.Cursor, THRESHOLD
    try:
        yield
    finally:
        session.cursor_factory, session.prepare_threshold = ordinary
