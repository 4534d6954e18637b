"""The merge when two people edited one change: clashing fields, fields that merge by themselves, and the choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.forms import Field
from django.http import QueryDict
from django.utils.translation import gettext as _

from changes import audit
from changes.exceptions import FieldEdit
from changes.models import Change

from .forms import ChangeForm

THEIRS, MINE, EDIT = "theirs", "mine", "edit"


@dataclass(frozen=True)
class Typed:
    """What this person typed into a field: `text` as it was sent, and `value` for reading."""

    name: str
    label: str
    text: str
    value: Any


@dataclass(frozen=True)
class Clash:
    """A field to which two people gave different values. `choice` is the person's earlier choice between the two."""

    theirs: audit.Edit
    mine: Typed
    choice: str = ""

    @property
    def name(self) -> str:
        return self.mine.name


@dataclass(frozen=True)
class Merge:
    """The result of a merge.

    The person must choose in each of `clashes`. The rest merges by itself: `taken` are edits of others, `kept` what
    this person typed, `same` what both did. `lost` cannot be saved any more, because the field or the whole change is
    read-only now.
    """

    clashes: list[Clash] = field(default_factory=list)
    taken: list[audit.Edit] = field(default_factory=list)
    kept: list[Typed] = field(default_factory=list)
    same: list[Typed] = field(default_factory=list)
    lost: list[Typed] = field(default_factory=list)

    @property
    def clashing(self) -> list[str]:
        return [clash.name for clash in self.clashes]

    @property
    def is_moved(self) -> bool:
        return any(edit.field == "phase" for edit in self.taken)


class Resolution:
    """A submitted form after applying the choices that the person made on it.

    `data` has this person's value of every field. `chosen` has the choice of each clashing field. `theirs` are the
    fields for which the other person's value was chosen. `unchosen` are those without a choice.
    """

    def __init__(self, sent: QueryDict) -> None:
        self.data = sent.copy()
        names = [name for name in sent.getlist("clash") if name in ChangeForm.Meta.fields]
        self.chosen = {name: sent.get(f"choice_{name}", "") for name in names}
        self.theirs = frozenset(name for name, choice in self.chosen.items() if choice == THEIRS)
        self.unchosen = [name for name, choice in self.chosen.items() if choice not in (THEIRS, MINE, EDIT)]
        for name, choice in self.chosen.items():
            if choice in (MINE, THEIRS):
                self.data[name] = sent.get(f"mine_{name}", sent.get(name, ""))

    def refuse_unchosen(self, form: ChangeForm) -> bool:
        """Adds an error to each field without a choice. Returns whether there is any."""
        for name in self.unchosen:
            form.add_error(name, _("Choose which value to keep: theirs, yours, or another one."))
        return bool(self.unchosen)


def merge(form: ChangeForm, resolution: Resolution, edits: Mapping[str, FieldEdit], stored: Change) -> Merge:
    """Compares the submitted `form` with what others saved (`edits`) and what the database has (`stored`)."""
    fresh = ChangeForm(instance=stored)
    result = Merge()
    names = [*form.changed_data, *resolution.theirs, *_fixed_meanwhile(form, fresh)]
    typed = {name: _typed(form, name, resolution.data) for name in names}
    others = {edit.field: edit for edit in audit.edits_in_words(edits)}
    for name, mine in typed.items():
        if name not in ChangeForm.Meta.fields:
            continue
        if stored.is_final or fresh.fields[name].disabled:
            result.lost.append(mine)
        elif not fresh.fields[name].has_changed(fresh.initial.get(name), mine.text):
            result.same.append(mine)
        elif name in others:
            is_as_seen = form.initial.get(name) == getattr(stored, audit.attname(name))
            result.clashes.append(Clash(others[name], mine, resolution.chosen.get(name, "") if is_as_seen else ""))
        else:
            result.kept.append(mine)
    result.taken.extend(edit for name, edit in others.items() if name not in typed)
    return result


def _fixed_meanwhile(form: ChangeForm, fresh: ChangeForm) -> list[str]:
    """Fields that the person edited but that are read-only now. A form ignores the values of disabled fields."""
    found = []
    for name, form_field in fresh.fields.items():
        if form_field.disabled and name in form.data:
            form_field.disabled = False
            if form_field.has_changed(form.initial.get(name), form.data[name]):
                found.append(name)
            form_field.disabled = True
    return found


def _typed(form: ChangeForm, name: str, data: Mapping[str, Any]) -> Typed:
    if name not in form.fields:
        return Typed(name, audit.label(name), data.get(name, ""), data.get(name, ""))
    text = form.sent(name, data) or ""
    return Typed(name, audit.label(name), text, _in_words(name, form.fields[name], text))


def _in_words(name: str, form_field: Field, text: str) -> Any:
    try:
        value = form_field.clean(text)
    except ValidationError:
        return text  # an invalid value is shown as it was typed
    return str(value) if hasattr(value, "pk") else audit.in_word(name, value)
