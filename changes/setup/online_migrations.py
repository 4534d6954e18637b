"""Operations of migrations that programs of the former release survive: they lock no large table, and lose no column.

A migration with an index has nothing but indexes, and `atomic = False`: PostgreSQL builds one without stopping writers
only outside a transaction. tests/test_migrations_online.py refuses what would stop them. SQLite has one writer anyway,
so there the operations are those of Django.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import NotSupportedError, migrations

# Seconds that a migration waits for a lock on a table. Everybody else would wait behind it. Less than PostgreSQL's
# deadlock_timeout, so that the migration gives way, and not a request of somebody.
LOCK_WAIT = 0.5


class AddIndexOnline(migrations.AddIndex):
    """Adds an index while others write, if it is not there. One that was broken off halfway is built anew."""

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        if schema_editor.connection.vendor != "postgresql":
            if not _is_there(schema_editor, model, self.index.name):
                schema_editor.add_index(model, self.index)
        elif _is_to_build(schema_editor, self.index.name):
            with _patient(schema_editor):
                schema_editor.add_index(model, self.index, concurrently=True)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _drop(
                schema_editor,
                model,
                from_state.models[app_label, self.model_name_lower].get_index_by_name(self.index.name),
            )


class RemoveIndexOnline(migrations.RemoveIndex):
    """Removes an index while others read and write, if it is there."""

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _drop(
                schema_editor, model, from_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
            )

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        AddIndexOnline(self.model_name, index).database_forwards(app_label, schema_editor, from_state, to_state)


class RemoveFieldIndexOnline(migrations.AlterField):
    """Alters a field so that it has no index of its own any more. The field must be the same otherwise."""

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        elif self.allow_migrate_model(schema_editor.connection.alias, model):
            field = model._meta.get_field(self.name)
            # Django's own name for it.
            name = schema_editor._create_index_name(model._meta.db_table, [field.column])
            with _patient(schema_editor):
                schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(name)}")


class CreateIndexOnline(migrations.RunPython):
    """Creates an index that Django cannot describe, on PostgreSQL only. `using`: what follows the table's name."""

    atomic = False

    def __init__(self, name: str, table: str, using: str) -> None:
        self.name, self.table, self.using = name, table, using
        super().__init__(self._create, self._remove)

    def deconstruct(self) -> Any:
        return type(self).__name__, [], {"name": self.name, "table": self.table, "using": self.using}

    def _create(self, apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql" and _is_to_build(schema_editor, self.name):
            with _patient(schema_editor):
                schema_editor.execute(f"CREATE INDEX CONCURRENTLY {self.name} ON {self.table} {self.using}")
            # What an index is made of has figures of its own, which the planner else lacks until the next autovacuum.
            schema_editor.execute(f"ANALYZE {self.table}")

    def _remove(self, apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            with _patient(schema_editor):
                schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.name}")


class AddFieldOnline(migrations.AddField):
    """Adds a column whose default stays in the database, for rows that the former release inserts."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _keep_default(schema_editor, model, model._meta.get_field(self.name))


class RemoveFieldLater(migrations.RemoveField):
    """Removes a field from the model. PostgreSQL keeps its column, which the former release reads and writes.

    A migration of a later release drops the column.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        elif self.allow_migrate_model(schema_editor.connection.alias, model):
            _keep_default(schema_editor, model, model._meta.get_field(self.name))

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if schema_editor.connection.vendor == "postgresql":
            column = model._meta.get_field(self.name).column
            schema_editor.execute(f"ALTER TABLE {model._meta.db_table} DROP COLUMN IF EXISTS {column}")
        super().database_backwards(app_label, schema_editor, from_state, to_state)


@contextmanager
def _patient(schema_editor: Any) -> Iterator[None]:
    """Waits without a limit for transactions that are under way: nobody waits behind the building of an index."""
    if schema_editor.collect_sql:
        yield
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        (limit,) = cursor.fetchone()
    schema_editor.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        schema_editor.execute(f"SET lock_timeout = '{limit}'")


def _keep_default(schema_editor: Any, model: Any, field: Any) -> None:
    if schema_editor.connection.vendor != "postgresql" or field.null or field.has_db_default():
        return
    table, column = map(schema_editor.quote_name, (model._meta.db_table, field.column))
    value = schema_editor.quote_value(schema_editor.effective_default(field))
    schema_editor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {value}")


def _is_there(schema_editor: Any, model: Any, name: str) -> bool:
    with schema_editor.connection.cursor() as cursor:
        return name in schema_editor.connection.introspection.get_constraints(cursor, model._meta.db_table)


def _is_to_build(schema_editor: Any, name: str) -> bool:
    """Whether the index is missing. Drops one that is not valid: its building was broken off."""
    if schema_editor.collect_sql:
        return True
    connection = schema_editor.connection
    if connection.in_atomic_block:
        raise NotSupportedError(f"{name}: an index is built online only outside a transaction. Set atomic = False.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
        found = cursor.fetchone()
    if found == (False,):
        with _patient(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY {schema_editor.quote_name(name)}")
    return found != (True,)


def _drop(schema_editor: Any, model: Any, index: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        with _patient(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(index.name)}")
    else:
        schema_editor.remove_index(model, index)
