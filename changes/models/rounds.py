"""Rounds of approvals. An approval is of one plan, so altering the plan in ApprovePlan starts a new round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.utils.translation import gettext as _

from changes.actor import current as current_actor
from changes.choices import Phase
from changes.exceptions import Unmet
from changes.workflow import PLAN


class Planned(Protocol):
    """The attributes of a change that this module reads and sets."""

    phase: Any
    approval_round: Any
    plan_altered_by_id: int | None

    @property
    def changed_fields(self) -> Mapping[str, Any]: ...


def person_here() -> int | None:
    """The key of the user who acts now for this desk; None for a partner, and for a shell without a user."""
    actor = current_actor()
    return actor.user.pk if actor.user is not None and actor.system_id is None else None


def altered_plan(change: Planned) -> list[str]:
    """The fields of the plan that this save alters."""
    return [name for name in PLAN if name in change.changed_fields]


def count_rounds(change: Planned, stored: Planned) -> None:
    """Sets the round of approvals, and who altered the plan last, as this save leaves them."""
    is_entered = "phase" in change.changed_fields and change.phase == Phase.APPROVE_PLAN
    altered = altered_plan(change)
    is_new = is_entered or (altered and "phase" not in change.changed_fields and stored.phase == Phase.APPROVE_PLAN)
    change.approval_round = stored.approval_round + 1 if is_new else stored.approval_round
    change.plan_altered_by_id = person_here() if altered else stored.plan_altered_by_id


def unapproved(change: Planned, stored: Planned) -> list[Unmet]:
    """Why this save cannot move the change from ApprovePlan to Deploy: it alters the plan that was approved."""
    if (stored.phase, change.phase) != (Phase.APPROVE_PLAN, Phase.DEPLOY):
        return []
    said = _("Altering the plan starts a new round of approvals: move to Deploy after the new plan is approved.")
    return [Unmet(name, said) for name in altered_plan(change)]
