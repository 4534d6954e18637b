"""The databases: SQLite for a small desk, PostgreSQL in production, and its read replica."""

import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from casexchange.settings.database_options import REPLICA_CONNECTION, postgresql_options
from casexchange.settings.environment import env, positive, zero_or_more
from casexchange.settings.folders import VAR_DIR

__all__ = ["DATABASES", "DATABASE_LIMITS", "DATABASE_PREPARED_STATEMENTS", "DATABASE_ROUTERS", "POSTGRESQL_BIN"]

_POSTGRESQL = "postgres|postgresql|psql|pgsql"


def _database(name: str, default: str, schemes: str, advice: str) -> dict[str, Any]:
    # The error does not quote the URL: it holds a password.
    if not re.match(rf"({schemes})://", env.str(name, default)):
        raise ImproperlyConfigured(f"{name}: write {advice}")
    return env.db_url(name, default)


# Seconds. No statement of ours takes nearly as long; a stuck one is ended so that it does not block the others. The
# idle limit is below the lock limit: a process that hangs inside a transaction loses its locks before the processes
# that wait for them give up.
DATABASE_LIMITS = {
    "statement_timeout": zero_or_more("DATABASE_STATEMENT_TIMEOUT", 30),
    "lock_timeout": zero_or_more("DATABASE_LOCK_TIMEOUT", 15),
    "idle_in_transaction_session_timeout": zero_or_more("DATABASE_IDLE_TIMEOUT", 10),
}


def _on_sqlite(database: dict[str, Any]) -> dict[str, Any]:
    options = {
        # A write lock that is requested at BEGIN waits its turn. Requested later, it fails at once with "database is
        # locked".
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # FULL, not NORMAL: a committed operation must survive a power cut.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    return {**database, "OPTIONS": options}


def _on_postgresql(database: dict[str, Any], **connection: int) -> dict[str, Any]:
    return {
        **database,
        "ENGINE": "casexchange.postgresql",
        # Each thread keeps its connection, and there are few threads. A pool would save no connection and would add its
        # own locks and checks to each request.
        "CONN_MAX_AGE": int(positive("DATABASE_CONN_MAX_AGE", 60)),
        "CONN_HEALTH_CHECKS": True,
        # A sign-in would open such a cursor, which PgBouncer loses in transaction mode.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": postgresql_options(DATABASE_LIMITS, {**connection, **database.get("OPTIONS", {})}),
    }


def _replica() -> dict[str, Any]:
    if _is_sqlite:
        raise ImproperlyConfigured("DATABASE_REPLICA_URL: only PostgreSQL has replicas, but DATABASE_URL is SQLite")
    database = _database("DATABASE_REPLICA_URL", "", _POSTGRESQL, "postgres://USER:PASSWORD@HOST:PORT/NAME")
    return {
        **_on_postgresql(database, **REPLICA_CONNECTION),
        # Seconds after which the primary is asked instead. A page's statement takes far less.
        "ANSWER_TIMEOUT": 5,
        # In a test of Django's, there is one database with two names.
        "TEST": {"MIRROR": "default"},
    }


_default = _database(
    "DATABASE_URL",
    f"sqlite:///{VAR_DIR / 'db.sqlite3'}",
    f"sqlite|{_POSTGRESQL}",
    "sqlite:///FILE or postgres://USER:PASSWORD@HOST:PORT/NAME",
)
_is_sqlite = _default["ENGINE"].endswith("sqlite3")
DATABASES = {"default": _on_sqlite(_default) if _is_sqlite else _on_postgresql(_default)}
# A router is asked for each query, so there is none without a replica.
DATABASE_ROUTERS: list[str] = []
if env.str("DATABASE_REPLICA_URL", ""):
    DATABASES["replica"] = _replica()
    DATABASE_ROUTERS.append("casexchange.database_router.ReplicaRouter")
DATABASE_PREPARED_STATEMENTS = env.bool("DATABASE_PREPARED_STATEMENTS", True)  # see integrations/statements/
# The folder of pg_dump, pg_restore and psql. Without it, those of the server's version are looked for.
POSTGRESQL_BIN = env.str("POSTGRESQL_BIN", "")
