"""The bulk actions on changes: reassign, comment, approve, abandon. The models enforce the rules as for one change."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes import audit
from changes.choices import CompletionCode, Decision, Phase, Visibility
from changes.exceptions import ChangeRefused, Labels, ReadOnlyChange, Said
from changes.models import Approval, BulkItem, BulkJob, Change, Comment, SupportGroup

from .drafts import Target
from .forms import AbandonForm, ActionForm, ApproveForm, CommentForm, ReassignForm
from .kind import AlreadySo, Intent, Kind, NotDone, Outdated, Proposal, Result, hooks, register
from .proposal import newly_told, partners_told, preview_of


class ChangeKind(Kind):
    """A bulk action on changes. With `is_tied`, a change that was edited since the preview is left alone."""

    is_tied: ClassVar[bool]
    form: ClassVar[type[ActionForm]]

    def prepared(self, parameters: Mapping[str, Any], user: User) -> Any:
        """Loads what `alter()` needs from the database for every change alike. Raises NotDone if it is missing."""
        return None

    @abstractmethod
    def alter(
        self, change: Change, parameters: Mapping[str, Any], prepared: Any, user: User
    ) -> Comment | Approval | None:
        """Alters `change` in memory, or returns the comment or approval to add to it. Makes no query.

        Raises AlreadySo if nothing has to be done; NotDone, ChangeRefused or ValidationError if it is not possible.
        """

    @abstractmethod
    def outcome(self, change: Change) -> str:
        """The text of the result, after the save."""

    def preview(self, job: BulkJob) -> Proposal:
        try:
            prepared = self.prepared(job.parameters, job.user)
        except NotDone as refused:
            return preview_of(job, _always(refused))

        def foreseen(item: BulkItem, found: Change | None) -> Intent:
            # No text here: the preview finds out who edited all outdated changes with one query.
            change = self._checked(item, found, lambda change, item: "")
            return self._intent(change, job.parameters, prepared, job.user)

        return preview_of(job, foreseen)

    def _intent(self, change: Change, parameters: Mapping[str, Any], prepared: object, user: User) -> Intent:
        """What is about to happen to `change`. Alters `change`; raises the same errors as `alter()`."""
        stored = copy(change)
        return Intent(stored, change, self.alter(change, parameters, prepared, user))

    def targets(self, changes: Sequence[Change], parameters: Mapping[str, Any], user: User) -> list[Target]:
        """The chosen changes for a draft: each with its current version and the partners it would be sent to now."""
        intents: dict[int, Intent] = {}
        with suppress(NotDone):
            prepared = self.prepared(parameters, user)
            for change in changes:
                with suppress(AlreadySo, NotDone, ChangeRefused, ValidationError):
                    intents[change.pk] = self._intent(copy(change), parameters, prepared, user)
        partners = dict(zip(intents, partners_told(list(intents.values())), strict=True))
        return [
            Target(str(change.pk), str(change), change.version if self.is_tied else None, partners.get(change.pk, []))
            for change in changes
        ]

    def do(self, job: BulkJob, item: BulkItem, user: User) -> Result:
        found = Change.objects.visible_to(user).locked().filter(pk=item.target).first()
        change = self._checked(item, found, _moved_on)
        intent = self._intent(change, job.parameters, self.prepared(job.parameters, user), user)
        if more := newly_told(item, hooks.forecast([intent])[0]):
            raise more
        (intent.addition or change).save()
        return Result(self.outcome(change))

    def _checked(self, item: BulkItem, change: Change | None, stale: Callable[[Change, BulkItem], str]) -> Change:
        if change is None:
            raise NotDone(_("There is no such change."))
        if self.is_tied and change.version != item.seen:
            raise Outdated(stale(change, item))
        return change

    def address(self, item: BulkItem) -> str:
        return reverse("changes:detail", args=[item.label.partition(" ")[0]])


def _always(refused: NotDone) -> Callable[[BulkItem, Change | None], Intent]:
    def foreseen(item: BulkItem, change: Change | None) -> Intent:
        raise refused

    return foreseen


def _moved_on(change: Change, item: BulkItem) -> str:
    edits = change.edits_since(item.seen or 0)
    who, what = audit.who(edits.values()), Labels(map(audit.verbose_name, edits))
    if not who:
        return _("It was changed since the preview. Look at it again.")
    text = _("It was changed by %(who)s since the preview (%(what)s). Look at it again.")
    return Said(text, {"who": who, "what": what})


def _writable(change: Change) -> None:
    """Raises ReadOnlyChange in a final phase, as `save()` would."""
    if change.is_final:
        message = _("It is in %(phase)s: its fields are read-only.")
        raise ReadOnlyChange(message, ["phase"], {"phase": Phase(change.phase)})


class Reassign(ChangeKind):
    name = "reassign"
    permission = "changes.change_change"
    is_tied = True
    form = ReassignForm

    def title(self, job: BulkJob) -> str:
        if job.parameters["group"] is None:
            return _("Remove from the owning group")
        return _("Reassign to %(group)s") % {"group": job.parameters["group_name"]}

    def start_label(self, job: BulkJob, count: int) -> str:
        return ngettext("Reassign %(count)s change", "Reassign %(count)s changes", count) % {"count": count}

    def prepared(self, parameters: Mapping[str, Any], user: User) -> SupportGroup | None:
        if parameters["group"] is None:
            return None
        group = SupportGroup.objects.filter(pk=parameters["group"]).first()
        if group is None:
            raise NotDone(Said(_("There is no group %(group)s any more."), {"group": parameters["group_name"]}))
        return group

    def alter(self, change: Change, parameters: Mapping[str, Any], prepared: Any, user: User) -> None:
        if change.owning_group_id == parameters["group"]:
            text = Said(_("%(group)s has it already."), {"group": prepared}) if prepared else _("It has no group.")
            raise AlreadySo(text)
        _writable(change)
        change.owning_group = prepared
        change.clean()

    def outcome(self, change: Change) -> str:
        edit = change.changed_fields["owning_group"]
        groups = {"old": edit.old, "new": edit.new}
        if edit.old is None:
            return Said(_("It had no group and went to %(new)s."), groups)
        if edit.new is None:
            return Said(_("It was removed from %(old)s."), groups)
        return Said(_("It went from %(old)s to %(new)s."), groups)


class AddComment(ChangeKind):
    name = "comment"
    permission = "changes.add_comment"
    is_tied = False
    form = CommentForm

    def title(self, job: BulkJob) -> str:
        if job.parameters["visibility"] == Visibility.PUBLIC:
            return _("Add a public comment")
        return _("Add a private comment")

    def start_label(self, job: BulkJob, count: int) -> str:
        return ngettext("Comment on %(count)s change", "Comment on %(count)s changes", count) % {"count": count}

    def alter(self, change: Change, parameters: Mapping[str, Any], prepared: object, user: User) -> Comment:
        return Comment(change=change, author=user, body=parameters["body"], visibility=parameters["visibility"])

    def outcome(self, change: Change) -> str:
        return _("The comment was added.")


@dataclass
class Decisions:
    """By change and round: what the person decided, and who else denied the plan first."""

    own: dict[tuple[int, int], str] = field(default_factory=dict)
    denied_by: dict[tuple[int, int], str] = field(default_factory=dict)


class Approve(ChangeKind):
    name = "approve"
    permission = "changes.approve_change"
    is_tied = True
    form = ApproveForm

    def title(self, job: BulkJob) -> str:
        return _("Approve plans")

    def start_label(self, job: BulkJob, count: int) -> str:
        return ngettext("Approve %(count)s plan", "Approve %(count)s plans", count) % {"count": count}

    def prepared(self, parameters: Mapping[str, Any], user: User) -> Decisions:
        """The person's decisions on plans that wait now, and who else denied one."""
        waiting = Approval.objects.filter(change__phase=Phase.APPROVE_PLAN)
        found = waiting.filter(Q(author=user) | Q(decision=Decision.DENIED)).order_by("created_at")
        decisions = Decisions()
        for change, round_, author, name, decision in found.values_list(
            "change", "round", "author", "author__username", "decision"
        ):
            if author == user.pk:
                decisions.own[change, round_] = decision
            else:
                decisions.denied_by.setdefault((change, round_), name)
        return decisions

    def alter(self, change: Change, parameters: Mapping[str, Any], prepared: Decisions, user: User) -> Approval:
        key = (change.pk, change.approval_round)
        decided = prepared.own.get(key)
        if decided == Decision.APPROVED and change.phase == Phase.APPROVE_PLAN:
            raise AlreadySo(_("You have approved it already."))
        approval = Approval(change=change, author=user, decision=Decision.APPROVED, comment=parameters["comment"])
        approval.refuse(decided is not None)
        if name := prepared.denied_by.get(key):
            text = _("%(name)s has denied it: approving it as well does not help. Rework starts a new round.")
            raise NotDone(Said(text, {"name": name}))
        return approval

    def outcome(self, change: Change) -> str:
        return _("The plan was approved.")


class Abandon(ChangeKind):
    name = "abandon"
    permission = "changes.abandon_change"
    is_tied = True
    form = AbandonForm

    def title(self, job: BulkJob) -> str:
        return _("Abandon as %(code)s") % {"code": CompletionCode(job.parameters["code"]).label}

    def start_label(self, job: BulkJob, count: int) -> str:
        return ngettext("Abandon %(count)s change", "Abandon %(count)s changes", count) % {"count": count}

    def alter(self, change: Change, parameters: Mapping[str, Any], prepared: object, user: User) -> None:
        before, code = change.completion_code, CompletionCode(parameters["code"])
        if change.phase == Phase.ABANDON and before == code:
            raise AlreadySo(Said(_("It was abandoned as %(code)s already."), {"code": code}))
        _writable(change)
        if before != code and not user.has_perm("changes.change_change"):
            text = _("You may not edit changes, and its completion code is not %(code)s.")
            raise NotDone(Said(text, {"code": code}))
        change.completion_code = code
        change.move_to(Phase.ABANDON)
        change.clean()

    def outcome(self, change: Change) -> str:
        return Said(_("It went from %(phase)s to Abandon."), {"phase": Phase(change.changed_fields["phase"].old)})


CHANGE_KINDS: Sequence[ChangeKind] = (Reassign(), AddComment(), Approve(), Abandon())


def connect() -> None:
    for kind in CHANGE_KINDS:
        register(kind)
