"""The partner of a group, and the exchanges and references of a change."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from changes.models import Change, SupportGroup
from changes.models.prepared import prepared
from integrations.models import ExternalReference, ExternalSystem, IncomingOperation

from .rows import among, lock, moment, partly, read

_GROUP = """
SELECT g.id, g.name, s.id AS system_key, s.system_id AS system_name
FROM changes_supportgroup g
LEFT JOIN integrations_externalgroup e ON e.group_id = g.id
LEFT JOIN integrations_externalsystem s ON s.id = e.system_id
WHERE g.name = %s
"""


def group_with_system(name: str) -> tuple[SupportGroup, ExternalSystem | None] | None:
    """The group of this name and the partner it belongs to (None for one of ours); None if there is no such group."""
    with prepared():
        found: Any = next(iter(read(SupportGroup, _GROUP, [name])), None)
    if found is None:
        return None
    system = None
    if found.system_key is not None:
        system = partly(ExternalSystem, id=found.system_key, system_id=found.system_name)
    return found, system


# --- The exchanges of a change ---

_KNOWN = """
WITH exchange AS (
    SELECT id, system_id, last_sequence, assigned_sequence, cancelled_sequence, rejected_at_sequence
    FROM integrations_exchange WHERE change_id = %(change)s ORDER BY id{lock}
), known AS (
    SELECT system_id FROM exchange
    UNION SELECT system_id FROM integrations_externalreference WHERE change_id = %(change)s
    UNION SELECT system_id FROM integrations_externalgroup WHERE group_id = %(group)s
)
SELECT s.id, s.system_id, owner.id,
    e.id, e.last_sequence, e.assigned_sequence, e.cancelled_sequence, e.rejected_at_sequence,
    r.id, r.external_id, r.external_url, r.external_status, r.updated_at,
    (SELECT name FROM changes_supportgroup WHERE id = %(group)s),
    (SELECT username FROM auth_user WHERE id = %(user)s)
FROM known
JOIN integrations_externalsystem s ON s.id = known.system_id
LEFT JOIN exchange e ON e.system_id = s.id
LEFT JOIN integrations_externalreference r ON r.change_id = %(change)s AND r.system_id = s.id
LEFT JOIN integrations_externalgroup owner ON owner.group_id = %(group)s AND owner.system_id = s.id
"""


class Known(NamedTuple):
    """A system that is connected with a change, as `known_of()` finds it.

    A key is None if there is no such row. The values from that row are then undefined.
    """

    system_key: int
    system_id: str
    owner_key: int | None
    exchange_key: int | None
    last_sequence: int
    assigned_sequence: int | None
    cancelled_sequence: int | None
    rejected_at_sequence: int | None
    reference_key: int | None
    external_id: str
    external_url: str
    external_status: str
    updated_at: datetime
    group_name: str | None
    username: str | None


def known_of(change: int, group: int | None, user: int | None, *, locks: bool) -> list[Known]:
    """One row per system that has an exchange or a reference with `change`, or to which `group` belongs.

    Each row also has the names of the group and of the user. `locks`: locks the exchanges in the order of their keys.
    """
    sql = _KNOWN.format(lock=lock() if locks else "")
    with prepared(), connection.cursor() as cursor:
        cursor.execute(sql, {"change": change, "group": group, "user": user})
        rows = [Known(*row) for row in cursor.fetchall()]
    return [row._replace(updated_at=moment(row.updated_at)) for row in rows]


_REFERENCES = "SELECT * FROM integrations_externalreference WHERE {changes} AND {systems}"


def references_of(changes: Collection[int], systems: Collection[int]) -> list[ExternalReference]:
    """The references of these changes to these systems. Neither collection may be empty."""
    of_changes, parameters = among("change_id", changes)
    of_systems, more = among("system_id", systems)
    with prepared():
        sql = _REFERENCES.format(changes=of_changes, systems=of_systems)
        return read(ExternalReference, sql, [*parameters, *more])


# --- What a partner sent about a change ---

_SAME_CONTENT = """
SELECT id, EXISTS (
    SELECT 1 FROM integrations_incomingoperation later
    WHERE later.change_id = first.change_id AND later.system_id = first.system_id AND later.status = 'Applied'
    AND later.received_at > first.received_at
) AS is_followed
FROM integrations_incomingoperation first
WHERE change_id = %s AND received_at > %s AND system_id = %s AND status = 'Applied' AND body_sha256 = %s
AND NOT EXISTS (
    SELECT 1 FROM integrations_outgoingoperation told
    WHERE told.change_id = first.change_id AND told.system_id = first.system_id AND told.created_at > first.received_at
)
AND NOT EXISTS (
    SELECT 1 FROM changes_historicalchange edit
    WHERE edit.id = first.change_id AND edit.history_date > first.received_at
    AND COALESCE(edit.source_system, '') <> %s
)
ORDER BY received_at DESC, first.id DESC LIMIT 1
"""


def same_content(
    change: Change, system: ExternalSystem, body_sha256: str, since: datetime
) -> tuple[IncomingOperation, bool] | None:
    """The system's last applied operation about the change with this content, and whether others of it came later.

    None if somebody else altered the change since, if the system was told anything of it since, or if it is older than
    `since`. The operation has its key alone.
    """
    moment = connection.ops.adapt_datetimefield_value(since)
    parameters = [change.pk, moment, system.pk, body_sha256, system.system_id]
    with prepared():
        first: Any = next(iter(read(IncomingOperation, _SAME_CONTENT, parameters)), None)
    return (first, bool(first.is_followed)) if first else None
