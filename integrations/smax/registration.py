"""How a system's adapter is spoken to: the names that it uses for changes, and its spellings of our values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from changes.choices import ChangeType, CompletionCode, Impact, Phase, Priority, Risk, Urgency
from integrations.choices import UnknownProperties
from integrations.models import ExternalSystem

DEFAULT_TYPES = ("Change",)
# What adapters read besides changes, under addresses of their own.
OTHER_TYPES = ("ExternalReference", "PersonGroup", "Person", "Location", "ActualService", "ITProcessRecordCategory")
MOST_TYPES = 20
MOST_CHARACTERS = 100
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Translated:
    """A property whose values have other spellings at SMAX.

    `read`: those that differ from ours. `written`: more that are taken on a write, each with our value.
    """

    choices: type[TextChoices]
    read: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)


TRANSLATED: Mapping[str, Translated] = {
    "ChangeWorkflowType": Translated(ChangeType, {kind: f"{kind}Change" for kind in ChangeType.values}),
    "PhaseId": Translated(Phase, written={"Execute": Phase.DEPLOY.value, "CMDBUpdate": Phase.VALIDATE.value}),
    "CompletionCode": Translated(
        CompletionCode, written={f"CompletionCode{code}": code for code in CompletionCode.values}
    ),
    "RiskAssessment": Translated(
        Risk,
        {Risk.LOW.value: "LowRisk", Risk.MEDIUM.value: "SomeRisk", Risk.HIGH.value: "HighRisk"},
        {"NoRisk": Risk.LOW.value, "MediumRisk": Risk.MEDIUM.value},
    ),
    "ImpactScope": Translated(Impact),
    "Urgency": Translated(Urgency),
    "Priority": Translated(Priority, {priority: f"{priority}Priority" for priority in Priority.values}),
}


@dataclass(frozen=True)
class Registration:
    """What is registered of a system's adapter, with the defaults filled in.

    `read` and `written` have a table for each name in `TRANSLATED`: from our value to theirs, and from theirs to ours.
    """

    entity_types: tuple[str, ...]
    refuses_unknown: bool
    read: Mapping[str, Mapping[str, str]]
    written: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, system: ExternalSystem) -> Registration:
        return _registered(json.dumps(system.smax))


@lru_cache(maxsize=256)
def _registered(smax: str) -> Registration:
    """Computed once in each process, as every entity needs it."""
    given = json.loads(smax) or {}
    own = given.get("values") or {}
    read = {name: _read(name, own.get(name, {})) for name in TRANSLATED}
    return Registration(
        tuple(given.get("entity_types") or DEFAULT_TYPES),
        given.get("unknown_properties") == UnknownProperties.REFUSE,
        read,
        {name: _written(name, table) for name, table in read.items()},
    )


def _read(name: str, own: Mapping[str, str]) -> dict[str, str]:
    table = TRANSLATED[name]
    return {ours: own.get(ours) or table.read.get(ours, ours) for ours in table.choices.values}


def _written(name: str, read: Mapping[str, str]) -> dict[str, str]:
    return {**_always_written(name), **{theirs: value for value, theirs in read.items()}}


def _always_written(name: str) -> dict[str, str]:
    """Our spellings and those of SMAX. They are taken whatever is registered."""
    table = TRANSLATED[name]
    of_smax = {theirs: value for value, theirs in table.read.items()}
    return {**{value: value for value in table.choices.values}, **table.written, **of_smax}


# --- Validation ---


def validate(smax: object) -> None:
    """Raises ValidationError, with one message for each fault, which begins with its path such as `values.PhaseId`.

    The path is also in the `params` of each message, as `path`.
    """
    if not isinstance(smax, dict):
        raise ValidationError([_fault("smax", _("Give an object."))])
    faults = [*_unknown_keys(smax), *_types(smax), *_values(smax.get("values", {})), *_unknown_properties(smax)]
    if faults:
        raise ValidationError(faults)


_FAULT = "%(path)s: %(message)s"


def _fault(path: str, message: object, **values: object) -> ValidationError:
    said = str(message) % values if values else str(message)
    return ValidationError(_FAULT, code="invalid", params={"path": path, "message": said})


_KEYS = ("entity_types", "values", "unknown_properties")


def _unknown_keys(smax: Mapping[str, object]) -> Iterator[ValidationError]:
    for key in smax:
        if key not in _KEYS:
            yield _fault(str(key), _("There is no such key here. Known: %(known)s."), known=", ".join(_KEYS))


def _types(smax: Mapping[str, object]) -> Iterator[ValidationError]:
    names = smax.get("entity_types", [*DEFAULT_TYPES])
    if not isinstance(names, list) or not 0 < len(names) <= MOST_TYPES:
        yield _fault("entity_types", _("Give a list of 1 to %(most)s names."), most=MOST_TYPES)
        return
    for index, name in enumerate(names):
        path = f"entity_types.{index}"
        if not isinstance(name, str) or not _TYPE.fullmatch(name):
            yield _fault(path, _("Give the name of an entity type, of letters and digits, such as Change."))
        elif name in OTHER_TYPES:
            yield _fault(path, _("%(name)s stands for something else than changes."), name=name)
        elif name in names[:index]:
            yield _fault(path, _("%(name)s is given more than once."), name=name)


def _values(values: object) -> Iterator[ValidationError]:
    if not isinstance(values, dict):
        yield _fault("values", _("Give an object with a table for each property."))
        return
    for name, table in values.items():
        path = f"values.{name}"
        if name not in TRANSLATED:
            known = ", ".join(TRANSLATED)
            yield _fault(path, _("The values of this property are not translated. Translated: %(known)s."), known=known)
        elif not isinstance(table, dict):
            yield _fault(path, _("Give an object that maps our values to theirs."))
        else:
            yield from _table(path, name, table)


def _table(path: str, name: str, table: Mapping[str, object]) -> Iterator[ValidationError]:
    known = TRANSLATED[name].choices.values
    always = _always_written(name)
    sound: dict[str, str] = {}
    for ours, theirs in table.items():
        if ours not in known:
            yield _fault(f"{path}.{ours}", _("We have no such value. Ours: %(known)s."), known=", ".join(known))
        elif not isinstance(theirs, str) or not 0 < len(theirs.strip()) == len(theirs) <= MOST_CHARACTERS:
            said = _("Give a text of 1 to %(most)s characters, without spaces at its ends.")
            yield _fault(f"{path}.{ours}", said, most=MOST_CHARACTERS)
        elif (meant := always.get(theirs, ours)) != ours:
            said = _("%(theirs)s always stands for %(meant)s. Give another spelling.")
            yield _fault(f"{path}.{ours}", said, theirs=theirs, meant=meant)
        else:
            sound[ours] = theirs
    seen: dict[str, str] = {}
    for ours, theirs in _read(name, sound).items():
        if theirs in seen:
            said = _("%(theirs)s would stand for both %(first)s and %(second)s.")
            yield _fault(path, said, theirs=theirs, first=seen[theirs], second=ours)
        seen.setdefault(theirs, ours)


def _unknown_properties(smax: Mapping[str, object]) -> Iterator[ValidationError]:
    if smax.get("unknown_properties", UnknownProperties.IGNORE.value) not in UnknownProperties.values:
        known = ", ".join(UnknownProperties.values)
        yield _fault("unknown_properties", _("Give one of: %(known)s."), known=known)
