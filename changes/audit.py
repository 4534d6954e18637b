"""The history of a change as people read it: each save, with the old and the new value of every field."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Model, Q
from django.utils.translation import gettext as _

from .choices import Phase
from .exceptions import FieldEdit
from .models import Change, SupportGroup
from .models.history import edits_of
from .texts import text_diff

RELATED = ("owning_group", "requested_by")
# Up to this many characters, both values of a text are shown whole, without a diff.
AT_A_GLANCE = 120


@dataclass(frozen=True)
class Edit:
    """One field's old and new value as people read them: "" for an empty one; a time stays a datetime.

    `number` and `version` name the save, None if it is not a save's. All edits of a page share one `effort`.
    """

    field: str
    label: str
    old: Any
    new: Any
    user: str | None = None
    at: datetime | None = None
    number: str | None = None
    version: int | None = None
    effort: text_diff.Effort = dataclasses.field(default_factory=text_diff.Effort)

    @cached_property
    def diff(self) -> text_diff.Diff | None:
        """The differences between two long texts; None for short texts, for other values, and if one text is empty."""
        if not (isinstance(self.old, str) and isinstance(self.new, str) and self.old and self.new):
            return None
        if max(len(self.old), len(self.new)) <= AT_A_GLANCE and "\n" not in self.old + self.new:
            return None
        return text_diff.compare(self.old, self.new, self.effort)


@dataclass(frozen=True)
class Save:
    """One save: who did it, and the external system that they acted for, if any.

    `new_round` is the round of approvals that it began by altering the plan; 0 if it began none.
    """

    version: int
    at: datetime
    user: str | None
    system: str | None
    phase: str
    is_creation: bool
    new_round: int
    edits: list[Edit] = field(default_factory=list)

    @property
    def phase_label(self) -> str:
        return str(Phase(self.phase).label)

    @property
    def move(self) -> Edit | None:
        """The phase change, if this save made one."""
        return next((edit for edit in self.edits if edit.field == "phase"), None)

    @property
    def other_edits(self) -> list[Edit]:
        """What was edited besides the phase."""
        return [edit for edit in self.edits if edit.field != "phase"]


def verbose_name(name: str) -> str:
    """The name of a field of changes as it stands within a sentence, in the language of the page."""
    return str(Change._meta.get_field(name).verbose_name)  # type: ignore[union-attr]


def label(name: str) -> str:
    text = verbose_name(name)
    return text[0].upper() + text[1:]


def attname(name: str) -> str:
    """The attribute with the value as the database stores it: for a relation, the key."""
    return Change._meta.get_field(name).attname  # type: ignore[union-attr]


def saves(change: Change, limit: int) -> list[Save]:
    """The latest `limit` saves, the newest first, in one query."""
    found = saves_of(change, range(max(1, change.version - limit + 1), change.version + 1))
    return sorted(found.values(), key=lambda save: save.version, reverse=True)


def saves_of(
    change: Change, latest: range, others: Collection[int] = (), effort: text_diff.Effort | None = None
) -> dict[int, Save]:
    """The saves whose version is in `latest` or `others`, by version, in one query. Unknown versions are left out.

    `effort`: what comparing their texts may cost together.
    """
    effort = effort or text_diff.Effort()
    before = {version - 1 for version in others}
    wanted = Q(version__in={*others, *before}) | Q(version__gte=latest.start - 1, version__lt=latest.stop)
    related = ("history_user", *RELATED)
    records = {record.version: record for record in change.history.select_related(*related).filter(wanted).order_by()}
    return {
        version: _save(change.number, records[version], records.get(version - 1), effort)
        for version in {*latest, *others}
        if version in records
    }


def _save(number: str, after: Any, before: Model | None, effort: text_diff.Effort) -> Save:
    return Save(
        version=after.version,
        at=after.history_date,
        user=after.history_user.get_username() if after.history_user else None,
        system=after.source_system,
        phase=after.phase,
        is_creation=before is None,
        new_round=_new_round(before, after),
        edits=[
            Edit(
                name,
                label(name),
                _recorded(before, name),
                _recorded(after, name),
                number=number,
                version=after.version,
                effort=effort,
            )
            for name in _differing(before, after)
        ],
    )


def _new_round(before: Any, after: Any) -> int:
    if before is None or before.phase != after.phase or before.approval_round == after.approval_round:
        return 0
    return int(after.approval_round)


def _differing(before: Model | None, after: Model) -> list[str]:
    """The fields that a save altered; for the creation, those that it filled."""
    if before is None:
        return [name for name in Change.TRACKED_FIELDS if _raw(after, name) not in (None, "")]
    return [name for name in Change.TRACKED_FIELDS if _raw(before, name) != _raw(after, name)]


def _raw(record: Model, name: str) -> Any:
    return getattr(record, Change._meta.get_field(name).attname)  # type: ignore[union-attr]


def _recorded(record: Model | None, name: str) -> Any:
    """The value in words, with the name of a group or person that was loaded with the record."""
    key = _raw(record, name) if record is not None else None
    if key is None or name not in RELATED:
        return in_word(name, key)
    related = getattr(record, name)
    return str(related) if related is not None else _gone(key)


def trail(changes: Iterable[Change]) -> Iterator[tuple[Any, list[tuple[str, Any, Any]]]]:
    """Each save of these changes as its record and its edits (field, old and new value, as programs read them).

    One query; the oldest save of each change first.
    """
    keys = [change.pk for change in changes]
    records = Change.history.filter(id__in=keys).select_related("history_user", *RELATED).order_by("id", "version")
    before: Any = None
    for record in records.iterator():
        previous = before if before is not None and before.id == record.id else None
        yield record, [(name, _stored(previous, name), _stored(record, name)) for name in _differing(previous, record)]
        before = record


def _stored(record: Model | None, name: str) -> Any:
    """The value as the API has it: for a group or a person the name, None for nothing."""
    key = _raw(record, name) if record is not None else None
    return _recorded(record, name) if key is not None and name in RELATED else key


def edits_since(seen: Mapping[int, int]) -> dict[int, dict[str, FieldEdit]]:
    """`Change.edits_since()` for many changes in one query. `seen` maps the key of each change to its version."""
    found: dict[int, list[Any]] = {key: [] for key in seen}
    if seen:
        records = Change.history.filter(id__in=seen, version__gte=min(seen.values())).select_related("history_user")
        for record in records.order_by("id", "version"):
            if record.version >= seen[record.id]:
                found[record.id].append(record)
    names = {name: attname(name) for name in Change.TRACKED_FIELDS}
    return {key: edits_of(records, names) for key, records in found.items()}


def who(edits: Iterable[FieldEdit]) -> str:
    """The users and systems that made these edits, joined by commas."""
    return ", ".join(sorted({edit.user for edit in edits if edit.user}))


def labels(names: Iterable[str]) -> str:
    """The labels of these fields, as pages show them, joined by commas."""
    return ", ".join(map(label, names))


def in_word(name: str, value: object) -> Any:
    """The value of a field that is not a relation, for reading: a choice as its label, None as "", others unchanged."""
    if value is None:
        return ""
    choices = dict(Change._meta.get_field(name).flatchoices)  # type: ignore[union-attr]
    return str(choices.get(value, value)) if choices else value


def edits_in_words(edits: Mapping[str, FieldEdit]) -> list[Edit]:
    """The edits for reading on a page, with names instead of keys. Queries the names."""
    names = {name: _names(name, edits[name]) for name in RELATED if name in edits}

    def word(name: str, value: object) -> Any:
        return names[name].get(value, _gone(value)) if name in names and value is not None else in_word(name, value)

    effort = text_diff.Effort()
    return [
        Edit(name, label(name), word(name, edit.old), word(name, edit.new), edit.user, edit.at, effort=effort)
        for name, edit in edits.items()
    ]


def _names(name: str, edit: FieldEdit) -> dict[Any, str]:
    """The names of the groups or people that an edit refers to, by key."""
    model = SupportGroup if name == "owning_group" else get_user_model()
    found = model._default_manager.in_bulk([key for key in (edit.old, edit.new) if key is not None])
    return {key: str(row) for key, row in found.items()}


def _gone(key: object) -> str:
    return _("deleted (id %(key)s)") % {"key": key}
