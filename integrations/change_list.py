"""What the exchange adds to the list of changes: two filters, and how each change stands with its partners."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import django_filters
from django.db.models import BooleanField, CharField, Exists, F, IntegerField, OuterRef, QuerySet, Value
from django.db.models.functions import Cast

from changes import listing
from changes.models import Change
from changes.querysets import ChangeQuerySet

from .access import reachable
from .choices import DeliveryStatus
from .models import Exchange, ExternalGroup, ExternalReference, ExternalSystem, OutgoingOperation
from .rules import ExchangeState
from .wording import State, pair_state

OPEN = (DeliveryStatus.WAITING, DeliveryStatus.SENDING)


def by_partner(queryset: ChangeQuerySet, name: str, value: str) -> ChangeQuerySet:
    """Changes that are linked to this system, or were until it rejected them."""
    systems = ExternalSystem.objects.filter(system_id=value)
    return queryset.filter(pk__in=reachable(systems).values("pk"))


def by_exchange(queryset: ChangeQuerySet, name: str, value: str) -> ChangeQuerySet:
    """Changes with an operation that was refused, or that is on its way."""
    statuses = [DeliveryStatus.REFUSED] if value == "refused" else OPEN
    return queryset.filter(Exists(OutgoingOperation.objects.filter(change=OuterRef("pk"), status__in=statuses)))


def connect() -> None:
    listing.offer("partner", django_filters.CharFilter(label="Partner", method=by_partner))
    listing.offer(
        "exchange",
        django_filters.ChoiceFilter(
            label="Exchange",
            choices=[("refused", "Refused: needs a person"), ("waiting", "Waiting to be delivered")],
            empty_label="Any state",
            method=by_exchange,
        ),
    )


@dataclass(frozen=True)
class Pair:
    """How one change stands with one system."""

    system_id: str
    state: State


@dataclass
class Overview:
    """All systems for the filter, and the pairs of each change on the page, by its key."""

    systems: list[str] = field(default_factory=list)
    pairs: dict[int, list[Pair]] = field(default_factory=dict)


def overview(changes: Iterable[Change]) -> Overview:
    """One query, whatever the number of changes and partners."""
    changes = list(changes)
    ids = [change.pk for change in changes]
    owners: dict[int, list[int]] = {}
    for change in changes:
        if change.owning_group_id:
            owners.setdefault(change.owning_group_id, []).append(change.pk)
    result = Overview()
    states: dict[tuple[int, str], State] = {}
    for kind, key, system_id, assigned, rejected, refused, is_open, delivered in _rows(ids, [*owners]):
        if kind == "system":
            result.systems.append(system_id)
        elif kind == "exchange":
            exchange = ExchangeState(assigned_sequence=assigned, rejected_at_sequence=rejected)
            found = {DeliveryStatus.REFUSED: refused, DeliveryStatus.WAITING: is_open, "Delivered": delivered}
            states[key, system_id] = pair_state({s for s, yes in found.items() if yes}, exchange.is_rejected)
        else:
            for pk in owners[key] if kind == "owner" else [key]:
                states.setdefault((pk, system_id), pair_state(set(), False))
    for (pk, system_id), state in sorted(states.items()):
        result.pairs.setdefault(pk, []).append(Pair(system_id, state))
    result.systems.sort()
    return result


def _rows(ids: list[int], groups: list[int]) -> QuerySet[Any, Any]:
    """Systems, exchanges, references and external owners in one UNION: the list may make few queries."""
    number, flag = Cast(Value(None), IntegerField()), Cast(Value(False), BooleanField())
    nothing = {"assigned": number, "rejected": number, "refused": flag, "is_open": flag, "delivered": flag}

    def rows(queryset: QuerySet, kind: str, key: Any, system_id: str, **more: Any) -> QuerySet[Any, Any]:
        values = {"key": key, "system_name": F(system_id), **nothing, **more}
        return (
            queryset.order_by()
            .annotate(kind=Value(kind, CharField()), **values)
            .values_list("kind", "key", "system_name", "assigned", "rejected", "refused", "is_open", "delivered")
        )

    def has(*statuses: str) -> Exists:
        operations = OutgoingOperation.objects.filter(change=OuterRef("change"), system=OuterRef("system"))
        return Exists(operations.filter(status__in=statuses))

    exchanges = rows(
        Exchange.objects.filter(change__in=ids),
        "exchange",
        F("change_id"),
        "system__system_id",
        assigned=F("assigned_sequence"),
        rejected=F("rejected_at_sequence"),
        refused=has(DeliveryStatus.REFUSED),
        is_open=has(*OPEN),
        delivered=has(DeliveryStatus.DELIVERED),
    )
    return exchanges.union(
        rows(ExternalReference.objects.filter(change__in=ids), "reference", F("change_id"), "system__system_id"),
        rows(ExternalGroup.objects.filter(group__in=groups), "owner", F("group_id"), "system__system_id"),
        rows(ExternalSystem.objects.all(), "system", number, "system_id"),
        all=True,
    )
