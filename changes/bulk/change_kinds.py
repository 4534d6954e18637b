"""What can be done to many changes: reassign, comment, abandon. The rules are the models', as for a single one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes import audit
from changes.choices import CompletionCode, Phase, Visibility
from changes.exceptions import ReadOnlyChange
from changes.models import BulkItem, BulkJob, Change, Comment, SupportGroup

from .forms import AbandonForm, ActionForm, CommentForm, ReassignForm
from .kind import AlreadySo, Intent, Kind, NotDone, Preview, Result, register
from .preview import preview_of


class ChangeKind(Kind):
    """`is_tied` to the version that the preview was made of: a change that moved on since is left alone."""

    is_tied: ClassVar[bool]
    form: ClassVar[type[ActionForm]]

    @abstractmethod
    def intent(self, change: Change, parameters: Mapping[str, Any], user: Any) -> Intent:
        """Alters `change` in memory, and says what that means for partners. Makes no query.

        Raises AlreadySo, or when it cannot be done NotDone, ChangeRefused or ValidationError.
        """

    @abstractmethod
    def keep(self, change: Change, parameters: Mapping[str, Any], user: Any) -> str:
        """Saves what `intent()` altered. Returns the result in words."""

    def preview(self, job: BulkJob) -> Preview:
        return preview_of(job, self._foreseen)

    def _foreseen(self, job: BulkJob, item: BulkItem, change: Change | None) -> Intent:
        change = self._checked(item, change, lambda change, item: _("It was changed since it was chosen."))
        return self.intent(change, job.parameters, job.user)

    def do(self, job: BulkJob, item: BulkItem, user: Any) -> Result:
        found = Change.objects.visible_to(user).locked().filter(pk=item.target).first()
        change = self._checked(item, found, _moved_on)
        self.intent(change, job.parameters, user)
        return Result(self.keep(change, job.parameters, user))

    def _checked(self, item: BulkItem, change: Change | None, stale: Callable[[Change, BulkItem], str]) -> Change:
        if change is None:
            raise NotDone(_("There is no such change."))
        if self.is_tied and change.version != item.seen:
            raise NotDone(stale(change, item))
        return change

    def address(self, item: BulkItem) -> str:
        return reverse("changes:detail", args=[item.label.partition(" ")[0]])


def _moved_on(change: Change, item: BulkItem) -> str:
    edits = audit.in_words(change.edits_since(item.seen or 0))
    who = ", ".join(sorted({edit.user for edit in edits if edit.user})) or _("somebody else")
    what = ", ".join(edit.label.lower() for edit in edits) or _("and changed back")
    return _("It was changed by %(who)s since the preview (%(what)s). Look at it again.") % {"who": who, "what": what}


def _writable(change: Change) -> None:
    """Raises ReadOnlyChange in a final phase, as its save would."""
    if change.is_final:
        message = _("It is in %(phase)s: its fields are read-only.") % {"phase": change.phase}
        raise ReadOnlyChange(message, ["phase"])


class Reassign(ChangeKind):
    name = "reassign"
    permission = "changes.change_change"
    is_tied = True
    form = ReassignForm

    def title(self, job: BulkJob) -> str:
        if job.parameters["group"] is None:
            return _("Take from its group")
        return _("Reassign to %(group)s") % {"group": job.parameters["group_name"]}

    def start_label(self, job: BulkJob, count: int) -> str:
        return ngettext("Reassign %(count)s change", "Reassign %(count)s changes", count) % {"count": count}

    def intent(self, change: Change, parameters: Mapping[str, Any], user: Any) -> Intent:
        before, after = change.owning_group_id, parameters["group"]
        if before == after:
            owner = parameters["group_name"]
            raise AlreadySo(_("%(group)s has it already.") % {"group": owner} if owner else _("It has no group."))
        _writable(change)
        change.owning_group_id = after
        change.clean()
        return Intent(change, before, after)

    def keep(self, change: Change, parameters: Mapping[str, Any], user: Any) -> str:
        if parameters["group"] is not None and not SupportGroup.objects.filter(pk=parameters["group"]).exists():
            raise NotDone(_("There is no group %(group)s any more.") % {"group": parameters["group_name"]})
        change.save()
        old = change.changed_fields["owning_group"].old
        return _("It went from %(old)s to %(new)s.") % {
            "old": old or _("no group"),
            "new": change.owning_group or _("no group"),
        }


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

    def intent(self, change: Change, parameters: Mapping[str, Any], user: Any) -> Intent:
        group = change.owning_group_id
        return Intent(change, group, group, is_told=parameters["visibility"] == Visibility.PUBLIC)

    def keep(self, change: Change, parameters: Mapping[str, Any], user: Any) -> str:
        Comment(change=change, author=user, body=parameters["body"], visibility=parameters["visibility"]).save()
        return _("The comment was added.")


class Abandon(ChangeKind):
    name = "abandon"
    permission = "changes.abandon_change"
    is_tied = True
    form = AbandonForm

    def title(self, job: BulkJob) -> str:
        return _("Abandon as %(code)s") % {"code": job.parameters["code"]}

    def start_label(self, job: BulkJob, count: int) -> str:
        return ngettext("Abandon %(count)s change", "Abandon %(count)s changes", count) % {"count": count}

    def intent(self, change: Change, parameters: Mapping[str, Any], user: Any) -> Intent:
        before, code = change.completion_code, parameters["code"]
        if change.phase == Phase.ABANDON and before == code:
            raise AlreadySo(_("It was abandoned as %(code)s already.") % {"code": code})
        _writable(change)
        if before != code and not user.has_perm("changes.change_change"):
            raise NotDone(_("You may not edit changes, and its completion code is not %(code)s.") % {"code": code})
        change.completion_code = code
        change.move_to(Phase.ABANDON)
        change.clean()
        withdrawn = code == CompletionCode.WITHDRAWN and before != code
        return Intent(change, change.owning_group_id, change.owning_group_id, is_withdrawn=withdrawn)

    def keep(self, change: Change, parameters: Mapping[str, Any], user: Any) -> str:
        change.save()
        before = change.changed_fields["phase"].old
        return _("It went from %(phase)s to Abandon.") % {"phase": before}


CHANGE_KINDS: Sequence[ChangeKind] = (Reassign(), AddComment(), Abandon())


def connect() -> None:
    for kind in CHANGE_KINDS:
        register(kind)
