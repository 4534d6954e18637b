"""Whether a session of PostgreSQL is as the settings ask: its time limits, and what a pooler in between breaks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import closing
from typing import Any

from django.conf import settings
from django.db import connection
from psycopg.pq import ExecStatus

from integrations.watch.bounded import Look

from .finding import Finding, Verdict

# Seconds to wait for a pooler that has no connection to lend.
PATIENCE = 5
_LIMITS = """
    SELECT name, setting::int, current_setting('jit'), pg_backend_pid() FROM pg_settings
    WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name
"""
_STATEMENT = b"casexchange_doctor"


def findings() -> Iterator[Finding]:
    """What a session says. Only for PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute(_LIMITS)
        rows = cursor.fetchall()
    yield _limits({name: milliseconds for name, milliseconds, *_ in rows})
    *_, (_, _, jit, process) = rows
    session: Any = connection.connection
    # A pooler gives its client a process id of its own.
    is_pooled = session.info.backend_pid != process
    if jit == "on":
        then = "Then restart the pooler." if is_pooled else "DATABASE_URL must not switch it on."
        mend = f"In PostgreSQL: ALTER ROLE {connection.settings_dict['USER']} SET jit = off; {then}"
        yield Finding(Verdict.LOOK, "jit", "It is on, which makes short queries slow.", mend)
    if is_pooled:
        yield _prepared_statements()


def _limits(present: dict[str, int]) -> Finding:
    """Other limits than those of the settings may come from the role or from DATABASE_URL.

    None at all means that a pooler did not pass them on.
    """
    wanted = {name: round(seconds * 1000) for name, seconds in settings.DATABASE_LIMITS.items()}
    lost = [name for name in wanted if wanted[name] and not present[name]]
    if not lost:
        return Finding(Verdict.OK, "time limits", "in force")
    user = connection.settings_dict["USER"]
    mend = " ".join(f"ALTER ROLE {user} SET {name} = {wanted[name]};" for name in lost)
    said = f"A session has no {', '.join(lost)}."
    return Finding(Verdict.WRONG, "time limits", said, f"In PostgreSQL: {mend} Then restart the pooler.")


def _prepared_statements() -> Finding:
    subject = "pooler"
    if not settings.DATABASE_PREPARED_STATEMENTS:
        return Finding(Verdict.OK, subject, "between here and PostgreSQL, and no statement is prepared")
    try:
        is_kept = Look(_keeps_prepared_statements, 0).result(PATIENCE)
    except TookTooLong:
        said = f"It lent no connection within {PATIENCE} seconds."
        return Finding(Verdict.LOOK, subject, said, "Raise default_pool_size.")
    if is_kept:
        return Finding(Verdict.OK, subject, "between here and PostgreSQL, and it keeps prepared statements")
    said = "It loses prepared statements between transactions, so requests and deliveries would fail."
    return Finding(Verdict.WRONG, subject, said, "Set DATABASE_PREPARED_STATEMENTS=0, or use PgBouncer 1.22 or later.")


def _keeps_prepared_statements() -> bool:
    """Prepares a statement, takes the server connection away, and asks for the statement on another one."""
    with closing(connection.copy()) as preparing, closing(connection.copy()) as taking:
        for each in (preparing, taking):
            each.ensure_connection()
        session: Any = preparing.connection
        session.pgconn.prepare(_STATEMENT, b"SELECT 1")
        taking.set_autocommit(False)
        with taking.cursor() as cursor:
            cursor.execute("SELECT 1")  # a pooler lends the connection that came back last
        kept: bool = session.pgconn.exec_prepared(_STATEMENT, []).status == ExecStatus.TUPLES_OK
        taking.rollback()
        return kept
