"""Finding the change that an address names, with what its page needs of its past."""

from __future__ import annotations

from django.db.models import Case, Count, IntegerField, Max, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.http import Http404
from django.utils.translation import gettext as _

from changes.actor import Person
from changes.choices import Phase
from changes.models import Approval, Change


def find_key(user: Person, number: str) -> int:
    """The key of the change with this number. Raises Http404 as `find()` does."""
    key = Change.objects.visible_to(user).filter(number=number).values_list("pk", flat=True).first()
    if key is None:
        raise Http404(_("There is no change %(number)s.") % {"number": number})
    return key


def find(user: Person, number: str) -> Change:
    """The change with this number, with the annotations of `with_past()`. Raises Http404."""
    visible = Change.objects.visible_to(user).with_people().select_related("plan_altered_by")
    change = with_past(visible).filter(number=number).first()
    if change is None:
        raise Http404(_("There is no change %(number)s.") % {"number": number})
    return change


def with_past(changes: QuerySet[Change]) -> QuerySet[Change]:
    """Annotates changes with facts from their history.

    `owned_since`: the time when the current owning group got the change. `phases_seen`: a bit for each phase that it
    has been in. `decided`: the number of decisions on its plan.
    """
    history = Change.history.model.objects.filter(id=OuterRef("pk")).order_by()
    # No group is compared as 0, because a comparison with NULL is never true.
    owner = Coalesce(OuterRef(OuterRef("owning_group_id")), 0)
    of_others = (
        Change.history.model.objects.filter(id=OuterRef(OuterRef("pk")))
        .annotate(group=Coalesce("owning_group_id", 0))
        .exclude(group=owner)
        .order_by()
        .values("id")
        .annotate(last=Max("version"))
    )
    since_then = history.filter(version__gt=Coalesce(Subquery(of_others.values("last")), 0)).order_by("version")
    bits = Case(*(When(phase=phase, then=Value(1 << place)) for place, phase in enumerate(Phase)))
    seen = history.values("id").annotate(bits=Sum(bits, distinct=True, output_field=IntegerField()))
    decisions = Approval.objects.filter(change=OuterRef("pk")).order_by().values("change").annotate(number=Count("pk"))
    return changes.annotate(
        owned_since=Subquery(since_then.values("history_date")[:1]),
        phases_seen=Subquery(seen.values("bits")),
        decided=Coalesce(Subquery(decisions.values("number")), 0),
    )
