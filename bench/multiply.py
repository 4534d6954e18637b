"""Makes a large database from a small one. It copies every change and all related rows in SQL, with new keys.

Tables and indexes are then as if users had created all rows, in the order of the copies.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

# Added to the keys of each copy, so it must be larger than any key of the small database.
_STRIDE = 100_000
_BATCH = 250
_OTHER_KEY = sql.SQL("{column} + k * " + str(_STRIDE))
# Keeps the order of UUIDv7: copies with a higher number sort later.
_OTHER_UUID = sql.SQL("(lpad(to_hex(k), 8, '0') || substr({column}::text, 9))::uuid")
_OTHER_TEXT = sql.SQL("{column} || '-' || k")
_OTHER_MOMENT = sql.SQL("{column} - (100000 - k) * interval '1 minute'")
_OWN_MESSAGE = sql.SQL(
    "replace({column}, 'CHG' || lpad(change_id::text, 7, '0'),"
    " 'CHG' || lpad((change_id + k * " + str(_STRIDE) + ")::text, 7, '0'))"
)
# The rules for columns of these names, in every table.
_COLUMNS = {
    "change_id": _OTHER_KEY,
    "comment_id": _OTHER_KEY,
    "exchange_id": _OTHER_KEY,
    "operation_id": _OTHER_UUID,
    "external_id": _OTHER_TEXT,
    "idempotency_key": _OTHER_TEXT,
}
# Other tables refer to these primary keys, so the database must not choose them. A history row has the change's id.
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
    """Adds `copies` copies of all rows. Copies of waiting operations can be delivered like the originals."""
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET session_replication_role = replica")  # no foreign key checks: all rows are copied
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
            continue  # the database assigns the next number
        column = sql.Identifier(name)
        rule = rules.get(name, _OTHER_MOMENT if kind == "timestamp with time zone" else sql.SQL("{column}"))
        columns.append(column)
        values.append(rule.format(column=column))
    return sql.SQL(
        "INSERT INTO {table} ({columns})"
        " SELECT {values} FROM generate_series(%(first)s::bigint, %(last)s) k CROSS JOIN original ORDER BY k"
    ).format(table=sql.Identifier(table), columns=sql.SQL(", ").join(columns), values=sql.SQL(", ").join(values))
