"""One-line texts that people write. They are tidied as a browser's field would do it, on every way in."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.db import models

from changes.validators import is_blank, is_unseen

_BREAKS = re.compile("\r\n|[\n\r\t\v\f\x85\u2028\u2029]")
# The flag of a region, such as Scotland's, contains invisible characters that must stay.
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")


def as_line(text: str) -> str:
    """The text with a space for each line break or tab, and without white space at the edges or invisible characters.

    "" if nothing of it is visible. A NUL stays, so that the validators refuse it.
    """
    text = text.strip()
    if text.isascii() and text.isprintable():
        return text
    text = _BREAKS.sub(" ", text)
    flags = {place for match in _FLAG.finditer(text) for place in range(*match.span())}
    kept = [
        char
        for place, char in enumerate(text)
        if char == "\0" or place in flags or not (is_unseen(char) or _is_idle_joiner(text, place))
    ]
    line = "".join(kept).strip()
    return "" if is_blank(line) else line


def _is_idle_joiner(text: str, place: int) -> bool:
    """Whether it is a joiner that has nothing to join: beside white space, or between letters of ASCII."""
    if text[place] not in "\u200c\u200d":
        return False
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    return not (before.strip() and after.strip()) or (before.isascii() and after.isascii())


class Line(forms.CharField):
    """A form field for one line. A difference that a browser's field cannot show is not an edit."""

    def to_python(self, value: object) -> Any:
        return as_line(super().to_python(value) or "") or self.empty_value

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "dir": "auto"}

    def prepare_value(self, value: object) -> Any:
        return as_line(value) if isinstance(value, str) else value

    def has_changed(self, initial: object, data: object) -> bool:
        return super().has_changed(self.to_python(initial), data)


class LineField(models.CharField):
    """A model field for one line. Every save stores the tidied text."""

    def deconstruct(self) -> Any:
        # The column is the same as a CharField's, so migrations name that.
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def to_python(self, value: object) -> Any:
        value = super().to_python(value)
        return as_line(value) if isinstance(value, str) else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": Line, **kwargs})
