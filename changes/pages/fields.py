"""Fields of forms in which what the person did not touch is no edit, however a browser shows and sends it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class Text(forms.CharField):
    """Text whose line ends a browser may spell in its own way without that being an edit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n").replace("\r", "\n")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.to_python(initial), data)


class Line(forms.CharField):
    """One line without spaces around it. Those that the stored value has are no edit."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.to_python(initial), data)


class Minute(forms.DateTimeField):
    """A time to the minute, in the current time zone. What is sent as it was shown is no edit: the stored one stays.

    Where the clocks are put back, an hour comes twice: what is typed is its first. Where they are put forward, one is
    left out: what is typed in it is refused.
    """

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"}, format="%Y-%m-%dT%H:%M")

    def __init__(self, **kwargs: Any) -> None:
        invalid = gettext_lazy("Enter a valid date/time, as in 2026-12-01 22:00.")
        formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        super().__init__(input_formats=formats, error_messages={"invalid": invalid}, **kwargs)

    def to_python(self, value: Any) -> datetime | None:
        try:
            return super().to_python(value)
        except ValidationError as error:
            if error.code != "ambiguous_timezone" or not error.params:
                raise
            return _first(error.params["datetime"])

    def has_changed(self, initial: Any, data: Any) -> bool:
        if isinstance(initial, datetime):
            if data == self.widget.format_value(self.prepare_value(initial)):
                return False
            initial = initial.replace(second=0, microsecond=0)
        return super().has_changed(initial, data)


def _first(typed: datetime) -> datetime:
    """The moment of a time that comes twice in the current time zone; ValidationError for one that does not come."""
    moment = typed.replace(tzinfo=timezone.get_current_timezone(), fold=0)
    told = moment.astimezone(UTC).astimezone(moment.tzinfo)
    if told.replace(tzinfo=None) != typed:
        said = _("That hour does not exist that night: write %(time)s.") % {"time": told.strftime("%H:%M")}
        raise ValidationError(said, code="imaginary")
    return moment


def comes_twice(moment: datetime) -> bool:
    """Whether the current time zone has another moment that reads the same."""
    local = _local(moment)
    return local is not None and local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def which_of_two(moment: Any) -> str:
    """What to say beside a time that comes twice; nothing for any other."""
    local = _local(moment) if isinstance(moment, datetime) else None
    if local is None or not comes_twice(moment):
        return ""
    values = {"time": local.strftime("%H:%M"), "zone": local.tzname()}
    if local.fold:
        return _("%(time)s comes twice that night; this is the second (%(zone)s).") % values
    return _("%(time)s comes twice that night; this is the first (%(zone)s).") % values


def first_was_taken(field: str, moment: datetime) -> str:
    """What to say of a time of a typed field that comes twice."""
    local = timezone.localtime(moment)
    values = {"field": field, "time": local.strftime("%H:%M"), "zone": local.tzname()}
    return _("%(field)s: %(time)s comes twice that night; the first (%(zone)s) was taken.") % values


def _local(moment: datetime) -> datetime | None:
    """The moment in the current time zone; None at the ends of the calendar, which have none there."""
    try:
        return timezone.localtime(moment)
    except OverflowError:
        return None


class PersonChoice(forms.ModelChoiceField):
    def label_from_instance(self, person: Any) -> str:
        name = person.get_full_name()
        return f"{person.get_username()} ({name})" if name else person.get_username()
