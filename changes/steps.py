"""The changes whose next step waits for somebody: a plan for a decision, a change for its deployment."""

from __future__ import annotations

from django.db.models import Exists, F, OuterRef, Q

from . import workflow
from .actor import Person
from .choices import ChangeType, Decision, Phase
from .models import Approval
from .querysets import ChangeQuerySet

_ROUND = Approval.objects.filter(change=OuterRef("pk"), round=OuterRef("approval_round"))
APPROVED, DENIED = (_ROUND.filter(decision=decision) for decision in (Decision.APPROVED, Decision.DENIED))


def waiting_for(person: Person, changes: ChangeQuerySet) -> ChangeQuerySet:
    """The plans that this person may approve now and has not decided on."""
    if not person.has_perm("changes.approve_change"):
        return changes.none()
    has_part = Q()
    for part in workflow.PARTS:
        has_part |= Q(**{part.field: person.pk})
    return changes.filter(phase=Phase.APPROVE_PLAN).exclude(has_part).exclude(Exists(_ROUND.filter(author=person.pk)))


def next_for(person: Person, after: int, changes: ChangeQuerySet) -> int | None:
    """The key of the plan that waits next, from the one with the key `after` on, and then from the first."""
    waiting = waiting_for(person, changes).order_by("pk").values_list("pk", flat=True)
    return waiting.filter(pk__gt=after).first() or waiting.first()


def ready_to_deploy(changes: ChangeQuerySet) -> ChangeQuerySet:
    """The changes that can move to Deploy now: for them `workflow.unmet()` returns nothing."""
    own = Q()
    for part in workflow.PARTS:
        own |= Q(author=OuterRef(part.field))
    is_approved = Exists(APPROVED) & ~Exists(DENIED) & ~Exists(APPROVED.filter(own))
    is_planned = Q(
        change_type=ChangeType.STANDARD,
        implementation_plan__regex=r"\S",
        backout_plan__regex=r"\S",
        planned_start__lt=F("planned_end"),
    )
    return changes.filter(Q(is_approved, phase=Phase.APPROVE_PLAN) | Q(is_planned, phase=Phase.PLAN))
