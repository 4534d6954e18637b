"""The history of a change as people read it: each save, with the old and the new value of every field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.contrib.auth import get_user_model

from .exceptions import FieldEdit
from .models import Change, SupportGroup


@dataclass(frozen=True)
class Edit:
    """One field's values in words; empty is an empty text, a time stays a time."""

    field: str
    label: str
    old: Any
    new: Any
    user: str | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class Save:
    """One save: who did it, and the external system that they acted for, if any."""

    version: int
    at: datetime
    user: str | None
    system: str | None
    is_creation: bool
    edits: list[Edit] = field(default_factory=list)


def label(name: str) -> str:
    text = str(Change._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
    return text[0].upper() + text[1:]


def attname(name: str) -> str:
    """The attribute that holds what the database keeps of a field: a key, where the field is a relation."""
    return Change._meta.get_field(name).attname  # type: ignore[union-attr]


def saves(change: Change, limit: int) -> list[Save]:
    """The latest `limit` saves, the newest first. Three queries, whatever their number."""
    records = list(change.history.select_related("history_user").order_by("-version", "-history_id")[: limit + 1])
    pairs = [*pairwise(records)]
    if records and len(records) <= limit:
        pairs.append((records[-1], None))
    changed = [(after, before, _differences(before, after)) for after, before in pairs]
    names = _names(pair for _, _, differences in changed for pair in differences.items())
    return [
        Save(
            version=after.version,
            at=after.history_date,
            user=after.history_user.get_username() if after.history_user else None,
            system=after.source_system,
            is_creation=before is None,
            edits=[
                Edit(name, label(name), _word(name, old, names), _word(name, new, names))
                for name, (old, new) in differences.items()
            ],
        )
        for after, before, differences in changed
    ]


def in_words(edits: Mapping[str, FieldEdit]) -> list[Edit]:
    """What somebody else changed, with names instead of keys."""
    names = _names((name, (edit.old, edit.new)) for name, edit in edits.items())
    return [
        Edit(name, label(name), _word(name, edit.old, names), _word(name, edit.new, names), edit.user, edit.at)
        for name, edit in edits.items()
    ]


def _differences(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    differences = {}
    for name in Change.TRACKED_FIELDS:
        old, new = getattr(before, attname(name), None), getattr(after, attname(name))
        if old != new and not (before is None and new in (None, "")):
            differences[name] = (old, new)
    return differences


def _names(values: Iterable[tuple[str, tuple[Any, Any]]]) -> dict[str, dict[int, str]]:
    """The names of the groups and people that appear, by field and key."""
    keys: dict[str, set[int]] = {"owning_group": set(), "requested_by": set()}
    for name, pair in values:
        if name in keys:
            keys[name].update(key for key in pair if key is not None)
    people = get_user_model().objects.in_bulk(keys["requested_by"])
    groups = SupportGroup.objects.in_bulk(keys["owning_group"])
    return {
        "owning_group": {key: group.name for key, group in groups.items()},
        "requested_by": {key: person.get_username() for key, person in people.items()},
    }


def _word(name: str, value: Any, names: Mapping[str, Mapping[int, str]]) -> Any:
    if value is None:
        return ""
    if name in names:
        return names[name].get(value, f"no longer here (id {value})")
    return value
