"""What the exchange adds to the list of changes: filters by partner, relation and delivery, the search for external
ids, and how each change stands with its partners, which is also in exports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import django_filters
from django.db.models import (
    BooleanField,
    Case,
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
    When,
)
from django.db.models.functions import Cast
from django.db.models.lookups import IsNull
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy

from changes.models import Change
from changes.pages.list import export, filters
from changes.queries import search
from changes.queries.querysets import ChangeQuerySet
from changes.queries.subqueries import CappedCount, Count, capped
from integrations.choices import DeliveryStatus
from integrations.models import Exchange, ExternalGroup, ExternalReference, ExternalSystem, OutgoingOperation
from integrations.rules import ExchangeState
from integrations.standing.relation import Relation, chips, leading, related, relations
from integrations.standing.state import State
from integrations.standing.status import long_waiting
from integrations.standing.wording import trouble

OPEN = (DeliveryStatus.WAITING, DeliveryStatus.SENDING)
_ALL = Change.objects.order_by()


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


class PartnerFilter(filters.OptionFilter):
    """The filter for a partner: in the chosen relation, or in any."""

    def filter(self, queryset: ChangeQuerySet, value: str) -> ChangeQuerySet:
        chosen = self.chosen(value)
        relation = self.parent.form.cleaned_data["relation"]
        if chosen and relation:
            return related(queryset, Relation(relation), chosen.key, is_by_row=chosen.flag)
        return super().filter(queryset, value)


class RelationFilter(django_filters.ChoiceFilter):
    """The filter for a relation: with the chosen partner, see `PartnerFilter`, or with any."""

    def filter(self, queryset: ChangeQuerySet, value: str) -> ChangeQuerySet:
        if not value or self.parent.form.cleaned_data["partner"]:
            return queryset
        return related(queryset, Relation(value))


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
            "; ".join(pair.in_words for pair in own),
            "; ".join(pair.external_id for pair in own).strip("; "),
        )
        for pk, own in pairs.items()
    }


FILTERS = {
    "partner": PartnerFilter(
        label=gettext_lazy("Partner"),
        options=systems,
        narrow=by_partner,
        empty_label=gettext_lazy("Any partner"),
    ),
    "relation": RelationFilter(
        label=gettext_lazy("Relation to partner"),
        choices=Relation.choices,
        empty_label=gettext_lazy("Any relation"),
    ),
    "exchange": django_filters.ChoiceFilter(
        label=gettext_lazy("Exchange"),
        choices=[
            ("refused", gettext_lazy("Needs attention: refused")),
            ("waiting", gettext_lazy("Waiting to be delivered")),
        ],
        empty_label=gettext_lazy("Any state"),
        method=by_exchange,
    ),
}
COLUMNS = export.Columns(("partners", "exchange_states", "external_ids"), exported)
SEARCHED = search.Source(references, "external_id", is_id=True)


# --- How many changes each partner holds ---

# Counting stops here: for the chosen partner, and for each of the others, of which there may be many.
COUNTED, GLANCED = 1000, 100
OTHERS = (Relation.LINKED, Relation.CANCELLED, Relation.REJECTED)


@dataclass(frozen=True)
class Holder:
    """A partner, and the number of open changes that it holds. `query`: the filters of the list of these changes."""

    system_id: str
    held: Count
    query: str
    is_chosen: bool


@dataclass(frozen=True)
class Holders:
    """The partners with what they hold. `partner`: the chosen one, `others` the counts of its other relations."""

    holders: list[Holder]
    partner: str
    others: list[tuple[Relation, Count, str]]


def holders(filterset: filters.ChangeFilter) -> Holders:
    """Counts the open changes that each partner holds, and the other relations of the partner in these filters.

    One query. What is closed stays with its last owner, so the number of all that a partner ever held would only grow.
    """
    partner, relation, is_open = (filterset.data.get(name, "") for name in ("partner", "relation", "open"))
    chosen = filterset.filters["partner"].chosen(partner)
    held = related(_ALL.open(), Relation.HELD, OuterRef("pk"))
    columns: dict[str, Any] = {Relation.HELD: CappedCount(held, GLANCED)}
    if chosen:
        one = When(pk=chosen.key, then=CappedCount(held, COUNTED))
        columns[Relation.HELD] = Case(one, default=columns[Relation.HELD])
    for other in OTHERS if chosen else ():
        count = CappedCount(related(_ALL, other, chosen.key, is_by_row=chosen.flag), COUNTED)
        columns[other] = Case(When(pk=chosen.key, then=count))
    systems: QuerySet[Any, Any] = ExternalSystem.objects.order_by("system_id").values("system_id")
    rows: list[dict[str, Any]] = list(systems.annotate(**columns))
    found = [
        Holder(
            row["system_id"],
            capped(row[Relation.HELD], COUNTED if row["system_id"] == partner else GLANCED),
            _query(row["system_id"], Relation.HELD, open="true"),
            (partner, relation, is_open) == (row["system_id"], Relation.HELD, "true"),
        )
        for row in rows
    ]
    others = [
        (name, capped(row[name], COUNTED), _query(partner, name))
        for row in rows
        if row["system_id"] == partner
        for name in OTHERS
        if chosen
    ]
    return Holders([each for each in found if each.held.number or each.system_id == partner], partner, others)


def _query(partner: str, relation: str, **more: str) -> str:
    return urlencode({"partner": partner, "relation": relation, **more})


# --- How the changes of a page stand with their partners ---


@dataclass(frozen=True)
class Pair:
    """How one change stands with one system.

    `trouble`: what is wrong with the delivery, None if nothing is. `is_untold`: the Assign that was to tell the holder
    was skipped.
    """

    system_id: str
    relations: list[Relation]
    trouble: State | None = None
    external_id: str = ""
    is_untold: bool = False

    @property
    def chips(self) -> list[State]:
        return [
            *chips(self.system_id, self.relations, is_untold=self.is_untold),
            *([self.trouble] if self.trouble else []),
        ]

    @property
    def in_words(self) -> str:
        """The relation, and what is wrong, in the words of the exported file."""
        words: list[str] = [relation.value for relation in leading(self.relations)]
        words += ["not handed over"] if self.is_untold else []
        return ", ".join([*words, *([self.trouble.short] if self.trouble else [])])


@dataclass
class Overview:
    """How the changes on a page stand with their systems, by the changes' keys."""

    pairs: dict[int, list[Pair]] = field(default_factory=dict)


@dataclass
class _Known:
    """What was read of one change and one system."""

    exchange: ExchangeState = field(default_factory=ExchangeState)
    is_owner: bool = False
    external_id: str | None = None
    trouble: State | None = None
    is_assign_skipped: bool = False


def overview(changes: Iterable[Change]) -> Overview:
    """Reads the overview of these changes with one query."""
    changes = list(changes)
    owners: dict[int, list[int]] = {}
    for change in changes:
        if change.owning_group_id:
            owners.setdefault(change.owning_group_id, []).append(change.pk)
    known: defaultdict[tuple[int, str], _Known] = defaultdict(_Known)
    for row in _rows([change.pk for change in changes], [*owners]):
        kind, key, system_id, assigned, cancelled, rejected, is_refused, is_late, is_skipped, external_id = row
        if kind == "owner":
            for pk in owners[key]:
                known[pk, system_id].is_owner = True
        elif kind == "reference":
            known[key, system_id].external_id = external_id
        else:
            known[key, system_id].exchange = ExchangeState(
                assigned_sequence=assigned, cancelled_sequence=cancelled, rejected_at_sequence=rejected
            )
            known[key, system_id].trouble = trouble(is_refused, is_late)
            known[key, system_id].is_assign_skipped = is_skipped
    result = Overview()
    for (pk, system_id), each in sorted(known.items(), key=lambda item: item[0]):
        found = relations(each.exchange, is_owner=each.is_owner, is_referenced=each.external_id is not None)
        if found or each.trouble:
            is_untold = each.is_assign_skipped and Relation.HELD in found
            pair = Pair(system_id, found, each.trouble, each.external_id or "", is_untold)
            result.pairs.setdefault(pk, []).append(pair)
    return result


def _rows(ids: list[int], groups: list[int]) -> QuerySet[Any, Any]:
    """Exchanges, references and external owners in one UNION, to save queries."""
    number, flag = Cast(Value(None), IntegerField()), Cast(Value(False), BooleanField())
    no_id = Value("", CharField())
    nothing = {
        "external": no_id,
        "assigned": number,
        "cancelled": number,
        "rejected": number,
        "refused": flag,
        "is_late": flag,
        "skipped": flag,
    }

    def rows(queryset: QuerySet, kind: str, key: F, system_id: str, **more: Any) -> QuerySet[Any, Any]:
        values = {"key": key, "system_name": F(system_id), **nothing, **more}
        return (
            queryset.order_by()
            .annotate(kind=Value(kind, CharField()), **values)
            .values_list(
                *("kind", "key", "system_name", "assigned", "cancelled", "rejected"),
                *("refused", "is_late", "skipped", "external"),
            )
        )

    def has(operations: QuerySet[OutgoingOperation]) -> IsNull:
        # Not EXISTS: the database would evaluate it for the operations of all changes at once.
        own = operations.filter(exchange=OuterRef("pk")).order_by()
        return IsNull(Subquery(own.values("pk")[:1]), False)

    skipped = OutgoingOperation.objects.filter(status=DeliveryStatus.SKIPPED)
    exchanges = rows(
        Exchange.objects.filter(change__in=ids),
        "exchange",
        F("change_id"),
        "system__system_id",
        assigned=F("assigned_sequence"),
        cancelled=F("cancelled_sequence"),
        rejected=F("rejected_at_sequence"),
        refused=has(OutgoingOperation.objects.filter(status=DeliveryStatus.REFUSED)),
        is_late=has(long_waiting(timezone.now())),
        skipped=has(skipped.filter(sequence=OuterRef("assigned_sequence"))),
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
