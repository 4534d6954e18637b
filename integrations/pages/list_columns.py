"""What the exchange adds to the list of changes: two filters, the search for external ids, and the state of each change
with its partners, which is also in exports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import django_filters
from django.db.models import (
    BooleanField,
    CharField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Cast
from django.db.models.lookups import IsNull
from django.utils.translation import gettext_lazy

from changes import search
from changes.models import Change
from changes.pages.list import export, filters
from changes.querysets import ChangeQuerySet
from integrations.choices import DeliveryStatus
from integrations.models import Exchange, ExternalGroup, ExternalReference, ExternalSystem, OutgoingOperation
from integrations.rules import ExchangeState
from integrations.standing.wording import State, pair_state

OPEN = (DeliveryStatus.WAITING, DeliveryStatus.SENDING)


# If a partner has more changes than this, it is quicker to check the changes of the list one by one.
BUSY = 5000


def systems(value: str) -> QuerySet[Any]:
    """All systems as options of the filter. `flag` is true only for the system `value`, if it has many changes."""
    many = [
        Exists(model.objects.filter(system=OuterRef("pk"), system__system_id=value).values("pk")[BUSY : BUSY + 1])
        for model in (Exchange, ExternalReference)
    ]
    flag = ExpressionWrapper(Q(many[0]) | Q(many[1]), BooleanField())
    return ExternalSystem.objects.annotate(key=F("pk"), label=F("system_id"), flag=flag)


def by_partner(queryset: ChangeQuerySet, system: filters.Option) -> ChangeQuerySet:
    """Changes that are linked to this system, or were until it rejected them, as in `access.reachable()`.

    There are two queries, one for a system with few changes and one for many. Each is slow where the other is quick.
    """
    exchanged = Exchange.objects.filter(system=system.key).exclude(assigned_sequence=None, rejected_at_sequence=None)
    referenced = ExternalReference.objects.order_by().filter(system=system.key)
    groups = ExternalGroup.objects.filter(system=system.key).values("group")
    if not system.flag:
        owned = Change.objects.order_by().filter(owning_group__in=groups)
        linked = exchanged.values("change").union(referenced.values("change"), owned.values("pk"), all=True)
        return queryset.filter(pk__in=linked)
    condition = Q(owning_group__in=groups)
    for links in (exchanged, referenced):
        # Not EXISTS: the database would evaluate it for all changes at once.
        link = Subquery(links.filter(change=OuterRef("pk")).order_by().values("pk")[:1])
        condition |= Q(IsNull(link, False))
    return queryset.filter(condition)


def by_exchange(queryset: ChangeQuerySet, name: str, value: str) -> ChangeQuerySet:
    """Changes with a refused operation if `value` is "refused", otherwise with one that waits or is being sent."""
    statuses = [DeliveryStatus.REFUSED] if value == "refused" else OPEN
    return queryset.filter(Exists(OutgoingOperation.objects.filter(change=OuterRef("pk"), status__in=statuses)))


def references(viewer: Collection[ExternalSystem] | None) -> QuerySet[Any]:
    """The external references to search: all for staff (`viewer` is None), for a partner only its own."""
    found = ExternalReference.objects.all()
    return found if viewer is None else found.filter(system__in=viewer)


def exported(changes: Sequence[Change]) -> dict[int, tuple[str, ...]]:
    """The exported texts of each change, by its key: its partners, its states with them, and its ids there.

    Each text lists the partners in the same order.
    """
    pairs = overview(changes).pairs
    return {
        pk: (
            "; ".join(pair.system_id for pair in own),
            "; ".join(pair.state.short for pair in own),
            "; ".join(pair.external_id for pair in own).strip("; "),
        )
        for pk, own in pairs.items()
    }


FILTERS = {
    "partner": filters.OptionFilter(
        label=gettext_lazy("Partner"),
        options=systems,
        narrow=by_partner,
        empty_label=gettext_lazy("Any partner"),
    ),
    "exchange": django_filters.ChoiceFilter(
        label=gettext_lazy("Exchange"),
        choices=[
            ("refused", gettext_lazy("Refused: needs a person")),
            ("waiting", gettext_lazy("Waiting to be delivered")),
        ],
        empty_label=gettext_lazy("Any state"),
        method=by_exchange,
    ),
}
COLUMNS = export.Columns(("partners", "exchange_states", "external_ids"), exported)
SEARCHED = search.Source(references, "external_id", is_id=True)


@dataclass(frozen=True)
class Pair:
    """The state of one change with one system."""

    system_id: str
    state: State
    external_id: str = ""


@dataclass
class Overview:
    """The states of the changes on a page with their systems, by the changes' keys."""

    pairs: dict[int, list[Pair]] = field(default_factory=dict)


def overview(changes: Iterable[Change]) -> Overview:
    """Reads the overview of these changes with one query."""
    changes = list(changes)
    ids = [change.pk for change in changes]
    owners: dict[int, list[int]] = {}
    for change in changes:
        if change.owning_group_id:
            owners.setdefault(change.owning_group_id, []).append(change.pk)
    result = Overview()
    states: dict[tuple[int, str], State] = {}
    external_ids: dict[tuple[int, str], str] = {}
    for kind, key, system_id, assigned, rejected, refused, is_open, delivered, external_id in _rows(ids, [*owners]):
        if external_id:
            external_ids[key, system_id] = external_id
        if kind == "exchange":
            exchange = ExchangeState(assigned_sequence=assigned, rejected_at_sequence=rejected)
            found = {DeliveryStatus.REFUSED: refused, DeliveryStatus.WAITING: is_open, "Delivered": delivered}
            states[key, system_id] = pair_state({s for s, yes in found.items() if yes}, exchange.is_rejected)
        else:
            for pk in owners[key] if kind == "owner" else [key]:
                states.setdefault((pk, system_id), pair_state(set(), False))
    for (pk, system_id), state in sorted(states.items()):
        result.pairs.setdefault(pk, []).append(Pair(system_id, state, external_ids.get((pk, system_id), "")))
    return result


def _rows(ids: list[int], groups: list[int]) -> QuerySet[Any, Any]:
    """Exchanges, references and external owners in one UNION, to save queries."""
    number, flag = Cast(Value(None), IntegerField()), Cast(Value(False), BooleanField())
    no_id = Value("", CharField())
    nothing = {
        "external": no_id,
        "assigned": number,
        "rejected": number,
        "refused": flag,
        "is_open": flag,
        "delivered": flag,
    }

    def rows(queryset: QuerySet, kind: str, key: F, system_id: str, **more: Any) -> QuerySet[Any, Any]:
        values = {"key": key, "system_name": F(system_id), **nothing, **more}
        return (
            queryset.order_by()
            .annotate(kind=Value(kind, CharField()), **values)
            .values_list(
                "kind", "key", "system_name", "assigned", "rejected", "refused", "is_open", "delivered", "external"
            )
        )

    def has(*statuses: str) -> IsNull:
        # Not EXISTS: the database would evaluate it for the operations of all changes at once.
        operations = OutgoingOperation.objects.filter(exchange=OuterRef("pk"), status__in=statuses).order_by()
        return IsNull(Subquery(operations.values("pk")[:1]), False)

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
        rows(
            ExternalReference.objects.filter(change__in=ids),
            "reference",
            F("change_id"),
            "system__system_id",
            external=F("external_id"),
        ),
        rows(ExternalGroup.objects.filter(group__in=groups), "owner", F("group_id"), "system__system_id"),
        all=True,
    )
