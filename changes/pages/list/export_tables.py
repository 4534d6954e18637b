"""The files for auditors: history, decisions and comments of the changes that the filters match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext_lazy, pgettext_lazy

from changes import audit
from changes.models import Approval, Change, Comment

from .export import Table

Row = tuple[object, ...]


def _history(changes: Sequence[Change]) -> Iterator[Row]:
    numbers = {change.pk: change.number for change in changes}
    for record, edits in audit.trail(changes):
        who = record.history_user.get_username() if record.history_user else ""
        about = (numbers[record.id], record.version, record.history_date, who, record.source_system or "")
        yield from ((*about, *edit) for edit in edits)


def _approvals(changes: Sequence[Change]) -> Iterator[Row]:
    rows = Approval.objects.filter(change__in=changes).select_related("author").order_by("change", "pk")
    numbers = {change.pk: change.number for change in changes}
    for row in rows.iterator():
        yield (
            numbers[row.change_id],
            row.round,
            row.created_at,
            row.author.get_username(),
            row.source_system or "",
            row.decision,
            row.comment,
        )


def _comments(changes: Sequence[Change]) -> Iterator[Row]:
    rows = Comment.objects.filter(change__in=changes).select_related("author").order_by("change", "pk")
    numbers = {change.pk: change.number for change in changes}
    for row in rows.iterator():
        yield (
            numbers[row.change_id],
            row.created_at,
            row.author.get_username(),
            row.author_name,
            row.source_system or "",
            row.visibility,
            row.body,
        )


TABLES = (
    Table(
        "history",
        gettext_lazy("History"),
        ("number", "version", "saved_at", "user", "system_id", "field", "old", "new"),
        _history,
    ),
    Table(
        "approvals",
        gettext_lazy("Approvals"),
        ("number", "round", "decided_at", "user", "system_id", "decision", "comment"),
        _approvals,
    ),
    Table(
        "comments",
        pgettext_lazy("a file", "Comments"),
        ("number", "created_at", "user", "author", "system_id", "visibility", "body"),
        _comments,
    ),
)
