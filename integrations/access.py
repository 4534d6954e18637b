"""Which changes a partner may reach."""

from collections.abc import Collection, Iterable

from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import BaseExpression, Combinable
from django.db.models.functions import Coalesce, Greatest

from changes.choices import Visibility
from changes.models import Attachment, Change, Comment
from changes.queries.querysets import ChangeQuerySet

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


def shown_activity(systems: Collection[ExternalSystem]) -> Greatest:
    """The last activity on a change that the partner with these systems may see.

    It is not the change's column, which private comments and other partners' news move too.
    """

    def latest(rows: QuerySet, column: str) -> Combinable:
        of_change = rows.filter(change=OuterRef("pk")).order_by().values("change")
        return Coalesce(Subquery(of_change.annotate(latest=Max(column)).values("latest")), F("updated_at"))

    return Greatest(
        F("updated_at"),
        latest(Comment.objects.filter(visibility=Visibility.PUBLIC), "created_at"),
        latest(Attachment.objects.all(), "created_at"),
        latest(ExternalReference.objects.filter(system__in=systems), "updated_at"),
    )
