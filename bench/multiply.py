"""A large database from a small one: every change, and what belongs to it, copied in SQL with keys of its own.

PostgreSQL's tables and indexes are then as if all of it had happened, in the order of the copies.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

# Larger than any key of the small database.
_STRIDE = 100_000
_BATCH = 250
_OTHER_KEY = sql.SQL("{column} + k * " + str(_STRIDE))
# Keeps the order of UUIDv7: copies with a higher number come later.
_OTHER_UUID = sql.SQL("(lpad(to_hex(k), 8, '0') || substr({column}::text, 9))::uuid")
_OTHER_TEXT = sql.SQL("{column} || '-' || k")
_OTHER_MOMENT = sql.SQL("{column} - (100000 - k) * interval '1 minute'")
_OWN_MESSAGE = sql.SQL(
    "replace({column}, 'CHG' || lpad(change_id::text, 7, '0'),"
    " 'CHG' || lpad((change_id + k * " + str(_STRIDE) + ")::text, 7, '0'))"
)
# For every table that has the column.
_COLUMNS = {
    "change_id": _OTHER_KEY,
    "comment_id": _OTHER_KEY,
    "exchange_id": _OTHER_KEY,
    "operation_id": _OTHER_UUID,
    "external_id": _OTHER_TEXT,
    "idempotency_key": _OTHER_TEXT,
}
# Those whose primary key is not left to the database, since others refer to it. A history record has the change's id.
_TABLES = {
    "changes_change": {"id": _OTHER_KEY},
    "changes_historicalchange": {"id": _OTHER_KEY},
    "changes_comment": {"id": _OTHER_KEY},
    "integrations_exchange": {"id": _OTHER_KEY},
    "integrations_externalreference": {},
    "integrations_incomingoperation": {"id": _OTHER_UUID},
    "integrations_outgoingoperation": {"id": _OTHER_UUID, "payload": _OWN_MESSAGE},
    "integrations_deliveryattempt": {},
}
_COUNTED_ON = ("changes_change", "changes_comment", "integrations_exchange")
_FIND_COLUMNS = """
    SELECT column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position
"""


def multiply(connection: psycopg.Connection, copies: int) -> None:
    """Adds so many copies of all that is there. What waits can be sent, as the original can."""
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET session_replication_role = replica")  # what the copies refer to is copied too
    for table, own in _TABLES.items():
        rules = {**_COLUMNS, **own}
        connection.execute(sql.SQL("CREATE TEMP TABLE original AS SELECT * FROM {}").format(sql.Identifier(table)))
        statement = _copy(connection, table, rules)
        for first in range(1, copies + 1, _BATCH):
            connection.execute(statement, {"first": first, "last": min(first + _BATCH - 1, copies)})
        connection.execute("DROP TABLE original")
    for table in _COUNTED_ON:
        largest = sql.SQL("SELECT setval(pg_get_serial_sequence(%s, 'id'), (SELECT max(id) FROM {}))")
        connection.execute(largest.format(sql.Identifier(table)), [table])


def _copy(connection: psycopg.Connection, table: str, rules: dict[str, sql.SQL]) -> sql.Composed:
    """Copies the rows of `original`, once for each number from `first` to `last`."""
    columns, values = [], []
    for name, kind in connection.execute(_FIND_COLUMNS, [table]).fetchall():
        if name in {"id", "history_id"} and name not in rules:
            continue  # the database counts on
        column = sql.Identifier(name)
        rule = rules.get(name, _OTHER_MOMENT if kind == "timestamp with time zone" else sql.SQL("{column}"))
        columns.append(column)
        values.append(rule.format(column=column))
    return sql.SQL(
        "INSERT INTO {table} ({columns})"
        " SELECT {values} FROM generate_series(%(first)s::bigint, %(last)s) k CROSS JOIN original ORDER BY k"
    ).format(table=sql.Identifier(table), columns=sql.SQL(", ").join(columns), values=sql.SQL(", ").join(values))
