"""The databases of a run: migrated once, and copied for each worker and each installation that needs one.

PostgreSQL runs everything. SQLite runs what lies in the modules of `ON_SQLITE_TOO`, which are those where the database
could make a difference: the rules, whatever is told by SQL (search, filters, paging, counts, export), conflicts and
concurrency, migrations, commands, and the values that a column takes.
"""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from . import services

FOLDER = Path(__file__).resolve().parent
ON_SQLITE_TOO = (
    # The rules, and the record that they are about.
    "changes/test_record.py",
    "changes/test_workflow.py",
    "changes/test_change_history.py",
    "changes/api/test_transitions.py",
    "changes/api/test_races.py",
    "changes/test_once.py",
    "changes/test_pages_merge.py",
    "integrations/incoming/test_operations.py",
    "integrations/incoming/test_rules.py",
    "integrations/incoming/test_origin.py",
    "integrations/outgoing/test_rules.py",
    "integrations/outgoing/test_recording.py",
    "integrations/test_state_machine.py",
    "integrations/test_preview.py",
    # Delivery, and who gets in whose way.
    "integrations/test_concurrency.py",
    "integrations/delivery/test_outcomes.py",
    "integrations/delivery/test_order.py",
    "integrations/delivery/test_messages.py",
    "integrations/test_drain.py",
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
    "changes/test_pages_calendar.py",
    "changes/test_pages_desk.py",
    "changes/test_timeline.py",
    "integrations/test_desk.py",
    "integrations/log/test_exchange_log.py",
    "integrations/log/test_retry_window.py",
    "integrations/status/test_command.py",
    "integrations/status/test_page.py",
    "integrations/status/test_breaker_by_hand.py",
    "integrations/test_incoming_statements.py",
    "test_query_counts.py",
    # What a column takes.
    "changes/api/test_bad_input.py",
    "integrations/test_bad_operations.py",
    # Jobs, commands, migrations, and an installation without any server.
    "changes/bulk/test_recipients.py",
    "integrations/test_bulk_workers.py",
    "integrations/test_configuration.py",
    "integrations/test_deliver_command.py",
    "integrations/test_generate_changes.py",
    "integrations/test_migrations.py",
    "integrations/test_tokens_command.py",
    "test_database_settings.py",
    "e2e/test_exchange.py",
)
MODULES_ON_SQLITE = frozenset(FOLDER / name for name in ON_SQLITE_TOO)


def use_copy(name: str) -> None:
    """Points this process to a new, migrated database of that name. No connection may be open."""
    _ensure_migrated()
    _copy(name)
    _point_to(_name(name))


def url_of_copy(name: str) -> str:
    """The DATABASE_URL of a new, migrated database of that name, of the kind that the run works on."""
    _ensure_migrated()
    _copy(name)
    return services.postgresql_url(name) if _is_postgresql() else f"sqlite:///{_name(name)}"


def _ensure_migrated() -> None:
    """The first that asks migrates it; the others wait."""
    done = services.run_dir() / "migrated"
    with (services.run_dir() / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return
        used = connection.settings_dict["NAME"]
        if _is_postgresql():
            services.create_postgresql_database("template_migrated")
        _point_to(_name("template_migrated"))
        call_command("migrate", verbosity=0)
        _point_to(used)
        done.touch()


def _copy(name: str) -> None:
    with (services.run_dir() / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # PostgreSQL makes one copy at a time
        if _is_postgresql():
            services.create_postgresql_database(name, template="template_migrated")
        else:
            shutil.copy(_name("template_migrated"), _name(name))


def _point_to(name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = name


def _name(name: str) -> str:
    return name if _is_postgresql() else str(services.run_dir() / f"{name}.sqlite3")


def _is_postgresql() -> bool:
    return connection.vendor == "postgresql"
