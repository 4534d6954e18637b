"""How a change stands with a system: the system holds it, is linked to it, cancelled or rejected it.

`relations()` says it of one pair, `related()` finds the changes. Both follow section 3 of the contract, in
docs/rules.md; tests/integrations/test_relations.py holds them together.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, TextChoices
from django.db.models.expressions import Combinable
from django.db.models.lookups import IsNull
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.models import Change
from changes.queries.querysets import ChangeQuerySet
from integrations.models import Exchange, ExternalReference
from integrations.rules import ExchangeState

from .state import BAD, IDLE, OK, State


class Relation(TextChoices):
    HELD = "held", gettext_lazy("Held by")
    LINKED = "linked", gettext_lazy("Linked to")
    CANCELLED = "cancelled", gettext_lazy("Cancelled at")
    REJECTED = "rejected", gettext_lazy("Rejected by")


def relations(exchange: ExchangeState, *, is_owner: bool, is_referenced: bool) -> list[Relation]:
    """What holds of a change and a system. `is_owner`: one of the system's groups owns the change."""
    if exchange.is_rejected:
        return [Relation.REJECTED]
    found = {
        Relation.HELD: is_owner and not exchange.is_cancelled,
        Relation.LINKED: is_owner or is_referenced or exchange.is_assigned,
        Relation.CANCELLED: exchange.is_cancelled,
    }
    return [relation for relation, holds in found.items() if holds]


def leading(found: list[Relation]) -> list[Relation]:
    """The relations that are worth saying: that a system is linked goes without saying beside another one."""
    return [relation for relation in found if relation != Relation.LINKED] or found


def chips(system: str, found: list[Relation], *, is_untold: bool = False) -> list[State]:
    """The relations in words, for a list. `is_untold`: the Assign that was to tell the holder was skipped."""
    names = {"system": system}
    held = State(OK, _("%(system)s holds it") % names)
    words = {
        Relation.HELD: State(BAD, _("%(system)s: not handed over") % names) if is_untold else held,
        Relation.LINKED: State(IDLE, _("%(system)s: linked") % names),
        Relation.CANCELLED: State(IDLE, _("%(system)s: cancelled") % names),
        Relation.REJECTED: State(BAD, _("%(system)s rejected it") % names),
    }
    return [words[relation] for relation in leading(found)]


# --- The same as conditions of the database ---

REJECTED = Q(rejected_at_sequence__isnull=False) & (
    Q(assigned_sequence=None) | Q(assigned_sequence__lte=F("rejected_at_sequence"))
)
ASSIGNED = Q(assigned_sequence__isnull=False) & (
    Q(rejected_at_sequence=None) | Q(assigned_sequence__gt=F("rejected_at_sequence"))
)
CANCELLED = Q(cancelled_sequence__isnull=False) & (
    Q(assigned_sequence=None) | Q(cancelled_sequence__gt=F("assigned_sequence"))
)
_OWNER = "owning_group__external_group__system"
System = int | Combinable


def related(
    changes: ChangeQuerySet, relation: Relation, system: System | None = None, *, is_by_row: bool = True
) -> ChangeQuerySet:
    """The changes of which this relation holds with `system`, or with any. It may be a reference only for HELD.

    `is_by_row` tests each change by itself, which is quick for a system with many changes; otherwise those of the
    system are found first.
    """
    if relation == Relation.HELD:
        return _owned(changes, system).filter(_without(REJECTED | CANCELLED, OuterRef(_OWNER)))
    if relation == Relation.LINKED:
        return changes.filter(_linked(system) if is_by_row else Q(pk__in=_all_linked(system)))
    condition = REJECTED if relation == Relation.REJECTED else CANCELLED & ~REJECTED
    return changes.filter(pk__in=_of(Exchange.objects.filter(condition), system).values("change"))


def _of(rows: QuerySet[Any], system: System | None) -> QuerySet[Any]:
    return (rows if system is None else rows.filter(system=system)).order_by()


def _owned(changes: ChangeQuerySet, system: System | None) -> ChangeQuerySet:
    return changes.filter(**{f"{_OWNER}__isnull": False} if system is None else {_OWNER: system})


def _first(rows: QuerySet[Any]) -> IsNull:
    """Whether there is any such row. Not EXISTS: the database would evaluate it for all changes at once."""
    return IsNull(Subquery(rows.order_by().values("pk")[:1]), False)


def _without(state: Q, system: System) -> Q:
    return ~Q(_first(Exchange.objects.filter(state, change=OuterRef("pk"), system=system)))


def _not_rejected(references: QuerySet[Any]) -> QuerySet[Any]:
    exchanges = Exchange.objects.filter(REJECTED, change=OuterRef("change"), system=OuterRef("system"))
    return references.exclude(Exists(exchanges))


def _linked(system: System | None) -> Q:
    own = Q(**{f"{_OWNER}__isnull": False} if system is None else {_OWNER: system}) & _without(
        REJECTED, OuterRef(_OWNER)
    )
    for rows in (Exchange.objects.filter(ASSIGNED), _not_rejected(ExternalReference.objects.all())):
        own |= Q(_first(_of(rows, system).filter(change=OuterRef("pk"))))
    return own


def _all_linked(system: System | None) -> QuerySet[Any]:
    owned = _owned(Change.objects.order_by(), system).filter(_without(REJECTED, OuterRef(_OWNER)))
    parts = (Exchange.objects.filter(ASSIGNED), _not_rejected(ExternalReference.objects.all()))
    return owned.values("pk").union(*(_of(rows, system).values("change") for rows in parts), all=True)
