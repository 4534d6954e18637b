"""The databases of a run: migrated once, and copied for each worker and each installation that needs one.

All tests run on PostgreSQL. The modules of `ON_SQLITE_TOO` also run on SQLite, without their tests marked
`any_database`. Their results may depend on the database: SQL queries (search, filters, paging, counts, export),
conflicts and concurrency, migrations, commands, limits of columns, and a test for each kind of rule.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from changes.models import append_only

from . import services

FOLDER = Path(__file__).resolve().parent
ON_SQLITE_TOO = (
    # The rules and the change record.
    "changes/test_record.py",
    "changes/test_workflow.py",
    "changes/test_rounds.py",
    "changes/test_migrations.py",
    "changes/test_change_history.py",
    "changes/api/test_transitions.py",
    "changes/api/test_races.py",
    "changes/test_once.py",
    "changes/test_pages_merge.py",
    "integrations/incoming/test_operations.py",
    "integrations/incoming/test_allowed.py",
    "integrations/incoming/test_rules.py",
    "integrations/incoming/test_origin.py",
    "integrations/outgoing/test_rules.py",
    "integrations/outgoing/test_recording.py",
    "integrations/test_preview.py",
    # Delivery and concurrency.
    "integrations/test_concurrency.py",
    "integrations/delivery/test_outcomes.py",
    "integrations/delivery/test_order.py",
    "integrations/delivery/test_messages.py",
    "integrations/test_drain.py",
    "integrations/collecting/test_outbox.py",
    "integrations/simulator/test_smax_adapter.py",
    "integrations/collecting/test_at_once.py",
    "integrations/collecting/test_sequences.py",
    "integrations/test_flow_control.py",
    "integrations/test_interleavings.py",
    "integrations/test_many_writers.py",
    "integrations/test_outbox_races.py",
    "integrations/test_wakeup.py",
    "faults/test_outbox_model.py",
    "test_conflicts.py",
    # Search, filters, paging, counts, export, and the number of queries.
    "changes/api/test_changes.py",
    "changes/api/test_writing_changes.py",
    "changes/test_list_export.py",
    "changes/test_list_paging.py",
    "changes/test_list_saved_filters.py",
    "changes/test_list_search.py",
    "changes/test_steps.py",
    "changes/test_pages_calendar.py",
    "changes/test_pages_desk.py",
    "changes/test_timeline.py",
    "integrations/test_attention.py",
    "integrations/test_desk.py",
    "integrations/test_export_tables.py",
    "integrations/test_relations.py",
    "integrations/log/test_exchange_log.py",
    "integrations/log/test_retry_window.py",
    "integrations/status/test_command.py",
    "integrations/status/test_nothing_taken.py",
    "integrations/test_incoming_statements.py",
    "integrations/smax/test_at_once.py",
    "integrations/smax/test_filters.py",
    "integrations/smax/test_reading.py",
    "integrations/smax/test_writing.py",
    "integrations/smax/test_writing_many.py",
    "integrations/watch/test_readyz.py",
    "integrations/watch/test_figures.py",
    "test_query_counts.py",
    # Counted and used up in the database.
    "security/test_sign_in.py",
    "security/test_token_life.py",
    "security/test_tokens.py",
    "security/test_second_factor.py",
    "security/test_security_log.py",
    "security/test_security_log_kept.py",
    "security/test_security_log_page.py",
    "security/test_verify_audit.py",
    # Limits of columns.
    "changes/api/test_bad_input.py",
    "integrations/test_bad_operations.py",
    # Jobs, commands, migrations, and an installation without any server.
    "changes/bulk/test_recipients.py",
    "integrations/backup/test_backup.py",
    "integrations/backup/test_restored_copy.py",
    "integrations/backup/test_after_restore.py",
    "integrations/backup/test_several_backups.py",
    "integrations/backup/test_held_work.py",
    "integrations/test_persons.py",
    "integrations/test_retention.py",
    "integrations/test_bulk_workers.py",
    "integrations/test_configuration.py",
    "integrations/test_deliver_command.py",
    "integrations/test_generate_changes.py",
    "integrations/test_migrations.py",
    "integrations/test_tokens_command.py",
    "test_database_settings.py",
    "e2e/test_exchange.py",
)
TEMPLATE = "template_migrated"
KEPT = FOLDER.parent / ".pytest_cache" / "migrated"
MODULES_ON_SQLITE = frozenset(FOLDER / name for name in ON_SQLITE_TOO)
# The rows of each table when the database of this process was new: roles, content types, permissions.
_at_first: dict[str, list[tuple[Any, ...]]] = {}


def use_copy(name: str) -> None:
    """Lets this process use a new, migrated database of that name. No database connection may be open."""
    _ensure_migrated()
    _copy(name)
    _point_to(_name(name))
    with connection.cursor() as cursor:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        _at_first.update({table: _rows(cursor, table) for table in tables})


def empty() -> None:
    """Restores the database of this process to its state when it was new.

    Django's own `flush` takes a hundred times as long: it truncates all tables, although few were written to, and then
    creates everything again that `migrate` adds.
    """
    written = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in _at_first)  # noqa: S608
    with connection.constraint_checks_disabled(), transaction.atomic(), connection.cursor() as cursor:
        if _is_postgresql():
            cursor.execute("SET LOCAL session_replication_role = replica")  # no foreign key checks, no triggers
        cursor.execute(written)
        with _log_can_be_emptied():
            _restore(cursor)


def _restore(cursor: CursorWrapper) -> None:
    for table in {name for (name,) in cursor.fetchall()} | {name for name, rows in _at_first.items() if rows}:
        if _at_first[table] and _rows(cursor, table) == _at_first[table]:
            continue
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608
        for row in _at_first[table]:
            cursor.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", row)  # noqa: S608


@contextmanager
def _log_can_be_emptied() -> Iterator[None]:
    """On SQLite, takes away the triggers that keep the security log append-only, for a moment."""
    editor = SimpleNamespace(connection=connection, execute=lambda sql: connection.cursor().execute(sql))
    if _is_postgresql() or not append_only.is_installed(connection):
        yield
        return
    append_only.remove(None, editor)
    yield
    append_only.install(None, editor)


def _rows(cursor: CursorWrapper, table: str) -> list[tuple[Any, ...]]:
    cursor.execute(f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608
    return cursor.fetchall()


def url_of_copy(name: str) -> str:
    """Creates a migrated database of that name, of the run's kind. Returns its DATABASE_URL."""
    _ensure_migrated()
    _copy(name)
    return services.postgresql_url(name) if _is_postgresql() else f"sqlite:///{_name(name)}"


def _ensure_migrated() -> None:
    """The first process migrates the template database; the others wait."""
    done = services.run_dir() / "migrated"
    with (services.run_dir() / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return
        used = connection.settings_dict["NAME"]
        kept = _kept()
        if _is_postgresql():
            services.create_postgresql_database(TEMPLATE)
            if kept.exists():
                services.restore_postgresql_database(TEMPLATE, kept)
        elif kept.exists():
            shutil.copy(kept, _name(TEMPLATE))
        _point_to(_name(TEMPLATE))
        call_command("migrate", verbosity=0)
        _point_to(used)
        if not kept.exists():
            _keep(kept)
        done.touch()


def _kept() -> Path:
    """The path of a database that an earlier run made with exactly these migrations and roles. It saves some seconds.

    The caller runs `migrate` on it all the same, for what is added after the migrations, such as the permissions of
    roles.
    """
    digest = hashlib.sha256(django.__version__.encode())
    for app in apps.get_app_configs():
        # What a role may do is only ever added to.
        for file in sorted([*Path(app.path).glob("migrations/*.py"), *Path(app.path).rglob("roles.py")]):
            digest.update(file.read_bytes())
    suffix = f"postgresql{services.postgresql_version()}.sql" if _is_postgresql() else "sqlite3"
    return KEPT / f"{digest.hexdigest()[:20]}.{suffix}"


def _keep(kept: Path) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    for former in KEPT.glob(f"*{kept.suffix}"):
        former.unlink(missing_ok=True)
    written = KEPT / f"{kept.stem}.{os.getpid()}"
    if _is_postgresql():
        services.dump_postgresql_database(TEMPLATE, written)
    else:
        shutil.copy(_name(TEMPLATE), written)
    written.replace(kept)  # whole, or not at all


def _copy(name: str) -> None:
    with (services.run_dir() / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # PostgreSQL allows only one copy of a template at a time
        if _is_postgresql():
            services.create_postgresql_database(name, template=TEMPLATE)
        else:
            shutil.copy(_name(TEMPLATE), _name(name))


def _point_to(name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = name


def _name(name: str) -> str:
    return name if _is_postgresql() else str(services.run_dir() / f"{name}.sqlite3")


def _is_postgresql() -> bool:
    return connection.vendor == "postgresql"
