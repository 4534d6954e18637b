"""Settling: the statements that lock and write rows after tries have ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from changes.models.prepared import prepared
from integrations.models import DeliveryControl, Exchange

from .rows import among, lock, read

_EXCHANGES = "SELECT * FROM integrations_exchange WHERE {keys} ORDER BY id"
_OPEN = """
SELECT id, status, claim FROM integrations_outgoingoperation
WHERE {keys} AND status IN ('Sending', 'Waiting') ORDER BY id"""
_DELIVERED = """
UPDATE integrations_outgoingoperation
SET status = 'Delivered', is_next = %s, claimed_until = NULL, settled_at = %s,
    last_failure = '', last_http_status = NULL, last_error = ''
WHERE {keys}"""
# Selects only controls that need a write: a success changes nothing for a system without recent failures.
_CONTROLS = """
SELECT * FROM integrations_deliverycontrol
WHERE {keys} AND (
    {failed} OR breaker <> 'Closed' OR consecutive_failures <> 0 OR window_started_at IS NOT NULL
    OR (first_delivered_at IS NULL AND {delivered})
)
ORDER BY system_id"""


def lock_exchanges(keys: Iterable[int], wait: bool) -> list[Exchange]:
    """Locks these exchanges in the order of their keys. Without `wait`, leaves out those that are locked elsewhere."""
    chosen, parameters = among("id", keys)
    with prepared():
        return read(Exchange, _EXCHANGES.format(keys=chosen) + lock(not wait), parameters)


def lock_open(keys: Iterable[UUID]) -> dict[UUID, tuple[str, int]]:
    """Locks, in the order of their keys, those of these operations that are `Sending` or `Waiting`.

    Returns the status and the claim number of each.
    """
    chosen, parameters = among("id", keys)
    with prepared(), connection.cursor() as cursor:
        cursor.execute(_OPEN.format(keys=chosen) + lock(), parameters)
        return {key if isinstance(key, UUID) else UUID(key): (status, claim) for key, status, claim in cursor}


def write_delivered(keys: Iterable[UUID], now: datetime) -> None:
    """Marks these operations as delivered at `now`, and clears their claims and last failures."""
    chosen, parameters = among("id", keys)
    with prepared(), connection.cursor() as cursor:
        moment = connection.ops.adapt_datetimefield_value(now)
        cursor.execute(_DELIVERED.format(keys=chosen), [False, moment, *parameters])


_HEARD_OF = "UPDATE integrations_externalreference SET updated_at = %s WHERE {keys}"


def write_heard_of(keys: Iterable[int], now: datetime) -> None:
    """Sets the time at which the partner last confirmed these references."""
    chosen, parameters = among("id", keys)
    with prepared(), connection.cursor() as cursor:
        cursor.execute(_HEARD_OF.format(keys=chosen), [connection.ops.adapt_datetimefield_value(now), *parameters])


def lock_controls(systems: Collection[int], failed: Collection[int], delivered: Collection[int]) -> list[Any]:
    """Locks, in the order of their systems, the controls of those `systems` that need a write, and returns them.

    They need a write if a try failed, if failures are counted or the breaker is not closed, or if this was the first
    delivery.
    """
    parts = [among("system_id", keys) for keys in (systems, failed or [0], delivered or [0])]
    names = dict(zip(("keys", "failed", "delivered"), (condition for condition, _ in parts), strict=True))
    parameters = [parameter for _, own in parts for parameter in own]
    with prepared():
        return read(DeliveryControl, _CONTROLS.format(**names) + lock(), parameters)
