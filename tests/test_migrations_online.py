"""Migrations stop nobody: the former release's web servers and workers go on while they run, on tables of any size."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.checks import run_checks
from django.db import connection, migrations, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

from changes.setup.online_migrations import AddFieldOnline, AddIndexOnline, RemoveFieldLater

from . import services
from .exchange import ROOT
from .former_release import FIRST_RELEASE
from .processes import start, until

pytestmark = pytest.mark.django_db(transaction=True)

# What each statement would do to the former release. DROP INDEX is left out: it takes as long as on an empty table.
REFUSED = {
    r"CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)": "writers wait while an index is built",
    r"ADD CONSTRAINT (?!.* NOT VALID).*\b(CHECK|UNIQUE|FOREIGN KEY|EXCLUDE)\b": "all wait while a rule is checked",
    r"ALTER COLUMN .* SET NOT NULL": "all wait while the rows are checked",
    r"ALTER COLUMN .* TYPE (?!varchar)": "all wait while the table is written anew",
    r"DROP COLUMN|\bRENAME\b|DROP TABLE": "the former release still uses it",
}
DEFAULT = re.compile(r'ALTER TABLE "(\w+)" ALTER COLUMN "(\w+)" (DROP|SET) DEFAULT')
OURS = ("changes", "integrations")
CHANGES = 4000


def faults(statements: Sequence[str], made: set[str]) -> list[str]:
    """Why the former release would not go on; `made`: the tables that are new since it, of which it knows nothing."""
    found, defaults = [], {}
    for statement in statements:
        for table in re.findall(r'CREATE TABLE "(\w+)"', statement):
            made.add(table)
        table = re.search(r'(?:ALTER TABLE|DROP TABLE|\bON) "(\w+)"', statement)
        if not table or table[1] in made:
            continue
        found += [f"{why}: {statement}" for what, why in REFUSED.items() if re.search(what, statement)]
        if default := DEFAULT.search(statement):
            defaults[default[1], default[2]] = default[3]
    lost = [f"{table}.{column}" for (table, column), how in defaults.items() if how == "DROP"]
    return found + [f"the former release cannot insert rows without a default: {each}" for each in lost]


def collected(migration: Migration, state: ProjectState) -> tuple[list[str], ProjectState]:
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        state = migration.apply(state, editor, collect_sql=True)
    return editor.collected_sql, state


def test_no_migration_since_the_first_release_stops_those_who_work():
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
    state, made, found, is_after = ProjectState(), set(), {}, dict.fromkeys(OURS, False)
    for migration, _ in plan:
        if is_after.get(migration.app_label):
            statements, state = collected(migration, state)
            if wrong := faults(statements, made):
                found[str(migration)] = wrong
        else:
            state = migration.mutate_state(state, preserve=False)
        if (migration.app_label, migration.name) in FIRST_RELEASE:
            is_after[migration.app_label] = True
    assert all(is_after.values())
    assert found == {}


def _text(**more: Any) -> models.Field[Any, Any]:
    return models.CharField(max_length=9, blank=True, **more)


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.AddIndex("change", models.Index(fields=["title"], name="i")), "writers wait"),
        (AddIndexOnline("change", models.Index(fields=["title"], name="i")), None),
        (migrations.AddField("change", "colour", _text()), "cannot insert rows"),
        (AddFieldOnline("change", "colour", _text()), None),
        (migrations.AddField("change", "colour", _text(default="", db_default="")), None),
        (migrations.AddField("change", "colour", models.DateTimeField(null=True)), None),
        (migrations.RemoveField("change", "category"), "still uses it"),
        (RemoveFieldLater("change", "category"), None),
        (migrations.RenameField("change", "category", "kind"), "still uses it"),
        (migrations.AlterField("change", "version", models.BigIntegerField()), "written anew"),
        (migrations.AlterField("change", "risk", models.CharField(max_length=20)), "rows are checked"),
        (
            migrations.AddConstraint("change", models.CheckConstraint(name="c", condition=~models.Q(title=""))),
            "a rule is checked",
        ),
        (migrations.AddConstraint("change", models.UniqueConstraint(name="u", fields=["title"])), "a rule is checked"),
    ],
)
def test_a_migration_that_would_stop_them_is_refused(operation: Operation, why: str | None):
    migration = Migration("9999_next", "changes")
    migration.operations, migration.atomic = [operation], not isinstance(operation, AddIndexOnline)
    statements, _ = collected(migration, MigrationExecutor(connection).loader.project_state())
    found = faults(statements, set())
    assert any(why in each for each in found) if why else found == []


def test_the_first_release_goes_on_while_its_database_is_upgraded(tmp_path: Path):
    """Its reads and writes, by its own models, on another database, while `migrate` runs there."""
    name = f"upgrade_{services.worker_number()}"
    services.create_postgresql_database(name)
    environment = {**os.environ, "DATABASE_URL": services.postgresql_url(name)}

    def run(*arguments: str) -> None:
        ran = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    run("-m", "tests.former_release", "install", str(CHANGES))
    stop, log = tmp_path / "stop", tmp_path / "log"
    former = start(
        [sys.executable, "-m", "tests.former_release", str(stop)], log=log, environment=environment, cwd=ROOT
    )
    try:
        until("the former release works", lambda: "ready" in log.read_text())
        # A backup reads all tables, for as long as it takes. Who waited behind it would make all others wait.
        with psycopg.connect(f"host={services.run_dir() / 'postgresql'} user=postgres dbname={name}") as backup:
            backup.execute("LOCK TABLE integrations_externalsystem IN ACCESS SHARE MODE")
            migrate = start(
                [sys.executable, "manage.py", "migrate"], log=tmp_path / "migrate", environment=environment, cwd=ROOT
            )
            until("migrate has found it locked", lambda: migrate.has_printed("locked by another session"))
        assert migrate.wait(180) == 0, migrate.log()
    finally:
        stop.touch()
        status = former.wait()
    assert status == 0, log.read_text()
    rounds = int(re.search(r"rounds=(\d+)", log.read_text())[1])
    assert rounds > 50
    with psycopg.connect(f"host={services.run_dir() / 'postgresql'} user=postgres dbname={name}") as server:
        [made] = server.execute("SELECT count(*) FROM changes_change WHERE last_activity_at IS NOT NULL").fetchone()
        [invalid] = server.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone()
    assert (made, invalid) == (CHANGES + rounds, 0)
    run("manage.py", "exchange_status")


@pytest.mark.parametrize("is_broken_off", [False, True], ids=["there", "broken off"])
def test_an_index_is_built_once_and_anew_if_its_building_was_broken_off(is_broken_off: bool):
    """So `migrate` can be run again, and an index may have moved to another migration."""
    state = MigrationExecutor(connection).loader.project_state()
    index = models.Index(fields=["title", "phase"], name="change_online")
    operation, after = AddIndexOnline("change", index), state.clone()
    operation.state_forwards("changes", after)

    def add() -> tuple[int, bool]:
        with connection.schema_editor(atomic=False) as editor:
            operation.database_forwards("changes", editor, state, after)
        with connection.cursor() as cursor:
            cursor.execute("SELECT indexrelid, indisvalid FROM pg_index WHERE indexrelid = 'change_online'::regclass")
            return cursor.fetchone()

    try:
        first = add()
        if is_broken_off:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s", [first[0]])
        again = add()
        assert again[1] and (again[0] != first[0]) == is_broken_off
    finally:
        with connection.schema_editor(atomic=False) as editor:
            operation.database_backwards("changes", editor, after, state)


def test_the_records_are_not_checked_before_their_columns_are_there():
    """`migrate` checks the records first: a release that adds a column could otherwise never be installed."""
    table, last = "integrations_externalsystem", MigrationRecorder.Migration.objects.filter(app="integrations").last()
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME COLUMN description TO to_come")
    MigrationRecorder.Migration.objects.filter(pk=last.pk).delete()
    try:
        assert run_checks(databases=["default"]) == []
    finally:
        last.save()
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME COLUMN to_come TO description")
