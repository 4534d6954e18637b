"""Which changes a partner may reach."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import BaseExpression

from changes.models import Change
from changes.querysets import ChangeQuerySet

from .models import Exchange, ExternalGroup, ExternalReference, ExternalSystem


def reachable(systems: Iterable[ExternalSystem], changes: ChangeQuerySet | None = None) -> ChangeQuerySet:
    """The changes that are linked to one of these systems, or were until it rejected them.

    A change is linked by an Assign, an external reference or its owning group. `changes`: where to look; None for all.
    """
    exchanged = Exchange.objects.filter(change=OuterRef("pk"), system__in=systems).exclude(
        assigned_sequence=None, rejected_at_sequence=None
    )
    referenced = ExternalReference.objects.filter(change=OuterRef("pk"), system__in=systems)
    owned = ExternalGroup.objects.filter(group=OuterRef("owning_group"), system__in=systems)
    links: list[BaseExpression] = [Exists(exchanged), Exists(referenced), Exists(owned)]
    condition = Q()
    for link in links:
        condition |= Q(link)
    return (Change.objects.all() if changes is None else changes).filter(condition)
