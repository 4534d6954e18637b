"""The settings of a database connection, read from the database itself."""

import json
import os

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.db.models.signals import pre_migrate

from . import services, warm
from .processes import until

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
VARIABLES = ("DATABASE_STATEMENT_TIMEOUT", "DATABASE_LOCK_TIMEOUT", "DATABASE_IDLE_TIMEOUT")
ASKED = {
    "postgresql": [f"SHOW {name}" for name in LIMITS],
    "sqlite": ["PRAGMA journal_mode", "PRAGMA busy_timeout"],
}
_SHOW = """
import json
from django.db import connection
with connection.cursor() as cursor:
    shown = []
    for name in {names!r}:
        cursor.execute("SHOW " + name)
        shown.append(cursor.fetchone()[0])
print(json.dumps(shown))
"""


def asked(of):
    with of.cursor() as cursor:
        return [cursor.execute(sql) and cursor.fetchone()[0] for sql in ASKED[of.vendor]]


@pytest.mark.django_db
def test_a_new_connection_has_its_limits():
    fresh = connection.copy()
    try:
        # The tests have no idle limit: see tests/services.py.
        expected = {"postgresql": ["30s", "15s", "0"], "sqlite": ["wal", 20000]}
        assert asked(fresh) == expected[fresh.vendor]
    finally:
        fresh.close()


@pytest.mark.django_db(transaction=True)
def test_migrate_has_no_limits_but_for_locks_and_gives_them_back():
    before, meanwhile = asked(connection), []

    def ask(sender, using, **kwargs):
        meanwhile.append(asked(connections[using]))

    pre_migrate.connect(ask)
    try:
        call_command("migrate", verbosity=0)
    finally:
        pre_migrate.disconnect(ask)
    expected = {"postgresql": ["0", "500ms", "0"], "sqlite": before}
    assert meanwhile[-1] == expected[connection.vendor]
    assert asked(connection) == before


# --- In a separate process, on PostgreSQL ---


def shown(url="", names=LIMITS, **environment):
    """The database settings of a process with this environment."""
    environment["DATABASE_URL"] = services.postgresql_url("postgres") + url
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = ["shell", "--verbosity=0", "--command", _SHOW.format(names=names)]
    done = warm.manage(command, {**inherited, **environment}, is_once=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.any_database
def test_the_limits_are_set_in_seconds_and_0_is_none():
    limits = {"DATABASE_STATEMENT_TIMEOUT": "90", "DATABASE_LOCK_TIMEOUT": "0.25", "DATABASE_IDLE_TIMEOUT": "0"}
    assert shown(**limits) == ["90s", "250ms", "0"]


@pytest.mark.any_database
def test_without_any_limit_the_server_s_own_hold():
    assert shown(**dict.fromkeys(VARIABLES, "0")) == ["0", "0", "0"]


@pytest.mark.any_database
def test_options_of_database_url_are_kept_and_win():
    url = "?connect_timeout=3&options=-c%20lock_timeout%3D1234%20-c%20application_name%3Dmine"
    assert shown(url, (*LIMITS, "application_name")) == ["30s", "1234ms", "10s", "mine"]


@pytest.mark.django_db
def test_a_kept_connection_that_works_costs_no_statement_and_one_that_the_server_ended_is_found():
    if connection.vendor == "sqlite":
        assert connection.is_usable()
        return
    kept = connection.copy()
    try:
        with kept.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            process = cursor.fetchone()[0]
        assert kept.is_usable()
        with connection.cursor() as cursor:
            # The server's last statement of that session is still the one above.
            cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [process])
            assert "pg_backend_pid" in cursor.fetchone()[0]
            cursor.execute("SELECT pg_terminate_backend(%s)", [process])
        until("the server has ended the session", lambda: not kept.is_usable())
    finally:
        kept.close()
