"""The timeline's kinds for the change record itself: comments, attachments, approvals, and saves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import BigIntegerField, CharField, DateTimeField, F, Q, QuerySet, TextField, Value, Window
from django.db.models.functions import Cast, Lag
from django.utils.translation import gettext_lazy as _

from changes.models import Approval, Attachment, Change, Comment

from . import timeline
from .timeline import Kind

COMMENT, ATTACHMENT, APPROVAL, SAVE = "comment", "attachment", "approval", "save"

# --- Additions: three similar tables, read with one query ---

_COMMON = ("id", "author_id", "author__username", "author_name", "source_system", "created_at")
# The columns that only this table has, in the order of `_ALIASES`.
_OWN: Mapping[str, tuple[type[Any], tuple[str, ...]]] = {
    COMMENT: (Comment, ("body", "visibility", "", "format", "", "")),
    ATTACHMENT: (Attachment, ("file_name", "content_type", "size", "sha256", "file", "found_clean_at")),
    APPROVAL: (Approval, ("comment", "decision", "round", "", "", "")),
}
_ALIASES = {
    "text": TextField,
    "word": CharField,
    "number": BigIntegerField,
    "more": CharField,
    "stored": CharField,
    "moment": DateTimeField,
}

Added = dict[str, dict[str, Any]]


def added(change: Change, comments: Collection[str], attachments: Collection[str]) -> Added:
    """These comments and attachments, and all approvals, by kind and by key in the timeline. Takes one query."""
    wanted = {
        COMMENT: change.comments.filter(pk__in=numbers(comments)),
        ATTACHMENT: change.attachments.filter(pk__in=numbers(attachments)),
        APPROVAL: change.approvals.all(),
    }
    first, *others = [_columns(kind, rows) for kind, rows in wanted.items()]
    result: Added = {kind: {} for kind in wanted}
    for kind, *values in first.union(*others, all=True):
        item = _instance(change, kind, values)
        result[kind][padded(item.pk)] = item
    return result


def _columns(kind: str, rows: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    _model, names = _OWN[kind]
    own = {
        alias: Cast(F(name) if name else Value(None), output_field())
        for name, (alias, output_field) in zip(names, _ALIASES.items(), strict=True)
    }
    return rows.order_by().annotate(kind=Value(kind, CharField()), **own).values_list("kind", *_COMMON, *own)


def _instance(change: Change, kind: str, values: list[Any]) -> Any:
    """The model instance with its author. Fields that were not selected are deferred."""
    model, names = _OWN[kind]
    key, author, username, *common = values[: len(_COMMON)]
    own = {name: value for name, value in zip(names, values[len(_COMMON) :], strict=True) if name}
    known = dict(zip(("author_name", "source_system", "created_at"), common, strict=True)) | own
    item = _loaded(model, {"id": key, "author_id": author, "change_id": change.pk, **known}, change._state.db)
    item.author = _loaded(get_user_model(), {"id": author, "username": username}, change._state.db)
    item.change = change
    return item


def _loaded(model: type[Any], values: Mapping[str, Any], database: str | None) -> Any:
    names = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    return model.from_db(database or "", names, [values[name] for name in names])


# --- Saves: phase changes and field edits ---


def all_saves(change: Change) -> QuerySet[Any, Any]:
    return change.history.all()


def _with_phase_before(change: Change) -> QuerySet[Any, Any]:
    return change.history.annotate(phase_before=Window(Lag("phase"), order_by=F("version").asc()))


def phase_saves(change: Change) -> QuerySet[Any, Any]:
    """The saves that moved the change, and the one that created it."""
    return _among(change, Q(phase_before=None) | ~Q(phase_before=F("phase")))


def edit_saves(change: Change) -> QuerySet[Any, Any]:
    """The saves that left the change in its phase."""
    return _among(change, Q(phase_before=F("phase")))


def _among(change: Change, condition: Q) -> QuerySet[Any, Any]:
    # A subquery, so that later filters do not hide the save before from the window function.
    return change.history.filter(pk__in=_with_phase_before(change).filter(condition).values("pk"))


def numbers(keys: Iterable[str]) -> list[int]:
    return [int(key) for key in keys]


def padded(number: int) -> str:
    """The key in the timeline for a row with this number: padded with zeros, so that keys sort as numbers."""
    return str(number).zfill(20)


def _save_kind(rows: Any) -> Kind:
    return Kind(SAVE, "changes/includes/save.html", rows, moment="history_date", key="version")


def connect() -> None:
    timeline.offer(
        "comments",
        _("Comments"),
        Kind(COMMENT, "changes/includes/comment.html", lambda change: change.comments.all()),
    )
    timeline.offer(
        "attachments",
        _("Attachments"),
        Kind(ATTACHMENT, "changes/includes/attachment.html", lambda change: change.attachments.all()),
    )
    timeline.offer("phases", _("Phase changes"), _save_kind(phase_saves), in_all=False)
    timeline.offer("edits", _("Field edits"), _save_kind(edit_saves), in_all=False)
    timeline.SHOWS[timeline.ALL].kinds.append(_save_kind(all_saves))
    timeline.offer(
        "approvals",
        _("Approvals"),
        Kind(APPROVAL, "changes/includes/approval.html", lambda change: change.approvals.all()),
    )
