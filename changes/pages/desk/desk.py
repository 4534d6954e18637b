"""The desk: the changes of a person's groups, and the plans that wait for their decision.

A desk with a million changes is as quick as a small one: counts stop at a cap, and rows come from an index in their
order. The exchange adds its parts in integrations/pages/desk_parts.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import router
from django.db.models import CharField, OuterRef, Value
from django.db.models.functions import Cast, Concat
from django.urls import reverse

from changes import steps
from changes.choices import METAPHASES, Metaphase, Phase
from changes.models import Change
from changes.pages.list.filters import MINE
from changes.queries.querysets import PRIORITY_RANK
from changes.queries.subqueries import CappedCount, Count, Joined, capped

from . import charts

OPEN_PHASES = [phase for phase in Phase if not phase.is_final]
OPEN_METAPHASES = list(dict.fromkeys(METAPHASES[phase] for phase in OPEN_PHASES))
# The number of changes shown in each metaphase, and the cap of the count in each group and phase.
SHOWN, COUNTED = 6, 1000
# The cap of the count of all changes in a phase.
ALL_COUNTED = 10_000
GROUP = ("support_groups__pk", "support_groups__name")
APPROVALS_SHOWN, APPROVALS_COUNTED = 6, 50


@dataclass(frozen=True)
class Column:
    """The open changes of a person's groups in one metaphase: the most urgent, and of these the oldest, first."""

    metaphase: Metaphase
    count: Count
    changes: list[Change]
    href: str


@dataclass(frozen=True)
class _Held:
    """The changes of one group in one phase: their count, and the first ones in order as (priority rank, key)."""

    group: int
    phase: Phase
    count: int
    first: list[tuple[int, int]]


class Desk:
    """The changes on one person's desk. Takes three queries."""

    def __init__(self, user: User) -> None:
        self.user = user

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        """One row for each group of the person; one row without a group if they have none."""
        held, everything = Change.objects.filter(owning_group=OuterRef("support_groups__pk")), Change.objects.all()
        place = Concat(Cast(PRIORITY_RANK, CharField()), Value(":"), Cast("pk", CharField()), output_field=CharField())
        columns: dict[str, Any] = {}
        for phase in OPEN_PHASES:
            own = held.filter(phase=phase)
            columns[f"all_{phase.name}"] = CappedCount(everything.filter(phase=phase), ALL_COUNTED)
            columns[f"count_{phase.name}"] = CappedCount(own, COUNTED)
            columns[f"first_{phase.name}"] = Joined(own.order_by(PRIORITY_RANK, "pk"), place, SHOWN)
        # The counts read the changes, and take by far the most of this query.
        people = get_user_model()._default_manager.using(router.db_for_read(Change)).filter(pk=self.user.pk)
        return list(people.order_by("support_groups__name").values(*GROUP).annotate(**columns))

    @cached_property
    def _held(self) -> list[_Held]:
        return [
            _Held(row["support_groups__pk"], phase, row[f"count_{phase.name}"], _places(row[f"first_{phase.name}"]))
            for row in self._rows
            for phase in OPEN_PHASES
            if row["support_groups__pk"] is not None
        ]

    @property
    def group_names(self) -> list[str]:
        return [row["support_groups__name"] for row in self._rows if row["support_groups__name"]]

    @property
    def has_groups(self) -> bool:
        return bool(self._held)

    @property
    def is_of_several_groups(self) -> bool:
        return len(self._rows) > 1

    @cached_property
    def columns(self) -> list[Column]:
        first = {metaphase: self._first(metaphase) for metaphase in OPEN_METAPHASES}
        wanted = [pk for keys in first.values() for pk in keys]
        shown = ("number", "title", "phase", "priority", "created_at", "owning_group__name")
        rows = Change.objects.filter(pk__in=wanted).select_related("owning_group").only(*shown)
        found = {change.pk: change for change in rows} if wanted else {}
        return [
            Column(metaphase, self._count(metaphase), [found[pk] for pk in keys if pk in found], self._href(metaphase))
            for metaphase, keys in first.items()
        ]

    @property
    def is_empty(self) -> bool:
        return not any(column.count.number for column in self.columns)

    def _of(self, metaphase: Metaphase) -> list[_Held]:
        return [held for held in self._held if held.phase.metaphase == metaphase]

    def _first(self, metaphase: Metaphase) -> list[int]:
        return [pk for _, pk in sorted(place for held in self._of(metaphase) for place in held.first)[:SHOWN]]

    def _count(self, metaphase: Metaphase) -> Count:
        counts = [held.count for held in self._of(metaphase)]
        return Count(sum(min(count, COUNTED) for count in counts), any(count > COUNTED for count in counts))

    def _href(self, metaphase: Metaphase) -> str:
        query = {"group": MINE, "metaphase": metaphase.value, "open": "true"}
        return f"{reverse('changes:list')}?{urlencode(query)}"

    # --- Plans that wait for a decision ---

    @property
    def may_approve(self) -> bool:
        return self.user.has_perm("changes.approve_change")

    @cached_property
    def _to_approve(self) -> list[Change]:
        if not self.may_approve:
            return []  # saves the query
        shown = ("number", "title", "phase", "priority", "created_at", "planned_start", "owning_group__name")
        changes = steps.by_urgency(steps.waiting_for(self.user, Change.objects.all()))
        return list(changes.select_related("owning_group").only(*shown)[: APPROVALS_COUNTED + 1])

    @property
    def to_approve(self) -> list[Change]:
        """The most urgent plans that wait for a decision that this person may take."""
        return self._to_approve[:APPROVALS_SHOWN]

    @property
    def to_approve_count(self) -> Count:
        return capped(len(self._to_approve), APPROVALS_COUNTED)

    # --- The chart ---

    @property
    def has_open_changes(self) -> bool:
        """Whether there is any open change, of whichever group."""
        return any(bar.total.number for bar in self.phases)

    @property
    def phases_height(self) -> int:
        return len(OPEN_PHASES) * charts.ROW

    @cached_property
    def phases(self) -> list[charts.PhaseBar]:
        """The open changes by phase: those of the person's groups, and all."""
        everything = self._rows[0] if self._rows else {}
        counts = []
        for phase in OPEN_PHASES:
            own = sum(min(held.count, COUNTED) for held in self._held if held.phase == phase)
            total = capped(everything.get(f"all_{phase.name}", 0), ALL_COUNTED)
            counts.append((phase, min(own, total.number), total))
        return charts.phase_bars(
            [(phase.value, str(phase.label), phase.metaphase.lower(), own, total) for phase, own, total in counts]
        )


def _places(joined: str | None) -> list[tuple[int, int]]:
    pairs = (place.split(":") for place in joined.split(",")) if joined else ()
    return [(int(rank), int(pk)) for rank, pk in pairs]
