"""Each statement of integrations/statements/ written with the ORM, for the benchmark `statements`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import CharField, Exists, F, Model, OuterRef, Q
from django.db.models.functions import Cast
from knox.models import AuthToken

from changes.models import RestoredCopy, SupportGroup
from integrations import statements
from integrations.choices import Breaker, Delivery, DeliveryStatus
from integrations.models import DeliveryControl, Exchange, ExternalReference, ExternalSystem, OutgoingOperation


def token_with_user(digest: str) -> AuthToken | None:
    token = AuthToken.objects.select_related("user", "life").filter(digest=digest).first()
    if token is not None:
        life = getattr(token, "life", None)
        token.life_key, token.life_used_at = (life.pk, life.last_used_at) if life else (None, None)
        token.is_held = RestoredCopy.objects.exists()
    return token


def partner_of_token(digest: str) -> tuple[AuthToken | None, list[ExternalSystem]]:
    token = token_with_user(digest)
    if token is None:
        return None, []
    systems = list(ExternalSystem.objects.without_secrets().filter(authorized_user=token.user))
    for system in systems:
        system.authorized_user = token.user
    return token, systems


def group_with_system(name: str) -> tuple[SupportGroup, ExternalSystem | None] | None:
    secrets = (f"external_group__system__{field}" for field in ("signing_secret", "previous_signing_secret"))
    found = SupportGroup.objects.select_related("external_group__system").defer(*secrets).filter(name=name).first()
    if found is None:
        return None
    owner = getattr(found, "external_group", None)
    return found, owner.system if owner else None


def known_of(change: int, group: int | None, user: int | None, *, locks: bool) -> list[statements.Known]:
    rows = Exchange.objects.filter(change=change).order_by("pk")
    exchanges = {row.system_id: row for row in (rows.select_for_update(no_key=True) if locks else rows)}
    references = {row.system_id: row for row in ExternalReference.objects.filter(change=change)}
    owner = ExternalSystem.objects.without_secrets().filter(external_groups__group=group)
    keys = {*exchanges, *references, *(owners := {system.pk for system in owner})}
    systems = ExternalSystem.objects.without_secrets().in_bulk(keys)
    group_name = SupportGroup.objects.filter(pk=group).values_list("name", flat=True).first()
    username = get_user_model().objects.filter(pk=user).values_list("username", flat=True).first()
    found = []
    for key, system in systems.items():
        exchange, reference = exchanges.get(key), references.get(key)
        sequences = ("pk", "last_sequence", "assigned_sequence", "cancelled_sequence", "rejected_at_sequence")
        said = ("pk", "external_id", "external_url", "external_status", "updated_at")
        values = [getattr(exchange, name, None) for name in sequences]
        values += [getattr(reference, name, None) for name in said]
        found.append(
            statements.Known(key, system.system_id, group if key in owners else None, *values, group_name, username)
        )
    return found


def write_recorded(exchange: Exchange, operation: OutgoingOperation, is_first: bool) -> None:
    exchange.save(update_fields=statements.SEQUENCES if exchange.pk else None)
    operation.exchange, before = exchange, OutgoingOperation.objects.unsettled().filter(exchange=exchange)
    is_next: Any = is_first and (exchange.last_sequence == 1 or ~Exists(before))
    operation.is_next = is_next
    OutgoingOperation.objects.bulk_create([operation])


def references_of(changes: Collection[int], systems: Collection[int]) -> list[ExternalReference]:
    return list(ExternalReference.objects.filter(change__in=changes, system__in=systems))


def controls_of_due(now: datetime) -> list[Any]:
    due = OutgoingOperation.objects.due(now).filter(system=OuterRef("system"))
    is_mapped = Q(system__delivery=Delivery.MAPPED, system__connection__isnull=False)
    found = DeliveryControl.objects.filter(
        Q(system__delivery=Delivery.PUSH) | is_mapped, Exists(due), system__enabled=True, system__paused_at=None
    )
    names = ("delivery", "endpoint_url", "signing_secret", "previous_signing_secret", "max_in_flight", "rate_limit")
    names += ("connection_id",)
    columns = {name: Cast(f"system__{name}", CharField()) for name in names if name.endswith("secret")}
    columns |= {name: F(f"system__{name}") for name in names if name not in columns}
    found = found.annotate(name=F("system__system_id"), **columns).order_by("system")
    return list(found.select_for_update(of=("self",), skip_locked=True, no_key=True))


def claim(shares: Iterable[statements.Share], now: datetime, until: datetime) -> list[OutgoingOperation]:
    chosen: list[UUID] = []
    for share in shares:
        under_way = OutgoingOperation.objects.filter(system=share.system, status=DeliveryStatus.SENDING).count()
        most = max(0, min(share.claimed, share.at_once - under_way))
        oldest = OutgoingOperation.objects.due(now).filter(system=share.system).order_by("next_try_at")
        chosen += oldest.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)[:most]
    OutgoingOperation.objects.filter(pk__in=chosen, status=DeliveryStatus.WAITING).update(
        status=DeliveryStatus.SENDING, claim=F("claim") + 1, claimed_until=until
    )
    found = OutgoingOperation.objects.filter(pk__in=chosen).annotate(
        recorded=Cast("payload", CharField()),
        remembered=Cast("done_steps", CharField()),
        shared=Cast("snapshot_of__payload", CharField()),
    )
    taken = list(found.defer("payload"))
    references = references_of({row.change_id for row in taken}, {row.system_id for row in taken})
    by_key = {(row.change_id, row.system_id): row for row in references}
    for operation in taken:
        operation.reference = by_key.get((operation.change_id, operation.system_id))
    return taken


def is_due(now: datetime) -> bool:
    due = OutgoingOperation.objects.due(now).filter(system=OuterRef("pk"))
    is_called = Q(delivery=Delivery.PUSH) | Q(delivery=Delivery.MAPPED, connection__isnull=False)
    return ExternalSystem.objects.filter(is_called, Exists(due), enabled=True, paused_at=None).exists()


def lock_exchanges(keys: Iterable[int], wait: bool) -> list[Exchange]:
    rows = Exchange.objects.filter(pk__in=keys).order_by("pk")
    return list(rows.select_for_update(skip_locked=not wait, no_key=True))


def lock_open(keys: Iterable[UUID]) -> dict[UUID, tuple[str, int]]:
    rows = OutgoingOperation.objects.filter(
        pk__in=keys, status__in=(DeliveryStatus.SENDING, DeliveryStatus.WAITING)
    ).order_by("pk")
    locked = rows.select_for_update(no_key=True).values_list("pk", "status", "claim")
    return {key: (status, number) for key, status, number in locked}


def write_delivered(keys: Iterable[UUID], now: datetime) -> None:
    cleared = {"claimed_until": None, "last_failure": "", "last_http_status": None, "last_error": ""}
    OutgoingOperation.objects.filter(pk__in=keys).update(
        status=DeliveryStatus.DELIVERED, is_next=False, settled_at=now, **cleared
    )


def write_heard_of(keys: Iterable[int], now: datetime) -> None:
    ExternalReference.objects.filter(pk__in=keys).update(updated_at=now)


def lock_controls(systems: Collection[int], failed: Collection[int], delivered: Collection[int]) -> list[Any]:
    against = Q(system__in=failed) | ~Q(breaker=Breaker.CLOSED) | ~Q(consecutive_failures=0)
    against |= Q(window_started_at__isnull=False) | Q(first_delivered_at=None, system__in=delivered)
    rows = DeliveryControl.objects.filter(against, system__in=systems).order_by("system")
    return list(rows.select_for_update(no_key=True))


def read_raw(model: Any, sql: str, parameters: list[Any]) -> list[Any]:
    return list(model._default_manager.raw(sql, parameters))


# The replacement of each statement, by the statement's name.
def insert(record: Model, using: str, fields: Sequence[Any], returning_fields: Sequence[Any]) -> Any:
    manager: Any = type(record)._base_manager
    return manager._insert([record], fields=fields, returning_fields=returning_fields, using=using)


REPLACED: dict[str, Callable[..., Any]] = {
    "token_with_user": token_with_user,
    "partner_of_token": partner_of_token,
    "group_with_system": group_with_system,
    "known_of": known_of,
    "write_recorded": write_recorded,
    "references_of": references_of,
    "controls_of_due": controls_of_due,
    "claim": claim,
    "is_due": is_due,
    "lock_exchanges": lock_exchanges,
    "lock_open": lock_open,
    "write_delivered": write_delivered,
    "write_heard_of": write_heard_of,
    "lock_controls": lock_controls,
    "read": read_raw,
    "insert": insert,
    "prepared": nullcontext,
}
