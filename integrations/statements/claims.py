"""Claiming: the systems with something due, and the oldest operations of each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from changes.models.prepared import prepared
from integrations.models import DeliveryControl, ExternalReference, OutgoingOperation

from .rows import moment, partly, read

# A claim delays every delivery, so it must be quick. Each subquery reads the index of the next operations from the
# front: the cost does not grow with the number of waiting or delivered operations. Nothing is claimed in a restored
# copy that waits: this is the one place that holds what workers send.
_CONTROLS_OF_DUE = """
SELECT control.*, s.system_id AS name, s.delivery, s.endpoint_url, s.signing_secret, s.previous_signing_secret,
    s.max_in_flight, s.rate_limit, s.connection_id
FROM integrations_deliverycontrol control
JOIN integrations_externalsystem s ON s.id = control.system_id
WHERE s.enabled AND s.paused_at IS NULL AND NOT EXISTS (SELECT 1 FROM changes_restoredcopy)
    AND (s.delivery = 'push' OR s.delivery = 'mapped' AND s.connection_id IS NOT NULL) AND EXISTS (
    SELECT 1 FROM integrations_outgoingoperation o
    WHERE o.system_id = s.id AND o.status = 'Waiting' AND o.is_next AND o.next_try_at <= %s
)
ORDER BY control.system_id"""
_SKIP_LOCKED = " FOR NO KEY UPDATE OF control SKIP LOCKED"
# The claiming statement itself counts the operations in flight. It begins with the control's lock held, so it sees the
# claims of other workers.
_OLDEST_OF_SYSTEM = """
    SELECT id FROM (
        SELECT id FROM integrations_outgoingoperation
        WHERE system_id = %s AND status = 'Waiting' AND is_next AND next_try_at <= %s
        ORDER BY next_try_at LIMIT (
            SELECT CASE WHEN count(*) >= %s THEN 0 WHEN %s - count(*) < %s THEN %s - count(*) ELSE %s END
            FROM integrations_outgoingoperation WHERE system_id = %s AND status = 'Sending'
        ){lock}
    ) AS oldest"""
# An operation that a person is retrying or skipping now is left for the next claim: waiting for its lock would hold up
# the other systems.
_UNLOCKED = " FOR NO KEY UPDATE SKIP LOCKED"
# `recorded` is the payload as text, which is sent unparsed; `shared` is that of the operation which has the snapshot of
# the change, if this one has none. `reference` is the external reference as it is now, so that
# no further statement is needed between the claim and the sending.
_CLAIM = """
WITH chosen AS MATERIALIZED ({oldest})
UPDATE integrations_outgoingoperation SET status = 'Sending', claim = claim + 1, claimed_until = %s
WHERE status = 'Waiting' AND id IN (SELECT id FROM chosen)
RETURNING id, exchange_id, change_id, system_id, sequence, operation, cause_id, attachment_id, created_at, status,
    claim, tries, next_try_at, claimed_until, request_id, payload AS recorded, done_steps AS remembered, (
        SELECT first.payload FROM integrations_outgoingoperation first
        WHERE first.id = integrations_outgoingoperation.snapshot_of_id
    ) AS shared, (
        SELECT {json_array}(external_id, external_url, external_status, updated_at)
        FROM integrations_externalreference r
        WHERE r.change_id = integrations_outgoingoperation.change_id
            AND r.system_id = integrations_outgoingoperation.system_id
    ) AS reference{also}"""
# For this transaction only. A power cut may undo such a claim; its operations are then sent again with the same ids.
_NO_WAIT_FOR_THE_DISK = ", set_config('synchronous_commit', 'off', true) AS synchronous_commit"


def controls_of_due(now: datetime) -> list[Any]:
    """Locks and returns the controls of the systems that are enabled, not paused, called and have something due.

    Each has the columns of its system that sending needs. Systems that another worker is claiming for are left out.
    """
    lock = _SKIP_LOCKED if connection.features.has_select_for_update_skip_locked else ""
    with prepared():
        return read(DeliveryControl, _CONTROLS_OF_DUE + lock, [connection.ops.adapt_datetimefield_value(now)])


class Share(NamedTuple):
    """For the system with this key, at most `claimed` operations may be claimed and at most `at_once` be in flight."""

    system: int
    claimed: int
    at_once: int


def claim(shares: Iterable[Share], now: datetime, until: datetime) -> list[OutgoingOperation]:
    """Claims each system's oldest due operations until `until`, up to its share and its free requests.

    Each operation has what its message needs: `recorded`, the payload as JSON text, `shared`, the payload with the
    snapshot of the change if that is another, and `reference`, the external reference or None. `remembered` has its
    `done_steps` as JSON text.
    """
    is_postgresql = connection.vendor == "postgresql"
    due, lease = (connection.ops.adapt_datetimefield_value(value) for value in (now, until))
    parameters: list[Any] = []
    parts = []
    for system, count, most in shares:
        parts.append(_OLDEST_OF_SYSTEM.format(lock=_UNLOCKED if is_postgresql else ""))
        parameters += [system, due, most, most, count, most, count, system]
    sql = _CLAIM.format(
        oldest=" UNION ALL ".join(parts),
        json_array="json_build_array" if is_postgresql else "json_array",
        also=_NO_WAIT_FOR_THE_DISK if is_postgresql else "",
    )
    with prepared():
        operations = read(OutgoingOperation, sql, [*parameters, lease])
    for operation in operations:
        operation.reference = _reference(operation)
    return operations


def _reference(operation: Any) -> ExternalReference | None:
    said = operation.reference
    if said is None:
        return None
    external_id, url, status, updated_at = json.loads(said) if isinstance(said, str) else said
    return partly(
        ExternalReference,
        change_id=operation.change_id,
        system_id=operation.system_id,
        external_id=external_id,
        external_url=url,
        external_status=status,
        updated_at=moment(updated_at if connection.vendor == "sqlite" else datetime.fromisoformat(updated_at)),
    )


_IS_DUE = """
SELECT 1 FROM integrations_externalsystem s
WHERE s.enabled AND s.paused_at IS NULL AND NOT EXISTS (SELECT 1 FROM changes_restoredcopy)
    AND (s.delivery = 'push' OR s.delivery = 'mapped' AND s.connection_id IS NOT NULL) AND EXISTS (
    SELECT 1 FROM integrations_outgoingoperation o
    WHERE o.system_id = s.id AND o.status = 'Waiting' AND o.is_next AND o.next_try_at <= %s
)
LIMIT 1"""


def is_due(now: datetime) -> bool:
    """Whether anything is due for a system that is enabled, called and not paused. Ignores limits and breakers."""
    with prepared(), connection.cursor() as cursor:
        cursor.execute(_IS_DUE, [connection.ops.adapt_datetimefield_value(now)])
        return cursor.fetchone() is not None
