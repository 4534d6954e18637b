"""Texts about a new round of approvals, which begins when somebody alters the plan in ApprovePlan."""

from __future__ import annotations

from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from changes import audit, workflow
from changes.choices import Decision, Phase
from changes.models import Change
from changes.texts.isolation import apart


def warning(change: Change) -> str:
    """What a form says before an edit: the fields of the plan, and the decisions that would be lost; "" if none."""
    if change.phase != Phase.APPROVE_PLAN:
        return ""
    # The type is fixed in this phase.
    fields = [audit.label(name) for name in workflow.PLAN if name != "change_type"]
    said = _("Altering one of these fields starts a new round of approvals: %(fields)s.") % {
        "fields": ", ".join(fields)
    }
    if decisions := _decisions(change, change.approval_round):
        lost = _("These decisions then no longer count: %(decisions)s.") % {"decisions": decisions}
        said = f"{said} {lost}"
    rule = _("Whoever alters the plan may not approve it.")
    return f"{said} {rule}"


def notice(change: Change, round_before: int) -> str:
    """What the page says after a save: the new round and the decisions that were lost; "" if no round began."""
    if change.approval_round == round_before or change.phase != Phase.APPROVE_PLAN:
        return ""
    said = _("The plan was altered, so round %(round)s of the approvals has begun.") % {"round": change.approval_round}
    if decisions := _decisions(change, round_before):
        lost = _("These decisions no longer count: %(decisions)s.") % {"decisions": decisions}
        said = f"{said} {lost}"
    return said


def _decisions(change: Change, round_: int) -> str:
    """The decisions of this round in words, as in `carol (Approved)`."""
    made = change.approvals.filter(round=round_).select_related("author")
    return get_text_list([f"{apart(item.author_label)} ({Decision(item.decision).label})" for item in made], _("and"))
