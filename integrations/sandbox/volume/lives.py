"""The course of a generated change: its phase, its times, and the fields that the phase requires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from changes.choices import PRIORITIES, ChangeType, CompletionCode, Impact, Phase, Risk, Urgency
from changes.workflow import PATHS

from .words import CATEGORIES, SERVICES, Writer, falling

# Changes are created over PAST_DAYS. Of the newest tenth, 18 percent are open; of the others, hardly any.
PAST_DAYS = 400
_NEW, _OPEN_WHEN_NEW, _OPEN_WHEN_OLD = 0.1, 0.18, 0.002
_ABANDONED = 0.08
_LONGEST_LEAD_DAYS = 90

_OPEN_PHASES = {kind: (*path[:-1], *path[:-1], Phase.BACKOUT) for kind, path in PATHS.items()}
_KINDS = (ChangeType.NORMAL,) * 6 + (ChangeType.STANDARD,) * 3 + (ChangeType.EMERGENCY,)
_CODES = (CompletionCode.SUCCESSFUL,) * 8 + (
    CompletionCode.SUCCESSFUL_WITH_PROBLEMS,
    CompletionCode.FAILED,
)
_WITHDRAWN = (CompletionCode.WITHDRAWN, CompletionCode.REJECTED)
_IMPACTS = (Impact.ENTERPRISE, *(Impact.SITE_OR_DEPARTMENT,) * 2, *(Impact.MULTIPLE_USERS,) * 4, Impact.SINGLE_USER)
_URGENCIES = (
    Urgency.TOTAL_LOSS_OF_SERVICE,
    *(Urgency.SEVERE_DISRUPTION,) * 2,
    *(Urgency.SLIGHT_DISRUPTION,) * 5,
    *(Urgency.NO_DISRUPTION,) * 4,
)

# The columns of a change, in the order of `Life.row()`.
COLUMNS = (
    *("id", "title", "description", "change_type", "phase", "category", "service", "reason", "justification", "risk"),
    *("business_impact", "urgency", "priority", "completion_code", "owning_group", "requested_by"),
    *("implementation_plan", "backout_plan", "planned_start", "planned_end", "actual_start", "actual_end"),
    *("approval_round", "version", "created_at", "updated_at"),
)


@dataclass
class Life:
    """One generated change in its final state."""

    pk: int
    title: str
    kind: ChangeType
    phase: Phase
    is_open: bool
    created_at: datetime
    updated_at: datetime
    requested_by: int
    owning_group: int
    is_approved: bool
    fields: dict[str, Any]

    def row(self) -> tuple[Any, ...]:
        return tuple(self.fields[name] for name in COLUMNS)

    def first_row(self) -> tuple[Any, ...]:
        """The row just after the change was created: a title and little more."""
        fields = dict.fromkeys(("description", "reason", "justification", "implementation_plan", "backout_plan"), "")
        empty = ("risk", "completion_code", "planned_start", "planned_end", "actual_start", "actual_end")
        kept = {"phase": Phase.LOG.value, "approval_round": 0, "version": 1, "updated_at": self.created_at}
        first = {**self.fields, **fields, **dict.fromkeys(empty), **kept}
        return tuple(first[name] for name in COLUMNS)


class Lives:
    """Generates lives, oldest first, so that a later change has a higher number."""

    def __init__(self, chance: Random, count: int, now: datetime) -> None:
        self._chance, self._count, self._now = chance, count, now
        self._writer = Writer(chance, count)
        self._services, self._categories = falling(SERVICES), falling(CATEGORIES)

    def life(self, place: int, pk: int, requested_by: int, owning_group: int) -> Life:
        """The change at this place in the order of creation (0 is the oldest)."""
        chance = self._chance
        kind = chance.choice(_KINDS)
        age = 1 - place / self._count
        is_open = chance.random() < (_OPEN_WHEN_NEW if age < _NEW else _OPEN_WHEN_OLD)
        if is_open:
            phase = chance.choice(_OPEN_PHASES[kind])
        else:
            phase = Phase.ABANDON if chance.random() < _ABANDONED else Phase.CLOSE
        created_at = self._now - timedelta(days=PAST_DAYS * age, seconds=60)
        duration = timedelta(days=min(PAST_DAYS * age * chance.random(), 3 + 40 * chance.random()))
        updated_at = self._now - timedelta(hours=70 * chance.random() ** 2) if is_open else created_at + duration
        fields = self._described(place, kind)
        life = Life(
            pk=pk,
            title=fields["title"],
            kind=kind,
            phase=phase,
            is_open=is_open,
            created_at=created_at,
            updated_at=max(updated_at, created_at),
            requested_by=requested_by,
            owning_group=owning_group,
            is_approved=kind != ChangeType.STANDARD
            and phase not in (Phase.LOG, Phase.EVALUATE, Phase.PLAN, Phase.APPROVE_PLAN, Phase.ABANDON),
            fields=fields,
        )
        fields.update(self._progress(life))
        return life

    def _described(self, place: int, kind: ChangeType) -> dict[str, Any]:
        choice, text = self._chance.choice, self._writer.text
        impact, urgency = choice(_IMPACTS), choice(_URGENCIES)
        return {
            "title": self._writer.title(place),
            "description": text(2),
            "change_type": kind.value,
            "category": choice(self._categories),
            "service": choice(self._services),
            "reason": text(1),
            "justification": text(1),
            "business_impact": impact.value,
            "urgency": urgency.value,
            "priority": PRIORITIES[urgency][impact].value,
        }

    def _progress(self, life: Life) -> dict[str, Any]:
        """The fields that depend on the phase of the change."""
        chance = self._chance
        is_planned = life.phase not in (Phase.LOG, Phase.EVALUATE) and life.phase != Phase.ABANDON
        is_done = life.phase in (Phase.BACKOUT, Phase.VALIDATE, Phase.REVIEW, Phase.CLOSE)
        start = end = None
        if is_planned or chance.random() < 0.3:
            begin = self._now if life.is_open and not is_done and life.phase != Phase.DEPLOY else life.created_at
            lead = timedelta(days=_LONGEST_LEAD_DAYS * chance.random() ** 3, minutes=30 * chance.randrange(48))
            start = begin + lead if begin == self._now else min(begin + lead, life.updated_at)
            end = start + timedelta(minutes=30 * chance.randint(1, 16))
        code = None
        if not life.is_open:
            code = chance.choice(_WITHDRAWN if life.phase == Phase.ABANDON else _CODES).value
        return {
            "id": life.pk,
            "phase": life.phase.value,
            "risk": None if life.phase in (Phase.LOG, Phase.EVALUATE) else chance.choice(tuple(Risk)).value,
            "completion_code": code,
            "owning_group": life.owning_group,
            "requested_by": life.requested_by,
            "implementation_plan": self._writer.text(1) if is_planned else "",
            "backout_plan": self._writer.text(1) if is_planned else "",
            "planned_start": start,
            "planned_end": end,
            "actual_start": start if is_done or life.phase == Phase.DEPLOY else None,
            "actual_end": end if is_done else None,
            "approval_round": 1 if life.is_approved or life.phase == Phase.APPROVE_PLAN else 0,
            "version": 2,
            "created_at": life.created_at,
            "updated_at": life.updated_at,
        }
