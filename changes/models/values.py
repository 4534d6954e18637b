"""Checks in `save()`: one-line texts are tidied, impossible times refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.core.exceptions import ValidationError

from changes.texts.lines import as_line
from changes.validators import validate_moment


class Valued(Protocol):
    """The attributes of a change that this module reads."""

    @property
    def LINES(self) -> tuple[str, ...]: ...  # noqa: N802 - as the change names them
    @property
    def TIMES(self) -> tuple[str, ...]: ...  # noqa: N802
    @property
    def changed_fields(self) -> Mapping[str, Any]: ...

    def get_deferred_fields(self) -> set[str]: ...


def tidy_lines(change: Valued, stored: Valued | None) -> None:
    """Tidies one-line texts as a browser's field would. A text that differs only in this stays as it is stored."""
    for name in {*change.LINES} - change.get_deferred_fields():
        line = as_line(getattr(change, name))
        known = getattr(stored, name) if stored else line
        setattr(change, name, known if as_line(known) == line else line)


def refuse_impossible_times(change: Valued) -> None:
    """Raises ValidationError for impossible times that this save sets. Unaltered ones may come from an old release."""
    errors = {}
    for name in change.TIMES:
        moment = getattr(change, name) if name in change.changed_fields else None
        if moment is not None:
            try:
                validate_moment(moment)
            except ValidationError as error:
                errors[name] = error
    if errors:
        raise ValidationError(errors)
