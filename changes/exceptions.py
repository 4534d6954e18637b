"""Errors raised when a change record may not be saved. Each names its field and says how to correct it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Choices
from django.utils.text import capfirst, get_text_list
from django.utils.translation import gettext as _

from .choices import ChangeType, CompletionCode, Phase

_CHOICES: dict[str, type[Choices]] = {kind.__name__: kind for kind in (ChangeType, CompletionCode, Phase)}


@dataclass(frozen=True)
class Unmet:
    """A condition of a transition that does not hold now."""

    field: str
    message: str


@dataclass(frozen=True)
class FieldEdit:
    """The edits of one field since a version: the value then and now, and who edited it last, when.

    `user` is the name of a user or, without one, of an external system; None if neither is known.
    """

    old: Any
    new: Any
    user: str | None
    at: datetime | None


class Said(str):
    """A text for people, made of a translated message and its values, with labels.

    `for_programs` is the same text with the API's values. `kept` is for `in_words()`, which makes the text for people
    again, in any language.
    """

    for_programs: str
    kept: dict[str, Any]

    def __new__(cls, message: str, values: Mapping[str, Any] | None = None) -> "Said":
        values = values or {}
        said = super().__new__(cls, message % {name: _named(value, "label") for name, value in values.items()})
        said.for_programs = message % {name: _named(value, "value") for name, value in values.items()}
        said.kept = {"message": message, "values": {name: _kept(value) for name, value in values.items()}}
        return said


class ChangeRefused(Exception):  # noqa: N818 - the domain's term, and each subclass says what is wrong
    """A save was refused; nothing was saved.

    `str()` of the error is for people. For `for_programs` and `kept` see `Said`, which is the error's only argument.
    """

    field: str = ""

    def __init__(self, message: str, values: Mapping[str, Any] | None = None) -> None:
        said = Said(message, values)
        self.for_programs, self.kept = said.for_programs, said.kept
        super().__init__(said)


class Sentences(tuple[str, ...]):
    """Whole sentences, one after the other. Each may be `Said`."""


class Labels(tuple[str, ...]):
    """Labels of fields or choices, in English."""


def kept_of(text: str) -> dict[str, Any]:
    """What `in_words()` needs to tell this English text, `Said` or without values, in another language."""
    return text.kept if isinstance(text, Said) else {"message": text, "values": {}}


def said_of(error: ValidationError) -> Said:
    """All messages of the error, one after the other."""
    by_field = error.error_dict.values() if hasattr(error, "error_dict") else [error.error_list]
    return Said("%(errors)s", {"errors": Sentences(map(_said, chain.from_iterable(by_field)))})


def _said(error: ValidationError) -> str:
    (text,) = error.messages
    # The message may depend on a number in its values. Then it is not known without them.
    message = str(error.message)
    return Said(message, error.params) if error.params and message % error.params == text else text


def in_words(kept: Mapping[str, Any]) -> str:
    """The text for people of a refusal or a result of which this was `kept`, in the language of the page.

    It was made where the language is English, as in the API, so that its texts can be translated.
    """
    text, values = _(kept["message"]), kept["values"]
    return text % {name: _named(_read(value), "label") for name, value in values.items()} if values else text


def _named(value: object, by: str) -> Any:
    """A choice as its attribute `by` ("value" or "label"), a tuple of choices joined; anything else unchanged."""
    if isinstance(value, Labels):
        return ", ".join(capfirst(_(each)) for each in value)
    if isinstance(value, tuple):
        between = " " if isinstance(value, Sentences) else ", "
        return between.join(str(_named(each, by)) for each in value)
    return str(getattr(value, by)) if isinstance(value, Choices) else value


def _kept(value: object) -> Any:
    """This value of a text, as JSON can hold it."""
    if isinstance(value, Sentences):
        return {"sentences": [{"said": each.kept} if isinstance(each, Said) else each for each in value]}
    if isinstance(value, Labels):
        return {"labels": list(value)}
    if isinstance(value, tuple):
        return [_kept(each) for each in value]
    if isinstance(value, Choices):
        return {type(value).__name__: value.value}
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _read(kept: Any) -> Any:
    """The value of which this was `kept`. A choice that a later release does not have is its API's value."""
    if isinstance(kept, list):
        return tuple(map(_read, kept))
    if not isinstance(kept, dict):
        return kept
    ((kind, value),) = kept.items()
    if kind == "sentences":
        return Sentences(_(each) if isinstance(each, str) else in_words(each["said"]) for each in value)
    if kind == "labels":
        return Labels(value)
    choice = _CHOICES.get(kind)
    return choice(value) if choice and value in choice.values else value


class NoTransition(ChangeRefused):
    """The workflow table has no transition from the current phase to the target."""

    field = "phase"

    def __init__(self, change_type: str, source: str, target: str, possible: Sequence[Phase]) -> None:
        self.target, self.possible = target, possible
        ends = {"source": source, "target": target}
        values = {
            "type": ChangeType(change_type),
            # Either may not be a phase: a new change comes from "nothing", and a program can ask for any word.
            **{key: Phase(name) if name in Phase.values else name for key, name in ends.items()},
            "possible": tuple(possible),
        }
        message = _("%(type)s changes have no transition from %(source)s to %(target)s. Possible: %(possible)s.")
        if not possible:
            message = _(
                "%(type)s changes have no transition from %(source)s to %(target)s. Possible: none, the phase is final."
            )
        super().__init__(message, values)


class ConditionsUnmet(ChangeRefused):
    """The transition exists, and `unmet` lists every condition that does not hold."""

    field = "phase"

    def __init__(self, target: str, unmet: Sequence[Unmet]) -> None:
        self.target, self.unmet = target, unmet
        values = {"phase": Phase(target), "conditions": Sentences(item.message for item in unmet)}
        super().__init__(_("Not ready for %(phase)s: %(conditions)s"), values)


class StaleChange(ChangeRefused):
    """Somebody else saved the record since it was read. `edits` has their edits by field."""

    field = "version"

    def __init__(self, number: str, version: int, edits: Mapping[str, FieldEdit]) -> None:
        self.number, self.version, self.edits = number, version, edits
        message = _("%(number)s was changed by somebody else since you read it (%(fields)s). Read it again first.")
        if not edits:
            message = _("%(number)s was changed by somebody else since you read it. Read it again first.")
        super().__init__(message, {"number": number, "fields": ", ".join(edits)})


class ReadOnlyChange(ChangeRefused):
    """The phase is final, or the field can be edited only in Log. `fields` are those that may not change."""

    def __init__(self, message: str, fields: Sequence[str], values: Mapping[str, Any] | None = None) -> None:
        self.fields = fields
        self.field = fields[0]
        super().__init__(message, values)


class NotDecidable(ChangeRefused):
    """This person cannot decide on this change now."""

    field = "decision"


class MayNotApprove(NotDecidable):
    """This person requested or created the change, or altered its plan last."""


class RecipientsUnseen(ChangeRefused):
    """An addition would be sent to partners that the person's page did not name."""

    def __init__(self, partners: Sequence[str], *, is_more: bool) -> None:
        self.partners = partners
        message = _("It would now be sent to %(partners)s, which the page did not name. Send it again to confirm.")
        if is_more:
            message = _(
                "It would now be sent to %(partners)s too, which the page did not name. Send it again to confirm."
            )
        super().__init__(message, {"partners": get_text_list([*partners], _("and"))})
