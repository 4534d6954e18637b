"""Moves of a change through the workflow: the FSM's methods, built from the table of transitions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils import timezone
from django_fsm import transition

from changes import workflow
from changes.choices import Phase
from changes.exceptions import ConditionsUnmet, NoTransition


def _enter(target: Phase) -> Any:
    """The FSM method that moves a change to `target`, from wherever the workflow table allows it."""

    def in_table(change: Any) -> bool:
        return target in workflow.targets(change.change_type, change.phase)

    def conditions_met(change: Any) -> bool:
        return not workflow.unmet(change, target)

    def enter(change: Movable) -> None:
        change._passing(target)

    enter.__name__ = f"to_{target.name.lower()}"
    enter.__doc__ = f"Moves the change to {target.value}; `save()` then stores it."
    return transition(
        field="phase", source=workflow.sources(target), target=target.value, conditions=[in_table, conditions_met]
    )(enter)


class Movable(models.Model):
    """A model with a phase, which only a transition alters."""

    if TYPE_CHECKING:
        change_type: Any
        phase: Any
        completion_code: Any
        requested_by_id: int | None
        created_by_id: int | None
        plan_altered_by_id: int | None
        planned_start: Any
        planned_end: Any
        actual_start: datetime | None
        actual_end: datetime | None
        approval_round: Any

        def current_approvals(self) -> Sequence[workflow.Decided]: ...

    class Meta:
        abstract = True

    to_log = _enter(Phase.LOG)
    to_evaluate = _enter(Phase.EVALUATE)
    to_plan = _enter(Phase.PLAN)
    to_approve_plan = _enter(Phase.APPROVE_PLAN)
    to_deploy = _enter(Phase.DEPLOY)
    to_backout = _enter(Phase.BACKOUT)
    to_validate = _enter(Phase.VALIDATE)
    to_review = _enter(Phase.REVIEW)
    to_close = _enter(Phase.CLOSE)
    to_abandon = _enter(Phase.ABANDON)

    def move_to(self, target: str) -> None:
        """Makes the transition to `target`; call `save()` to keep it.

        Raises `NoTransition`, or `ConditionsUnmet` with every unmet condition.
        """
        possible = workflow.targets(self.change_type, self.phase)
        if target not in possible:
            raise NoTransition(self.change_type, self.phase, target, possible)
        if missing := workflow.unmet(self, target):
            raise ConditionsUnmet(target, missing)
        getattr(self, f"to_{Phase(target).name.lower()}")()

    def _passing(self, target: Phase) -> None:
        """Fills in the times and the round that belong to leaving the current phase and entering `target`."""
        now = timezone.now()
        if self.phase == Phase.DEPLOY and self.actual_end is None:
            self.actual_end = max(now, self.actual_start or now)
        if target == Phase.DEPLOY and self.actual_start is None:
            self.actual_start = min(now, self.actual_end or now)
        if target == Phase.APPROVE_PLAN:
            self.approval_round += 1
