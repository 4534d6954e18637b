"""Recording: the statement that writes an operation together with the state of its exchange."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connection

from changes.models.inserting import plain_type
from changes.models.prepared import prepared
from integrations.models import Exchange, OutgoingOperation

from .rows import SEQUENCES

_NEW = """
    INSERT INTO integrations_exchange (
        change_id, system_id, last_sequence, assigned_sequence, cancelled_sequence, rejected_at_sequence
    ) VALUES (%s, %s, %s, %s, %s, %s) RETURNING id"""
_MOVED = """
    UPDATE integrations_exchange
    SET last_sequence = %s, assigned_sequence = %s, cancelled_sequence = %s, rejected_at_sequence = %s
    WHERE id = %s RETURNING id"""
_NEXT = """NOT EXISTS (
    SELECT 1 FROM integrations_outgoingoperation
    WHERE exchange_id = exchange.id AND NOT (status IN ('Delivered', 'Skipped'))
)"""
_OPERATION = """
WITH exchange AS ({exchange})
INSERT INTO integrations_outgoingoperation (exchange_id, is_next, {columns})
SELECT exchange.id, {is_next}, {values} FROM exchange
RETURNING exchange_id, is_next"""


@cache
def _columns() -> list[tuple[Any, type | None]]:
    fields = [field for field in OutgoingOperation._meta.concrete_fields if field.name not in ("exchange", "is_next")]
    return [(field, plain_type(field)) for field in fields]


@cache
def _operation(exchange: str, is_next: str) -> str:
    columns = _columns()
    return _OPERATION.format(
        exchange=exchange,
        columns=", ".join(field.column for field, _ in columns),
        is_next=is_next,
        values=", ".join(["%s"] * len(columns)),
    )


def write_recorded(exchange: Exchange, operation: OutgoingOperation, is_first: bool) -> None:
    """Saves the state of `exchange`, which may be new, and inserts `operation` into it.

    Marks the operation as next if it `is_first` of those that this transaction writes to the exchange, and if nothing
    unsettled comes before it. The caller holds the lock of an existing exchange: a worker that settles at the same time
    has either finished, so that this statement sees it, or waits and then sees the new row.
    """
    is_new = exchange.pk is None
    state = [getattr(exchange, name) for name in SEQUENCES]
    saved = _NEW if is_new else _MOVED
    parameters = [exchange.change_id, exchange.system_id, *state] if is_new else [*state, exchange.pk]
    with prepared(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # it cannot write in WITH
            cursor.execute(saved, parameters)
            saved, parameters = "SELECT %s AS id", [*cursor.fetchone()]
        is_next = ("TRUE" if is_new else _NEXT) if is_first else "FALSE"
        values: list[Any] = []
        for field, plain in _columns():
            value = getattr(operation, field.attname)
            values.append(value if type(value) is plain else field.get_db_prep_save(value, connection))
        cursor.execute(_operation(saved, is_next), [*parameters, *values])
        exchange.pk, is_next = cursor.fetchone()
    operation.exchange, operation.is_next = exchange, bool(is_next)
    for written in (exchange, operation):
        written._state.adding, written._state.db = False, connection.alias
