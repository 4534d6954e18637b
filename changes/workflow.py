"""The change workflow as a table: the FSM, the pages, the API and the documentation read it from here.

`TRANSITIONS` lists every transition, `conditions()` what must hold for one. A change moves only through
`Change.move_to()`, whose FSM methods are built from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .choices import ChangeType, CompletionCode, Decision, Phase
from .exceptions import Unmet
from .validators import is_blank

PATHS = {
    ChangeType.NORMAL: (
        Phase.LOG,
        Phase.EVALUATE,
        Phase.PLAN,
        Phase.APPROVE_PLAN,
        Phase.DEPLOY,
        Phase.VALIDATE,
        Phase.REVIEW,
        Phase.CLOSE,
    ),
    ChangeType.STANDARD: (Phase.LOG, Phase.PLAN, Phase.DEPLOY, Phase.VALIDATE, Phase.CLOSE),
    ChangeType.EMERGENCY: (
        Phase.LOG,
        Phase.APPROVE_PLAN,
        Phase.DEPLOY,
        Phase.VALIDATE,
        Phase.REVIEW,
        Phase.CLOSE,
    ),
}
_BACKOUT = ((Phase.DEPLOY, Phase.BACKOUT), (Phase.VALIDATE, Phase.BACKOUT), (Phase.BACKOUT, Phase.REVIEW))
SIDE_TRANSITIONS = {
    ChangeType.NORMAL: ((Phase.APPROVE_PLAN, Phase.PLAN), *_BACKOUT),
    ChangeType.STANDARD: (*_BACKOUT, (Phase.REVIEW, Phase.CLOSE)),
    ChangeType.EMERGENCY: ((Phase.APPROVE_PLAN, Phase.LOG), *_BACKOUT),
}
ABANDON_FROM = {
    ChangeType.NORMAL: (Phase.LOG, Phase.EVALUATE, Phase.PLAN, Phase.APPROVE_PLAN),
    ChangeType.STANDARD: (Phase.LOG, Phase.PLAN),
    ChangeType.EMERGENCY: (Phase.LOG, Phase.APPROVE_PLAN),
}


def _table(change_type: ChangeType) -> dict[Phase, tuple[Phase, ...]]:
    steps = [
        *pairwise(PATHS[change_type]),
        *SIDE_TRANSITIONS[change_type],
        *((source, Phase.ABANDON) for source in ABANDON_FROM[change_type]),
    ]
    return {phase: tuple(target for source, target in steps if source == phase) for phase in Phase}


TRANSITIONS: dict[ChangeType, dict[Phase, tuple[Phase, ...]]] = {kind: _table(kind) for kind in ChangeType}


def targets(change_type: str, phase: str) -> tuple[Phase, ...]:
    """The phases that one transition leads to, the next of the path first and `Abandon` last."""
    return TRANSITIONS[ChangeType(change_type)][Phase(phase)]


def sources(target: Phase) -> list[Phase]:
    """The phases from which some change type has a transition to `target`."""
    return [phase for phase in Phase if any(target in table[phase] for table in TRANSITIONS.values())]


# Altering one of these fields in ApprovePlan starts a new round of approvals.
PLAN = ("implementation_plan", "backout_plan", "planned_start", "planned_end", "risk", "change_type")


class Decided(Protocol):
    """The attributes of an approval that the workflow reads."""

    @property
    def approver_id(self) -> int: ...
    @property
    def decision(self) -> str: ...


class Record(Protocol):
    """The attributes of a change that the workflow reads; `_filled()` reads more fields by their names."""

    @property
    def change_type(self) -> str: ...
    @property
    def phase(self) -> str: ...
    @property
    def completion_code(self) -> str | None: ...
    @property
    def requested_by_id(self) -> int | None: ...
    @property
    def created_by_id(self) -> int | None: ...
    @property
    def plan_altered_by_id(self) -> int | None: ...
    @property
    def planned_start(self) -> datetime | None: ...
    @property
    def planned_end(self) -> datetime | None: ...
    def current_approvals(self) -> Sequence[Decided]: ...


@dataclass(frozen=True)
class Condition:
    """A condition of a transition. `field` is the field to correct; `message` is in the language of the page."""

    field: str
    message: str | Promise
    holds: Callable[[Record], bool]


@dataclass(frozen=True)
class Part:
    """A part in a change that bars a person from approving it.

    `field` is the attribute with the person's key. `rule` is the text for a refusal, `told` the one for that person.
    """

    field: str
    rule: str | Promise
    told: str | Promise


PARTS = (
    Part(
        "requested_by_id",
        _("Nobody may approve a change that they requested."),
        _("You requested this change, so you may not approve it. You may deny it."),
    ),
    Part(
        "created_by_id",
        _("Nobody may approve a change that they created."),
        _("You created this change, so you may not approve it. You may deny it."),
    ),
    Part(
        "plan_altered_by_id",
        _("Nobody may approve a plan that they were the last to alter."),
        _("You were the last to alter this plan, so you may not approve it. You may deny it."),
    ),
)


def part_of(person: int, change: Record) -> Part | None:
    """The part in `change` that bars the user with this key from approving it; None if the user may approve it."""
    return next((part for part in PARTS if getattr(change, part.field) == person), None)


def _filled(field: str, message: str | Promise) -> Condition:
    def holds(change: Record) -> bool:
        value = getattr(change, field)
        return not is_blank(value) if isinstance(value, str) else value is not None

    return Condition(field, message, holds)


def _planned_in_order(change: Record) -> bool:
    start, end = change.planned_start, change.planned_end
    return start is None or end is None or start < end


def _decided(change: Record, decision: Decision) -> list[int]:
    """The ids of the approvers with this decision in the current round."""
    return [approval.approver_id for approval in change.current_approvals() if approval.decision == decision]


def _is_withdrawn_or_rejected(change: Record) -> bool:
    return change.completion_code in (CompletionCode.WITHDRAWN, CompletionCode.REJECTED)


_LEAVING_LOG = (
    _filled("title", _("Title must be set.")),
    _filled("description", _("Description must be set.")),
    _filled("requested_by", _("Requested by must be set.")),
    _filled("reason", _("Reason must be set.")),
    _filled("justification", _("Justification must be set.")),
    _filled("category", _("Category must be set.")),
    _filled("service", _("Service must be set.")),
)
_LEAVING_EVALUATE = (
    _filled("risk", _("Risk must be set.")),
    _filled("owning_group", _("Owning group must be set.")),
)
_LEAVING_DEPLOY = (_filled("actual_start", _("Actual start must be set.")),)
_PLANNED = (
    _filled("implementation_plan", _("Implementation plan must be set.")),
    _filled("backout_plan", _("Backout plan must be set.")),
    _filled("planned_start", _("Planned start must be set.")),
    _filled("planned_end", _("Planned end must be set.")),
    Condition("planned_end", _("Planned end must be after planned start."), _planned_in_order),
)
_APPROVED = (
    Condition(
        "approvals",
        _("At least one approval in the current round is needed."),
        lambda change: bool(_decided(change, Decision.APPROVED)),
    ),
    Condition(
        "approvals",
        _("The plan was denied in the current round: send it back for rework."),
        lambda change: not _decided(change, Decision.DENIED),
    ),
    Condition(
        "approvals",
        _("Nobody may approve a change or a plan of their own: send it back for rework."),
        lambda change: not any(part_of(person, change) for person in _decided(change, Decision.APPROVED)),
    ),
)
_CLOSING = (
    _filled("completion_code", _("Completion code must be set.")),
    Condition(
        "completion_code",
        _("Completion code must be neither Withdrawn nor Rejected: such a change is abandoned, not closed."),
        lambda change: not _is_withdrawn_or_rejected(change),
    ),
)
_ABANDONING = (
    Condition("completion_code", _("Completion code must be Withdrawn or Rejected."), _is_withdrawn_or_rejected),
)

LEAVING = {Phase.LOG: _LEAVING_LOG, Phase.EVALUATE: _LEAVING_EVALUATE, Phase.DEPLOY: _LEAVING_DEPLOY}
ENTERING = {
    (ChangeType.NORMAL, Phase.APPROVE_PLAN): _PLANNED,
    (ChangeType.STANDARD, Phase.DEPLOY): _PLANNED,
    **{(kind, Phase.CLOSE): _CLOSING for kind in ChangeType},
    **{(kind, Phase.ABANDON): _ABANDONING for kind in ChangeType},
}
BETWEEN = {(Phase.APPROVE_PLAN, Phase.DEPLOY): _APPROVED}


def conditions(change_type: str, source: str, target: str) -> tuple[Condition, ...]:
    """The conditions of this transition. Conditions for leaving a phase do not apply to `Abandon`."""
    kind, start, end = ChangeType(change_type), Phase(source), Phase(target)
    leaving = () if end == Phase.ABANDON else LEAVING.get(start, ())
    return (*leaving, *ENTERING.get((kind, end), ()), *BETWEEN.get((start, end), ()))


def unmet(change: Record, target: str) -> list[Unmet]:
    """Every condition for moving `change` to `target` that is not met now."""
    needed: Iterable[Condition] = conditions(change.change_type, change.phase, target)
    return [Unmet(item.field, str(item.message)) for item in needed if not item.holds(change)]


def permission(target: str) -> str:
    """The permission that a member of staff needs for a transition to `target`."""
    return "changes.abandon_change" if target == Phase.ABANDON else "changes.change_change"
