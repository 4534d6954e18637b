"""Triggers by which the database itself refuses to alter or delete the entries of the security log."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "changes_securityevent"
NAME = "security_log_is_append_only"
REFUSAL = "The security log is append-only."

_INSTALL = {
    "postgresql": [
        f"""CREATE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$""",
        f"CREATE TRIGGER {NAME} BEFORE UPDATE OR DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {NAME}()",
        f"CREATE TRIGGER {NAME}_whole BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION {NAME}()",
    ],
    "sqlite": [
        f"CREATE TRIGGER {NAME}_{event} BEFORE {event} ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        for event in ("UPDATE", "DELETE")
    ],
}
_REMOVE = {
    "postgresql": [f"DROP FUNCTION IF EXISTS {NAME}() CASCADE"],
    "sqlite": [f"DROP TRIGGER IF EXISTS {NAME}_{event}" for event in ("UPDATE", "DELETE")],
}
# Each with its parameters.
_COUNT = {
    "postgresql": (
        "SELECT COUNT(*) FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname IN (%s, %s) AND tgenabled <> 'D'",
        [TABLE, NAME, f"{NAME}_whole"],
    ),
    "sqlite": ("SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s", [f"{NAME}%"]),
}
TRIGGERS = 2


def install(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in _INSTALL[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def remove(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in _REMOVE[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def is_installed(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(*_COUNT[connection.vendor])
        return cursor.fetchone()[0] == TRIGGERS
