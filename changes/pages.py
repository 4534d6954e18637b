"""What the page of one change shows, gathered with a number of queries that does not depend on the rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import Max, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404

from . import audit, path, workflow
from .choices import ChangeType, Decision, Phase, Role
from .exceptions import StaleChange, Unmet
from .forms import ApprovalForm, AttachmentForm, CommentForm
from .models import Approval, Change
from .roles import PERMISSIONS

# How many of each the page shows before it asks to be told `?show=all`.
LATEST = 50
EVERYTHING = 100_000


def find(user: Any, number: str) -> Change:
    """The change with this number, or Http404."""
    change = Change.objects.visible_to(user).with_people().filter(number=number).first()
    if change is None:
        raise Http404(f"There is no change {number}.")
    return change


def refuse_stale(change: Change, seen: Any) -> None:
    """Raises StaleChange unless `seen`, the version that the person's page showed, is the present one."""
    try:
        version = int(seen)
    except (TypeError, ValueError):
        version = 0
    if version != change.version:
        raise StaleChange(change.number, change.version, change.edits_since(version))


def stale_in_words(stale: StaleChange, what_happened: str) -> str:
    """What a person reads who acted on a page that was out of date."""
    edits = audit.in_words(stale.edits)
    who = sorted({edit.user for edit in edits if edit.user})
    names = ", ".join(edit.label.lower() for edit in edits) or "and changed back"
    by = " and ".join(who) or "somebody else"
    return f"{stale.number} was changed by {by} since you opened the page ({names}). {what_happened} Look at it again."


LABELS = {
    (Phase.APPROVE_PLAN, Phase.PLAN): "Send back to Plan for rework",
    (Phase.APPROVE_PLAN, Phase.LOG): "Send back to Log for rework",
}


@dataclass(frozen=True)
class Move:
    """A transition that the table has from here: possible when `unmet` is empty and `is_allowed`."""

    target: Phase
    unmet: list[Unmet]
    is_allowed: bool
    roles: str
    is_next: bool
    label: str

    @property
    def is_possible(self) -> bool:
        return self.is_allowed and not self.unmet


def roles_for(permission: str) -> str:
    """The roles that hold it by design; the page need not ask the database for a hint."""
    return " or ".join(role.value for role in Role if permission in PERMISSIONS[role])


def moves(change: Change, user: Any) -> list[Move]:
    own = workflow.PATHS[ChangeType(change.change_type)]
    result = []
    for place, target in enumerate(workflow.targets(change.change_type, change.phase)):
        permission = workflow.permission(target)
        default = f"Move to {target.value}"
        result.append(
            Move(
                target=target,
                unmet=workflow.unmet(change, target),
                is_allowed=user.has_perm(permission),
                roles=roles_for(permission),
                is_next=place == 0 and (target in own or target in (Phase.REVIEW, Phase.CLOSE)),
                label=LABELS.get((Phase(change.phase), target), default),
            )
        )
    return result


@dataclass(frozen=True)
class Latest:
    """The newest of something, and whether there is more."""

    items: list[Any]
    has_more: bool


class ChangePage:
    """The parts of one change's page for one person. `forms` replaces a form by one that shows its errors."""

    def __init__(self, change: Change, user: Any, everything: bool = False, **forms: Any) -> None:
        self.change, self.user = change, user
        self.limit = EVERYTHING if everything else LATEST
        self.everything = everything
        self.comment_form = forms.get("comment_form") or CommentForm()
        self.attachment_form = forms.get("attachment_form") or AttachmentForm()
        self.approval_form = forms.get("approval_form") or ApprovalForm()

    @cached_property
    def stages(self) -> list[path.Stage]:
        visited = self.change.history.order_by().values_list("phase", flat=True).distinct()
        return path.stages(self.change.change_type, self.change.phase, set(visited))

    @cached_property
    def moves(self) -> list[Move]:
        return moves(self.change, self.user)

    @cached_property
    def owned_since(self) -> datetime | None:
        """When the present owning group got the change."""
        owner = self.change.owning_group_id
        others = Q(owning_group=None) if owner else Q(owning_group__isnull=False)
        if owner:
            others |= ~Q(owning_group=owner)
        before = self.change.history.filter(others).order_by().values("id").annotate(last=Max("version"))
        present = self.change.history.filter(version__gt=Coalesce(Subquery(before.values("last")[:1]), 0))
        return present.order_by("version").values_list("history_date", flat=True).first()

    # --- What was added ---

    @cached_property
    def comments(self) -> Latest:
        return self._latest(self.change.comments)

    @cached_property
    def attachments(self) -> Latest:
        return self._latest(self.change.attachments)

    def _latest(self, related: Any) -> Latest:
        rows = list(related.select_related("author").order_by("-id")[: self.limit + 1])
        return Latest(rows[: self.limit], len(rows) > self.limit)

    @cached_property
    def saves(self) -> Latest:
        return Latest(audit.saves(self.change, self.limit), self.change.version > self.limit)

    # --- Approvals ---

    @cached_property
    def approvals(self) -> list[Approval]:
        return list(self.change.approvals.select_related("author").order_by("-round", "id"))

    @property
    def current_approvals(self) -> list[Approval]:
        return [item for item in self.approvals if item.round == self.change.approval_round]

    @property
    def earlier_approvals(self) -> list[Approval]:
        return [item for item in self.approvals if item.round != self.change.approval_round]

    @cached_property
    def decisions(self) -> list[Decision]:
        """Those that this person can make now."""
        if self.change.phase != Phase.APPROVE_PLAN or not self.user.has_perm("changes.approve_change"):
            return []
        if any(item.author_id == self.user.pk for item in self.current_approvals):
            return []
        if self.change.requested_by_id == self.user.pk:
            return [Decision.DENIED]
        return [Decision.APPROVED, Decision.DENIED]

    @cached_property
    def why_not_decide(self) -> str:
        """Why a decision is missing from `decisions`, in words."""
        if self.change.phase != Phase.APPROVE_PLAN:
            if Phase.APPROVE_PLAN not in workflow.PATHS[ChangeType(self.change.change_type)]:
                return "A Standard change is pre-approved: it needs no approval."
            return "A plan is approved or denied while the change is in ApprovePlan."
        if not self.user.has_perm("changes.approve_change"):
            return f"A {roles_for('changes.approve_change')} approves or denies."
        if any(item.author_id == self.user.pk for item in self.current_approvals):
            return "You have decided in this round already; rework starts a new one."
        if self.change.requested_by_id == self.user.pk:
            return "You requested this change, so you may not approve it. You may deny it."
        return ""
