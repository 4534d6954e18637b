"""The changes whose next step waits for somebody: a plan for a decision, a change for its deployment."""

from __future__ import annotations

from django.db.models import Exists, F, OuterRef, Q

from . import workflow
from .actor import Person
from .choices import ChangeType, Decision, Phase, Priority
from .models import Approval, Change
from .queries.querysets import PRIORITY_RANK, ChangeQuerySet
from .validators import VISIBLE

_ROUND = Approval.objects.filter(change=OuterRef("pk"), round=OuterRef("approval_round"))
_APPROVED, _DENIED = (_ROUND.filter(decision=decision) for decision in (Decision.APPROVED, Decision.DENIED))
# A completion code says how a change ended, such as Withdrawn: its next step waits for nobody.
_GOES_ON = Q(completion_code=None)


def waiting_for(person: Person, changes: ChangeQuerySet) -> ChangeQuerySet:
    """The plans that wait for a decision that this person may take.

    One that somebody has approved lacks nothing, and one that somebody has denied waits for rework.
    """
    if not person.has_perm("changes.approve_change"):
        return changes.none()
    has_part = Q()
    for part in workflow.PARTS:
        has_part |= Q(**{part.field: person.pk})
    return changes.filter(_GOES_ON, phase=Phase.APPROVE_PLAN).exclude(has_part).exclude(Exists(_ROUND))


def by_urgency(waiting: ChangeQuerySet) -> ChangeQuerySet:
    """The most urgent first, then the oldest: the order of the desk, of its list, and of "Approve and next"."""
    return waiting.order_by(PRIORITY_RANK, "pk")


def next_for(person: Person, after: Change, changes: ChangeQuerySet) -> str | None:
    """The number of the plan that waits next, from that of the change `after` on, and then from the first."""
    waiting = by_urgency(waiting_for(person, changes))
    rank = Priority.values.index(after.priority)
    behind = waiting.alias(rank=PRIORITY_RANK).filter(Q(rank__gt=rank) | Q(rank=rank, pk__gt=after.pk))
    return behind.values_list("number", flat=True).first() or waiting.values_list("number", flat=True).first()


def ready_to_deploy(changes: ChangeQuerySet) -> ChangeQuerySet:
    """The changes that can move to Deploy now: for them `workflow.unmet()` returns nothing, and nobody ended them."""
    own = Q()
    for part in workflow.PARTS:
        own |= Q(author=OuterRef(part.field))
    is_approved = Exists(_APPROVED) & ~Exists(_DENIED) & ~Exists(_APPROVED.filter(own))
    is_planned = Q(
        change_type=ChangeType.STANDARD,
        implementation_plan__regex=VISIBLE,
        backout_plan__regex=VISIBLE,
        planned_start__lt=F("planned_end"),
    )
    return changes.filter(_GOES_ON).filter(Q(is_approved, phase=Phase.APPROVE_PLAN) | Q(is_planned, phase=Phase.PLAN))
