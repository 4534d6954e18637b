"""Errors of the database are counted, by what PostgreSQL says of them."""

from __future__ import annotations

import psycopg
import pytest
from django.db import Error, connection

from changes.conflicts import retry

from .prometheus import grown, scraped

# SQLSTATE, and what it counts as.
ERRORS = [("40001", "conflict"), ("53300", "unavailable"), ("23514", "fault")]


def test_errors_of_the_database_are_counted_once_by_kind(watched):
    for state, kind in ERRORS:
        before = scraped()
        with pytest.raises(Error) as raised:
            retry(lambda state=state: retry(lambda: _fail(state)))
        assert isinstance(raised.value.__cause__, psycopg.Error)
        tries = 3 if kind == "conflict" else 1
        assert grown(before, scraped(), "database_errors_total", kind=kind) == tries, state


def _fail(state: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")
