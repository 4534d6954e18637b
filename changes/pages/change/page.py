"""The content of the page of one change. The number of queries does not depend on the number of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.utils import timezone
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from changes import audit, workflow
from changes.actor import Person
from changes.choices import ChangeType, Decision, Phase, Role
from changes.exceptions import FieldEdit, StaleChange, Unmet
from changes.models import Approval, Change
from changes.pages.overlaps import Overlaps, overlaps_of
from changes.queries.keyset import MOMENT
from changes.setup.roles import PERMISSIONS
from changes.texts import moments

from . import news as open_page
from . import path, timeline_kinds
from .forms import ApprovalForm
from .timeline import SHOWS, Show, Timeline

# The phases in which a planned window that has ended is overdue.
BEFORE_DEPLOYED = {Phase.LOG, Phase.EVALUATE, Phase.PLAN, Phase.APPROVE_PLAN, Phase.DEPLOY}
# The fields that a transition may alter.
_MOVED = {"phase", "actual_start", "actual_end", "approval_round", "completion_code"}


def refuse_stale(change: Change, seen: str | None) -> None:
    """Raises StaleChange unless `seen`, the version that the person's page showed, is the current one."""
    try:
        version = int(seen or "")
    except (TypeError, ValueError):
        version = 0
    if version != change.version:
        raise StaleChange(change.number, change.version, change.edits_since(version))


def own_save(change: Change, user: Person, seen: str | None) -> dict[str, FieldEdit]:
    """The edits of the one save since the version `seen`, if `user` made it; else an empty dict.

    A second click on a form sends the same version as the first click, which must not count as a conflict.
    """
    if str(seen) != str(change.version - 1):
        return {}
    edits = change.edits_since(change.version - 1)
    return edits if all(edit.user == user.get_username() for edit in edits.values()) else {}


def is_moved_already(change: Change, user: Person, seen: str | None, target: str) -> bool:
    """Whether `user` has just made this transition, with no edits other than those that it makes itself."""
    edits = own_save(change, user, seen)
    return change.phase == target and "phase" in edits and edits.keys() <= _MOVED


def stale_in_words(stale: StaleChange, what_happened: str) -> str:
    """The message for a person who acted on an outdated page."""
    edits = audit.edits_in_words(stale.edits)
    who = sorted({edit.user for edit in edits if edit.user})
    names = ", ".join(edit.label.lower() for edit in edits) or _("and changed back")
    return _(
        "%(number)s was changed by %(who)s since you opened the page (%(fields)s). %(what_happened)s Look at it again."
    ) % {
        "number": stale.number,
        "who": get_text_list(who, _("and")) or _("somebody else"),
        "fields": names,
        "what_happened": what_happened,
    }


@dataclass(frozen=True)
class StaleNotice:
    """A notice that the page was outdated: the edits of somebody else. The person's action was not carried out."""

    text: str
    edits: list[audit.Edit]


@dataclass(frozen=True)
class Move:
    """A transition from the current phase. It is possible if `unmet` is empty and `is_allowed`."""

    target: Phase
    unmet: list[Unmet]
    is_allowed: bool
    roles: str
    label: str

    @property
    def is_possible(self) -> bool:
        return self.is_allowed and not self.unmet

    @property
    def is_abandon(self) -> bool:
        """Whether it must be confirmed first: Abandon ends the change and may be sent to partners."""
        return self.target == Phase.ABANDON


def roles_for(permission: str) -> str:
    """The roles that hold this permission by default, in words. A hint for the page that needs no query."""
    return get_text_list([role.value for role in Role if permission in PERMISSIONS[role]], _("or"))


def _move_label(change: Change, target: Phase) -> str:
    if change.phase == Phase.APPROVE_PLAN and target in (Phase.PLAN, Phase.LOG):
        return _("Send back to %(phase)s for rework") % {"phase": target.label}
    return _("Move to %(phase)s") % {"phase": target.label}


def moves(change: Change, user: Person) -> list[Move]:
    """The transitions from the current phase: the next of the path first, Abandon last."""
    result = []
    for target in workflow.targets(change.change_type, change.phase):
        permission = workflow.permission(target)
        result.append(
            Move(
                target=target,
                unmet=workflow.unmet(change, target),
                is_allowed=user.has_perm(permission),
                roles=roles_for(permission),
                label=_move_label(change, target),
            )
        )
    return result


def _moment(text: str) -> datetime | None:
    try:
        return MOMENT.read(text) if text else None
    except (ValueError, OverflowError):
        return None


class ChangePage:
    """The parts of one change's page for one person.

    `query` has the parameters of the address: `show` and `after` for the timeline. `forms` are submitted forms with
    their errors, which replace the empty ones.
    """

    def __init__(self, change: Change, user: Any, query: Mapping[str, str], **forms: Any) -> None:
        self.change, self.user = change, user
        self.forms = forms
        self.approval_form = forms.get("approval_form") or ApprovalForm()
        self.stale: StaleNotice | None = forms.get("stale")
        # Until when the person had seen the change before this page was opened. A poll sends it along.
        self.seen_until = _moment(query.get("seen", ""))
        self.timeline = Timeline(
            change,
            query.get("show", ""),
            query.get("after", ""),
            {
                timeline_kinds.COMMENT: lambda keys: self._added[timeline_kinds.COMMENT],
                timeline_kinds.ATTACHMENT: lambda keys: self._added[timeline_kinds.ATTACHMENT],
                timeline_kinds.APPROVAL: lambda keys: self._added[timeline_kinds.APPROVAL],
                timeline_kinds.SAVE: lambda keys: {
                    timeline_kinds.padded(number): save for number, save in self._saves.items()
                },
            },
        )

    # --- The path through the phases ---

    @cached_property
    def stages(self) -> list[path.Stage]:
        seen = self.change.phases_seen or 0  # type: ignore[attr-defined]
        visited = {phase for place, phase in enumerate(Phase) if seen >> place & 1}
        return path.stages(self.change.change_type, self.change.phase, visited)

    @cached_property
    def moves(self) -> list[Move]:
        self.change.known_approvals = self.approvals
        return moves(self.change, self.user)

    @property
    def next_move(self) -> Move | None:
        """The transition that the page offers first: along the path, or back for rework if the plan was denied."""
        if not self.moves:
            return None
        return self.moves[1] if self.is_denied else self.moves[0]

    @property
    def first_missing(self) -> str:
        """The first field that the next move still needs; "" if it needs none."""
        unmet = self.next_move.unmet if self.next_move else []
        return next((item.field for item in unmet if item.field != "approvals"), "")

    @property
    def other_moves(self) -> list[Move]:
        return [move for move in self.moves if move is not self.next_move]

    @property
    def owned_for(self) -> str:
        """How long the current owning group has had the change, in words."""
        since: datetime | None = self.change.owned_since  # type: ignore[attr-defined]
        return moments.elapsed(since) if since else ""

    @property
    def window(self) -> str:
        """The planned window relative to now, in words; "" if it is incomplete."""
        start, end, now = self.change.planned_start, self.change.planned_end, timezone.now()
        if start is None or end is None:
            return ""
        if now < start:
            return _("starts in %(time)s") % {"time": moments.remaining(start, now)}
        if now >= end and self.is_overdue:
            return _("overdue for %(time)s") % {"time": moments.elapsed(end, now)}
        if now < end:
            return _("now, ends in %(time)s") % {"time": moments.remaining(end, now)}
        return _("ended %(time)s ago") % {"time": moments.elapsed(end, now)}

    @property
    def early(self) -> str:
        """That the next step would deploy the change before its planned window; "" if not."""
        move, start, now = self.next_move, self.change.planned_start, timezone.now()
        if move is None or move.target != Phase.DEPLOY or start is None or start <= now:
            return ""
        return _("The planned window has not begun: it starts in %(time)s.") % {"time": moments.remaining(start, now)}

    @property
    def is_overdue(self) -> bool:
        """Whether the planned window has ended, and the change is not deployed yet."""
        end = self.change.planned_end
        return end is not None and end <= timezone.now() and Phase(self.change.phase) in BEFORE_DEPLOYED

    @property
    def can_abandon(self) -> bool:
        return any(move.is_abandon for move in self.moves)

    # --- Fields that are still empty, by their labels ---

    @property
    def empty_texts(self) -> list[str]:
        return self._empty("description", "reason", "justification")

    @property
    def empty_details(self) -> list[str]:
        return self._empty("requested_by", "service", "category", "risk")

    @property
    def empty_plan(self) -> list[str]:
        """Without the actual times, which the workflow sets."""
        return self._empty("planned_start", "planned_end", "implementation_plan", "backout_plan")

    def _empty(self, *names: str) -> list[str]:
        return [audit.label(name) for name in names if not getattr(self.change, audit.attname(name))]

    @cached_property
    def overlaps(self) -> Overlaps:
        return overlaps_of(self.change)

    # --- Timeline and history ---

    @property
    def version(self) -> str:
        """The version of everything that updates itself on the page: the record, its decisions, the timeline, and what
        other apps show. A page of older entries keeps them, so their stamp is left out."""
        stamp = "" if self.timeline.after else self.timeline.stamp
        seen = f"{self.change.decided}-{self.overlaps.version}"  # type: ignore[attr-defined]
        return open_page.version_of(f"{self.change.version}.{seen}.{stamp}", self.change)

    def version_with_timeline(self, shown: str) -> str:
        """The version of a page of version `shown` after only its timeline was updated.

        Its record and decisions keep their version, so the next poll still brings their news.
        """
        own = open_page.own_version(shown)
        others = shown.removeprefix(own)
        record, dot, _timeline = own.rpartition(".")
        return f"{record}.{self.timeline.stamp}{others}" if dot else self.version

    @property
    def shown_until(self) -> datetime:
        """The last activity that the page shows."""
        return max([self.change.last_activity_at, *(key.moment for key in self.timeline.keys)])

    @property
    def seen(self) -> str:
        """`seen_until` for an address; "" if the person had never looked."""
        return MOMENT.write(self.seen_until) if self.seen_until else ""

    @cached_property
    def news(self) -> set[str]:
        """The anchors of the entries that are new since the person looked, without their own."""
        if self.seen_until is None:
            return set()
        own = (self.user.pk, self.user.get_username())
        return {
            entry.anchor
            for entry in self.timeline.entries
            if entry.kind != "outgoing"  # what was sent follows from the others
            and entry.moment > self.seen_until
            and getattr(entry.item, "author_id", None) != own[0]
            and getattr(entry.item, "user", None) != own[1]
        }

    @property
    def shows(self) -> list[Show]:
        """The filters of the timeline."""
        return [*SHOWS.values()]

    @cached_property
    def _added(self) -> timeline_kinds.Added:
        timeline = self.timeline
        return timeline_kinds.added(
            self.change, timeline.keys_of(timeline_kinds.COMMENT), timeline.keys_of(timeline_kinds.ATTACHMENT)
        )

    @cached_property
    def _saves(self) -> dict[int, audit.Save]:
        in_timeline = timeline_kinds.numbers(self.timeline.keys_of(timeline_kinds.SAVE))
        return audit.saves_of(self.change, range(0), in_timeline)

    # --- Approvals ---

    @cached_property
    def approvals(self) -> list[Approval]:
        """All decisions, the latest round first."""
        return sorted(
            self._added[timeline_kinds.APPROVAL].values(), key=lambda approval: (-approval.round, approval.pk)
        )

    @property
    def current_approvals(self) -> list[Approval]:
        return [item for item in self.approvals if item.round == self.change.approval_round]

    @property
    def earlier_approvals(self) -> list[Approval]:
        return [item for item in self.approvals if item.round != self.change.approval_round]

    @property
    def is_denied(self) -> bool:
        """Whether the plan was denied in the current round, so that it needs rework."""
        return self.change.phase == Phase.APPROVE_PLAN and any(
            approval.decision == Decision.DENIED for approval in self.current_approvals
        )

    @property
    def missing_approval(self) -> str:
        """What the current round still needs, in words."""
        if self.is_denied:
            return _("The plan was denied: it goes back for rework, and then to a new round.")
        if self.current_approvals:
            return _("One approval is enough: nothing is missing.")
        return _("Missing: one approval, by a %(role)s with no part in the change or its plan.") % {
            "role": roles_for("changes.approve_change")
        }

    @cached_property
    def decisions(self) -> list[Decision]:
        """The decisions that this person can make now."""
        if self.change.phase != Phase.APPROVE_PLAN or not self.user.has_perm("changes.approve_change"):
            return []
        if any(item.author_id == self.user.pk for item in self.current_approvals):
            return []
        return [Decision.DENIED] if self._own_part else [Decision.APPROVED, Decision.DENIED]

    @property
    def _own_part(self) -> workflow.Part | None:
        return workflow.part_of(self.user.pk, self.change)

    @property
    def lost_reason(self) -> str:
        """The reason that this person typed for a decision that is no longer possible; else ""."""
        return "" if self.decisions else str(self.approval_form["comment"].value() or "").strip()

    @cached_property
    def why_not_decide(self) -> str:
        """Why a decision is missing from `decisions`, in words; "" if none is missing."""
        if self.change.phase != Phase.APPROVE_PLAN:
            if Phase.APPROVE_PLAN not in workflow.PATHS[ChangeType(self.change.change_type)]:
                return _("A Standard change is pre-approved: it needs no approval.")
            return _("A plan is approved or denied while the change is in Approve plan.")
        if not self.user.has_perm("changes.approve_change"):
            return _("A %(role)s approves or denies.") % {"role": roles_for("changes.approve_change")}
        if any(item.author_id == self.user.pk for item in self.current_approvals):
            return _("You have decided in this round already; rework starts a new one.")
        return str(self._own_part.told) if self._own_part else ""
