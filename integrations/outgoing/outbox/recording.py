"""Recording: operations come into being in the transaction of what caused them, under the change's row lock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from changes.models import Attachment, Change, Comment
from integrations import origin, rules
from integrations.choices import SETTLED
from integrations.models import Exchange, ExternalGroup, ExternalReference, ExternalSystem, OutgoingOperation
from integrations.outgoing import payloads
from integrations.workers.wakeup import wake


@dataclass
class Context:
    """A change with what the rules and the payloads need to know about its exchanges."""

    change: Change
    situation: rules.Situation
    exchanges: dict[str, Exchange]
    references: dict[str, ExternalReference]


def context_of(change: Change) -> Context:
    """Reads the exchanges of a change whose row is locked by the caller."""
    exchanges = {row.system.system_id: row for row in _with_system(change.exchanges.all())}
    references = {row.system.system_id: row for row in _with_system(change.external_references.all())}
    owner = None
    if change.owning_group_id:
        external = _with_system(ExternalGroup.objects.filter(group=change.owning_group_id)).first()
        owner = external.system.system_id if external else None
    cause = origin.current()
    situation = rules.Situation(
        owner=owner,
        referenced=frozenset(references),
        exchanges={name: row.state for name, row in exchanges.items()},
        cause=cause.system.system_id if cause and cause.system else None,
    )
    return Context(change, situation, exchanges, references)


def _with_system(rows: QuerySet[Any]) -> QuerySet[Any]:
    """With the system of each, but its secrets: to decrypt them takes time, and nothing here signs."""
    return rows.select_related("system").defer("system__signing_secret", "system__previous_signing_secret")


def record(
    context: Context,
    generated: rules.Generated,
    changed_fields: Mapping[str, Any] | None = None,
    comment: Comment | None = None,
    attachment: Attachment | None = None,
) -> list[OutgoingOperation]:
    """Writes these operations, in this order, and wakes a worker once the transaction commits."""
    if not generated:
        return []
    names = {system for _, system in generated}
    systems = {system.system_id: system for system in ExternalSystem.objects.filter(system_id__in=names)}
    rows = []
    for operation, name in generated:
        exchange = context.exchanges.setdefault(name, Exchange(change=context.change, system=systems[name]))
        exchange.state = exchange.state.after(operation)
        own = [context.references[name]] if name in context.references else []
        payload = payloads.operation(context.change, own, changed_fields, comment, attachment, settings.BASE_URL)
        rows.append(
            OutgoingOperation(
                change=context.change,
                system=systems[name],
                sequence=exchange.last_sequence,
                operation=operation,
                payload=payload,
                cause=origin.current(),
                comment=comment,
                attachment=attachment,
            )
        )
    # In the order of locks, the new ones last.
    busy = _save_exchanges(sorted((context.exchanges[name] for name in names), key=lambda row: row.pk or math.inf))
    now = timezone.now()
    for row in rows:
        row.exchange = context.exchanges[row.system.system_id]
        row.created_at = row.next_try_at = now
        row.is_next = row.exchange.pk not in busy
        busy.add(row.exchange.pk)
    created = OutgoingOperation.objects.bulk_create(rows)
    wake_on_commit()
    return created


def _save_exchanges(exchanges: list[Exchange]) -> set[int]:
    """Saves them, which locks them, and returns the keys of those with something unsettled.

    Asked after the lock: what settles at the same time has then either been seen, or sees what is recorded.
    """
    old = [exchange.pk for exchange in exchanges if exchange.pk]
    for exchange in exchanges:
        exchange.save()
    if not old:
        return set()
    unsettled = OutgoingOperation.objects.filter(exchange__in=old).exclude(status__in=SETTLED)
    return set(unsettled.order_by().values_list("exchange", flat=True).distinct())


def wake_on_commit() -> None:
    """Tells the workers, once the transaction commits, that something is due."""
    here = set(connection.savepoint_ids)
    hooks: list[Any] = connection.run_on_commit
    if any(hook is wake and savepoints <= here for savepoints, hook, *_ in hooks):
        return  # once is enough for what is due
    # Robust: whatever the broker does, what is committed is committed, and the sweep finds it.
    transaction.on_commit(wake, robust=True)
