"""The statements that run for every operation, written in SQL: hot paths, where the ORM takes longer to compose them
than the database to run them. All of them are here; docs/performance.md says what each earns.

Each returns rows or models that are read in part: whatever else of a model is asked for is read then.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import DateTimeField, Model, Value
from knox.models import AuthToken

from changes.models import SupportGroup
from changes.prepared import prepared

from .models import DeliveryControl, Exchange, ExternalReference, ExternalSystem, OutgoingOperation

AnyModel = TypeVar("AnyModel", bound=Model)


def partly(model: type[AnyModel], **values: Any) -> AnyModel:
    """As if read with `only()`. Takes the values in the order of the model's fields."""
    return model.from_db(connection.alias, [*values], [*values.values()])


@lru_cache(maxsize=64)
def _reading(model: type[Model], names: tuple[str, ...]) -> tuple[frozenset[str], list[int], list[tuple[int, str]]]:
    """Of rows with these columns: the fields that they hold, their places in the order of the model, and the rest."""
    places = {name: place for place, name in enumerate(names)}
    fields = [field.attname for field in model._meta.concrete_fields if field.attname in places]
    others = [(place, name) for name, place in places.items() if name not in fields]
    return frozenset(fields), [places[name] for name in fields], others


def _read(model: type[AnyModel], sql: str, parameters: list[Any]) -> list[AnyModel]:
    """What `model.objects.raw()` returns, for columns that are named like their fields and need no conversion."""
    if connection.vendor != "postgresql":
        return list(model._default_manager.raw(sql, parameters))
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
        fields, places, others = _reading(model, tuple(column.name for column in cursor.description))
    found = []
    for row in rows:
        instance = model.from_db(connection.alias, fields, [row[place] for place in places])
        for place, name in others:
            setattr(instance, name, row[place])
        found.append(instance)
    return found


def _among(column: str, keys: Iterable[Any]) -> tuple[str, list[Any]]:
    """The condition that `column` is one of these, and its parameters: on PostgreSQL one, so that the statement is the
    same however many they are."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s)", [[*keys]]
    adapted = [key.hex if isinstance(key, UUID) else key for key in keys]
    return f"{column} IN ({', '.join(['%s'] * len(adapted))})", adapted


# --- Who calls ---

_CALLER = """
SELECT t.digest, t.user_id, t.expiry, u.username, u.is_active, u.is_staff, u.is_superuser
FROM knox_authtoken t
JOIN auth_user u ON u.id = t.user_id
WHERE t.digest = %s
"""
_PERMISSIONS = """
SELECT c.app_label, p.codename
FROM auth_permission p
JOIN django_content_type c ON c.id = p.content_type_id
WHERE p.id IN (
    SELECT permission_id FROM auth_user_user_permissions WHERE user_id = %s
    UNION SELECT g.permission_id FROM auth_group_permissions g
    JOIN auth_user_groups m ON m.group_id = g.group_id WHERE m.user_id = %s
)
"""


def token_with_user(digest: str) -> AuthToken | None:
    """The token with its user; one who is staff knows their permissions, as Django's backend keeps them."""
    with prepared():
        token: Any = next(iter(_read(AuthToken, _CALLER, [digest])), None)
        if token is None:
            return None
        flags = {name: bool(getattr(token, name)) for name in ("is_superuser", "is_staff", "is_active")}
        user = partly(
            get_user_model(),
            id=token.user_id,
            is_superuser=flags["is_superuser"],
            username=token.username,
            is_staff=flags["is_staff"],
            is_active=flags["is_active"],
        )
        if user.is_staff and not user.is_superuser:
            with connection.cursor() as cursor:
                cursor.execute(_PERMISSIONS, [user.pk, user.pk])
                user._perm_cache = {  # type: ignore[attr-defined]
                    f"{app}.{codename}" for app, codename in cursor.fetchall()
                }
    token.user = user
    return token


_PARTNER = """
SELECT t.digest, t.user_id, t.expiry, u.username, u.is_active,
    s.id AS system_key, s.system_id AS system_id, s.enabled AS system_enabled,
    s.sends_markdown AS system_sends_markdown
FROM knox_authtoken t
JOIN auth_user u ON u.id = t.user_id
LEFT JOIN integrations_externalsystem s ON s.authorized_user_id = u.id
WHERE t.digest = %s
"""


def partner_of_token(digest: str) -> tuple[AuthToken | None, list[ExternalSystem]]:
    """The token with its user, and the systems that the user speaks for."""
    with prepared():
        rows: list[Any] = _read(AuthToken, _PARTNER, [digest])
    if not rows:
        return None, []
    token = rows[0]
    token.user = partly(get_user_model(), id=token.user_id, username=token.username, is_active=bool(token.is_active))
    systems = []
    for row in rows:
        if row.system_key is not None:
            columns = {"id": row.system_key, "system_id": row.system_id, "authorized_user_id": token.user_id}
            system = partly(
                ExternalSystem,
                **columns,
                enabled=bool(row.system_enabled),
                sends_markdown=bool(row.system_sends_markdown),
            )
            system.authorized_user = token.user
            systems.append(system)
    return token, systems


# --- Which partner a group belongs to ---

_GROUP = """
SELECT g.id, g.name, s.id AS system_key, s.system_id AS system_name
FROM changes_supportgroup g
LEFT JOIN integrations_externalgroup e ON e.group_id = g.id
LEFT JOIN integrations_externalsystem s ON s.id = e.system_id
WHERE g.name = %s
"""


def group_with_system(name: str) -> tuple[SupportGroup, ExternalSystem | None] | None:
    """The group of this name and the partner whose it is."""
    with prepared():
        found: Any = next(iter(_read(SupportGroup, _GROUP, [name])), None)
    if found is None:
        return None
    system = None
    if found.system_key is not None:
        system = partly(ExternalSystem, id=found.system_key, system_id=found.system_name)
    return found, system


# --- What is known of a change's exchanges ---

_KNOWN = """
WITH known AS (
    SELECT system_id FROM integrations_exchange WHERE change_id = %(change)s
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
LEFT JOIN integrations_exchange e ON e.change_id = %(change)s AND e.system_id = s.id
LEFT JOIN integrations_externalreference r ON r.change_id = %(change)s AND r.system_id = s.id
LEFT JOIN integrations_externalgroup owner ON owner.group_id = %(group)s AND owner.system_id = s.id
"""


class Known(NamedTuple):
    """A system that has to do with a change. The keys are None where there is no such row."""

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


def known_of(change: int, group: int | None, user: int | None) -> list[Known]:
    """One row for each system that has an exchange or a reference with `change`, or that `group` belongs to; each
    with the names of the group and the user."""
    with prepared(), connection.cursor() as cursor:
        cursor.execute(_KNOWN, {"change": change, "group": group, "user": user})
        rows = [Known(*row) for row in cursor.fetchall()]
    return [row._replace(updated_at=_moment(row.updated_at)) for row in rows]


def _moment(value: Any) -> Any:
    """As the ORM reads it: SQLite keeps times as texts."""
    column = Value(None, output_field=DateTimeField())
    for convert in connection.ops.get_db_converters(column):
        value = convert(value, column, connection)
    return value


# --- What goes with a message ---

_REFERENCES = "SELECT * FROM integrations_externalreference WHERE {changes} AND {systems}"


def references_of(changes: Collection[int], systems: Collection[int]) -> list[ExternalReference]:
    """The references of these changes to these systems; neither is empty."""
    of_changes, parameters = _among("change_id", changes)
    of_systems, more = _among("system_id", systems)
    with prepared():
        sql = _REFERENCES.format(changes=of_changes, systems=of_systems)
        return _read(ExternalReference, sql, [*parameters, *more])


# --- Claiming ---

# A claim stands between a save and its arrival at the partner. Each part reads the index of the next operations from
# the front, so the cost does not grow with what waits or was delivered.
_CONTROLS_OF_DUE = """
SELECT control.*, s.system_id AS name, s.endpoint_url, s.signing_secret, s.previous_signing_secret, s.max_in_flight,
    s.rate_limit
FROM integrations_deliverycontrol control
JOIN integrations_externalsystem s ON s.id = control.system_id
WHERE s.enabled AND s.paused_at IS NULL AND s.delivery = 'push' AND EXISTS (
    SELECT 1 FROM integrations_outgoingoperation o
    WHERE o.system_id = s.id AND o.status = 'Waiting' AND o.is_next AND o.next_try_at <= %s
)
ORDER BY control.system_id"""
_SKIP_LOCKED = " FOR NO KEY UPDATE OF control SKIP LOCKED"
# What is under way is counted by the statement that claims: it begins with the lock held, and sees what others took.
_OLDEST_OF_SYSTEM = """
    SELECT id FROM (
        SELECT id FROM integrations_outgoingoperation
        WHERE system_id = %s AND status = 'Waiting' AND is_next AND next_try_at <= %s
        ORDER BY next_try_at LIMIT (
            SELECT CASE WHEN count(*) >= %s THEN 0 WHEN %s - count(*) < %s THEN %s - count(*) ELSE %s END
            FROM integrations_outgoingoperation WHERE system_id = %s AND status = 'Sending'
        ){lock}
    ) AS oldest"""
# One that a person retries or skips at this moment is left for the next claim, which no other system has to wait for.
_UNLOCKED = " FOR NO KEY UPDATE SKIP LOCKED"
# The payload is read as the text that it is in the database, and sent so. What the message says besides, the external
# reference as it is now, comes along: no statement is left between the claim and the sending.
_CLAIM = """
WITH chosen AS MATERIALIZED ({oldest})
UPDATE integrations_outgoingoperation SET status = 'Sending', claim = claim + 1, claimed_until = %s
WHERE status = 'Waiting' AND id IN (SELECT id FROM chosen)
RETURNING id, exchange_id, change_id, system_id, sequence, operation, cause_id, created_at, status, claim, tries,
    next_try_at, claimed_until, payload AS recorded, (
        SELECT {json_array}(external_id, external_url, external_status, updated_at)
        FROM integrations_externalreference r
        WHERE r.change_id = integrations_outgoingoperation.change_id
            AND r.system_id = integrations_outgoingoperation.system_id
    ) AS reference{also}"""
# Of this transaction: a claim that a power cut takes away is no loss, what it had taken is sent again with the same id.
_NO_WAIT_FOR_THE_DISK = ", set_config('synchronous_commit', 'off', true) AS synchronous_commit"


def controls_of_due(now: datetime) -> list[Any]:
    """The controls of the systems that flow and have something due, locked, each with what sending needs of its system.

    Those that another worker claims from now are left out.
    """
    lock = _SKIP_LOCKED if connection.features.has_select_for_update_skip_locked else ""
    with prepared():
        return _read(DeliveryControl, _CONTROLS_OF_DUE + lock, [connection.ops.adapt_datetimefield_value(now)])


class Share(NamedTuple):
    """So many operations of a system may be claimed, and so many may be under way."""

    system: int
    claimed: int
    at_once: int


def claim(shares: Iterable[Share], now: datetime, until: datetime) -> list[OutgoingOperation]:
    """Claims the oldest due operations of each system, as many as its share and what is under way allow.

    Each has what its message is made of: `recorded`, its payload as JSON, and `reference`, the external reference.
    """
    is_postgresql = connection.vendor == "postgresql"
    moment, lease = (connection.ops.adapt_datetimefield_value(value) for value in (now, until))
    parameters: list[Any] = []
    parts = []
    for system, count, most in shares:
        parts.append(_OLDEST_OF_SYSTEM.format(lock=_UNLOCKED if is_postgresql else ""))
        parameters += [system, moment, most, most, count, most, count, system]
    sql = _CLAIM.format(
        oldest=" UNION ALL ".join(parts),
        json_array="json_build_array" if is_postgresql else "json_array",
        also=_NO_WAIT_FOR_THE_DISK if is_postgresql else "",
    )
    with prepared():
        operations = _read(OutgoingOperation, sql, [*parameters, lease])
    for operation in operations:
        operation.reference = _reference(operation)  # type: ignore[attr-defined]
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
        updated_at=_moment(updated_at if connection.vendor == "sqlite" else datetime.fromisoformat(updated_at)),
    )


_IS_DUE = """
SELECT 1 FROM integrations_externalsystem s
WHERE s.enabled AND s.paused_at IS NULL AND s.delivery = 'push' AND EXISTS (
    SELECT 1 FROM integrations_outgoingoperation o
    WHERE o.system_id = s.id AND o.status = 'Waiting' AND o.is_next AND o.next_try_at <= %s
)
LIMIT 1"""


def is_due(now: datetime) -> bool:
    """Whether anything is due for a system that is enabled, pushed to and not paused, whatever its limits say."""
    with prepared(), connection.cursor() as cursor:
        cursor.execute(_IS_DUE, [connection.ops.adapt_datetimefield_value(now)])
        return cursor.fetchone() is not None


# --- Settling ---

_LOCKED = " FOR NO KEY UPDATE"
_EXCHANGES = "SELECT * FROM integrations_exchange WHERE {keys} ORDER BY id"
_OPEN = """
SELECT id, status, claim FROM integrations_outgoingoperation
WHERE {keys} AND status IN ('Sending', 'Waiting') ORDER BY id"""
_DELIVERED = """
UPDATE integrations_outgoingoperation
SET status = 'Delivered', is_next = %s, claimed_until = NULL, settled_at = %s,
    last_failure = '', last_http_status = NULL, last_error = ''
WHERE {keys}"""
# Of a system with nothing against it a success changes nothing.
_CONTROLS = """
SELECT * FROM integrations_deliverycontrol
WHERE {keys} AND (
    {failed} OR breaker <> 'Closed' OR consecutive_failures <> 0 OR window_started_at IS NOT NULL
    OR (first_delivered_at IS NULL AND {delivered})
)
ORDER BY system_id"""


def _lock(skips_locked: bool = False) -> str:
    if not connection.features.has_select_for_update:
        return ""
    return _LOCKED + (" SKIP LOCKED" if skips_locked else "")


def lock_exchanges(keys: Iterable[int], wait: bool) -> list[Exchange]:
    """These exchanges, locked in order; without `wait` those that nobody else has locked."""
    among, parameters = _among("id", keys)
    with prepared():
        return _read(Exchange, _EXCHANGES.format(keys=among) + _lock(not wait), parameters)


def lock_open(keys: Iterable[UUID]) -> dict[UUID, tuple[str, int]]:
    """The status and the claim of those of these operations that are sent or wait, locked in order."""
    among, parameters = _among("id", keys)
    with prepared(), connection.cursor() as cursor:
        cursor.execute(_OPEN.format(keys=among) + _lock(), parameters)
        return {key if isinstance(key, UUID) else UUID(key): (status, claim) for key, status, claim in cursor}


def write_delivered(keys: Iterable[UUID], now: datetime) -> None:
    among, parameters = _among("id", keys)
    with prepared(), connection.cursor() as cursor:
        moment = connection.ops.adapt_datetimefield_value(now)
        cursor.execute(_DELIVERED.format(keys=among), [False, moment, *parameters])


_HEARD_OF = "UPDATE integrations_externalreference SET updated_at = %s WHERE {keys}"


def write_heard_of(keys: Iterable[int], now: datetime) -> None:
    """That the partner said the same of these references again."""
    among, parameters = _among("id", keys)
    with prepared(), connection.cursor() as cursor:
        cursor.execute(_HEARD_OF.format(keys=among), [connection.ops.adapt_datetimefield_value(now), *parameters])


def lock_controls(systems: Collection[int], failed: Collection[int], delivered: Collection[int]) -> list[Any]:
    """The controls, locked in order, of those of `systems` for which something is to be written: where a try failed,
    where something stands against the system already, and where it was the first delivery."""
    parts = [_among("system_id", keys) for keys in (systems, failed or [0], delivered or [0])]
    names = dict(zip(("keys", "failed", "delivered"), (among for among, _ in parts), strict=True))
    parameters = [parameter for _, own in parts for parameter in own]
    with prepared():
        return _read(DeliveryControl, _CONTROLS.format(**names) + _lock(), parameters)
