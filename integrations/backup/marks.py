"""What a restored database gets besides its rows: the hold, numbers that nobody has yet, and no sessions.

These are statements without a semicolon. `restore` carries them out in the transaction of the dump, whose tables may be
older than the models.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import connection

from changes.models import Change, RestoredCopy
from integrations.models import SmaxToken

# Whoever was signed in. Somebody may have signed out since, or have been locked out.
SESSIONS = tuple(model._meta.db_table for model in (UserSession, Session, SmaxToken))
# At least so many numbers of changes are left out, up to the next multiple. The original may have given them since.
LEFT_OUT = 10_000
TOLD = (
    f"All sessions are ended. At least {LEFT_OUT:,} numbers of changes are left out: partners may know them from the "
    "original."
)


def of_copy(taken_at: datetime, restored_at: datetime, tables: Collection[str]) -> list[str]:
    """All of them. `tables`: those of the dump."""
    return [*_hold(taken_at, restored_at), *ended_sessions(tables), *moved_numbers(), *_statistics()]


def _hold(taken_at: datetime, restored_at: datetime) -> list[str]:
    table, adapted = RestoredCopy._meta.db_table, connection.ops.adapt_datetimefield_value
    values = f"{RestoredCopy.KEY}, '{adapted(taken_at)}', '{adapted(restored_at)}'"
    return [
        f"DELETE FROM {table}",  # noqa: S608 - our own name  # nosec
        f"INSERT INTO {table} (id, taken_at, restored_at) VALUES ({values})",  # noqa: S608 - our own values  # nosec
    ]


def ended_sessions(tables: Collection[str]) -> list[str]:
    return [f"DELETE FROM {table}" for table in SESSIONS if table in tables]  # noqa: S608 - our own names  # nosec


def moved_numbers() -> list[str]:
    """The next change gets a number that the original has not given, unless it gave 10,000 since."""
    table, moved = Change._meta.db_table, f"({{}} + {2 * LEFT_OUT - 1}) / {LEFT_OUT} * {LEFT_OUT}"
    if connection.vendor == "postgresql":
        last = "coalesce(pg_sequence_last_value(key.sequence::regclass), 0)"
        return [
            f"SELECT setval(key.sequence::regclass, {moved.format(last)}) "  # noqa: S608 - our own name  # nosec
            f"FROM (SELECT pg_get_serial_sequence('{table}', 'id') AS sequence) AS key"
        ]
    counter = f"sqlite_sequence WHERE name = '{table}'"
    return [
        f"INSERT INTO sqlite_sequence (name, seq) SELECT '{table}', 0 WHERE NOT EXISTS (SELECT 1 FROM {counter})",  # noqa: S608 - our own name  # nosec
        f"UPDATE sqlite_sequence SET seq = {moved.format('seq')} WHERE name = '{table}'",  # noqa: S608 - our own name  # nosec
    ]


def _statistics() -> list[str]:
    """A dump of PostgreSQL has none, and the first queries would be slow without. A file of SQLite keeps its own."""
    return ["ANALYZE"] if connection.vendor == "postgresql" else []
