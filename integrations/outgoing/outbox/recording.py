"""Recording: operations are written in the transaction of their cause, under the change's row lock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone

from changes import work
from changes.models import Attachment, Change, Comment, SupportGroup
from changes.models.holding import notes
from integrations import origin, rules, statements
from integrations.models import Exchange, ExternalReference, ExternalSystem, OutgoingOperation
from integrations.outgoing import payloads
from integrations.workers.wakeup import wake


@dataclass
class Context:
    """A change with what the rules and the payloads need to know about its exchanges.

    `systems`, `exchanges` and `references` are by `system_id`. `systems`: those that have to do with the change.
    """

    change: Change
    situation: rules.Situation
    systems: dict[str, ExternalSystem] = field(default_factory=dict)
    exchanges: dict[str, Exchange] = field(default_factory=dict)
    references: dict[str, ExternalReference] = field(default_factory=dict)


def context_of(change: Change, *, to_record: bool = True) -> Context:
    """Reads the context of a change in one query.

    `to_record`: operations will be recorded with it, so its exchanges are locked until the transaction ends. The caller
    then holds the lock on the change's row.
    """
    owner, context = None, Context(change, rules.Situation())
    for row in statements.known_of(change.pk, change.owning_group_id, change.requested_by_id, locks=to_record):
        name = row.system_id
        system = context.systems[name] = statements.partly(ExternalSystem, id=row.system_key, system_id=name)
        if row.owner_key:
            owner = name
        if row.exchange_key:
            context.exchanges[name] = _exchange(change, system, row)
        if row.reference_key:
            context.references[name] = _reference(change, system, row)
        _keep_names(change, row)
    context.situation = rules.Situation.of(owner, context.references, context.exchanges, _cause())
    return context


def context_of_new(change: Change, owner: ExternalSystem) -> Context:
    """The context of a change that was just created for a group of `owner`. Needs no query."""
    situation = rules.Situation.of(owner.system_id, (), {}, _cause())
    return Context(change, situation, {owner.system_id: owner})


def _cause() -> str | None:
    cause = origin.current()
    return cause.system.system_id if cause and cause.system else None


def _exchange(change: Change, system: ExternalSystem, row: statements.Known) -> Exchange:
    sequences = {name: getattr(row, name) for name in statements.SEQUENCES}
    exchange = statements.partly(Exchange, id=row.exchange_key, change_id=change.pk, system_id=system.pk, **sequences)
    exchange.system = system
    return exchange


def _reference(change: Change, system: ExternalSystem, row: statements.Known) -> ExternalReference:
    said = {name: getattr(row, name) for name in ("external_id", "external_url", "external_status", "updated_at")}
    keys = {"id": row.reference_key, "change_id": change.pk, "system_id": system.pk}
    reference = statements.partly(ExternalReference, **keys, **said)
    reference.system = system
    return reference


def _keep_names(change: Change, row: statements.Known) -> None:
    """Sets the owning group and the requester on the change, if not loaded, with the names that the payload needs."""
    for name, model, said in (
        ("owning_group", SupportGroup, {"name": row.group_name}),
        ("requested_by", get_user_model(), {"username": row.username}),
    ):
        relation: Any = Change._meta.get_field(name)
        key = getattr(change, relation.attname)
        if key is not None and not relation.is_cached(change):
            relation.set_cached_value(change, statements.partly(model, id=key, **said))


def record(
    context: Context,
    generated: rules.Generated,
    changed_fields: Mapping[str, Any] | None = None,
    comment: Comment | None = None,
    attachment: Attachment | None = None,
) -> list[OutgoingOperation]:
    """Writes these operations, in this order, and wakes a worker once the transaction commits. Returns them."""
    if not generated:
        return []
    names = {system for _, system in generated}
    if missing := names - {*context.systems}:
        found = ExternalSystem.objects.filter(system_id__in=missing).only("system_id")
        context.systems |= {system.system_id: system for system in found}
    rows = []
    first = notes(context.change)  # the operation with the latest snapshot, by system
    for operation, name in generated:
        system = context.systems[name]
        exchange = context.exchanges.setdefault(name, Exchange(change=context.change, system=system))
        exchange.state = exchange.state.after(operation)
        own = [context.references[name]] if name in context.references else []
        payload = payloads.operation(context.change, own, changed_fields, comment, attachment, settings.BASE_URL)
        row = OutgoingOperation(
            change=context.change,
            system=system,
            sequence=exchange.last_sequence,
            operation=operation,
            payload=payload,
            cause=origin.current(),
            comment=comment,
            attachment=attachment,
            request_id=work.request_id(),
        )
        _share_snapshot(row, first)
        rows.append(row)
    now = timezone.now()
    written: set[str] = set()
    # Sorted by the key of the exchange, which is the order of locks. New exchanges come last.
    for row in sorted(rows, key=lambda row: context.exchanges[row.system.system_id].pk or math.inf):
        name = row.system.system_id
        row.created_at = row.next_try_at = now
        statements.write_recorded(context.exchanges[name], row, is_first=name not in written)
        written.add(name)
    wake_on_commit()
    transaction.on_commit(partial(work.note_recorded, [str(row.pk) for row in rows]), robust=True)
    return rows


def _share_snapshot(row: OutgoingOperation, first: dict[Any, OutgoingOperation]) -> None:
    """Refers to the snapshot that this transaction has recorded for the system, if the change is the same as there.

    Otherwise a partner's operation with a hundred comments would make us store a hundred copies of the change.
    """
    earlier = first.get(row.system_id)
    if earlier is not None and earlier.payload["change"] == row.payload["change"]:
        row.snapshot_of = earlier
        row.payload = {name: value for name, value in row.payload.items() if name != "change"}
    else:
        first[row.system_id] = row


def wake_on_commit() -> None:
    """Tells the workers, once the transaction commits, that something is due."""
    here = set(connection.savepoint_ids)
    hooks: list[Any] = connection.run_on_commit
    if any(hook is wake and savepoints <= here for savepoints, hook, *_ in hooks):
        return  # this transaction wakes the workers already
    # Robust: an error here must not reach the caller, whose data is committed. The sweep finds the operation anyway.
    transaction.on_commit(wake, robust=True)
