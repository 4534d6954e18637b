"""Form fields in which an untouched value never counts as an edit, however a browser shows and sends it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import BadRequest, ValidationError
from django.forms.renderers import BaseRenderer
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.models.personal.preferences import time_zones
from changes.validators import is_blank, validate_moment


class Text(forms.CharField):
    """A text of several lines. A browser's other line ends do not count as an edit.

    If it is required, something of it must be visible.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "dir": "auto"}

    def to_python(self, value: object) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n").replace("\r", "\n")

    def validate(self, value: Any) -> None:
        super().validate("" if is_blank(value) else value)

    def has_changed(self, initial: object, data: object) -> bool:
        return super().has_changed(self.to_python(initial), data)


# The form field with the time zone in which the form was rendered; work_in_zone_of() reads it.
ZONE = "zone"
ASK, FIRST, LAST = "ask", "first", "last"
_SHOWN = "%Y-%m-%dT%H:%M"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def work_in_zone_of(sent: QueryDict) -> None:
    """Activates the time zone in which the submitted form was rendered. Raises BadRequest for an unknown one.

    The middleware resets the zone after the answer.
    """
    name = sent.get(ZONE)
    if not name:
        return
    if name not in time_zones():
        raise BadRequest(_("The form names a time zone that does not exist: open its page again."))
    timezone.activate(ZoneInfo(name))


class MinuteInput(forms.DateTimeInput):
    """A field for a time, with a hidden field for its zone.

    If the time occurs twice because the clocks are put back, there is also a choice between the two.
    """

    # The time that is meant by a date without one, which an address can have.
    time_of_a_date = "00:00"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"type": "datetime-local", "step": "60", **(attrs or {})}, format=_SHOWN)

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: BaseRenderer | None = None
    ) -> SafeString:
        shown, offset = _as_shown(self.format_value(value) or "")
        parts = [super().render(name, shown, attrs, renderer)]
        if both := _readings(shown):
            said = [_("the first (%(zone)s)"), _("the second (%(zone)s)")]
            options = [(_offset(each), text % {"zone": each.tzname()}) for each, text in zip(both, said, strict=True)]
            which = forms.Select(choices=[("", _("Which of the two?")), *options])
            named = {"aria-label": _("Which of the two hours"), "id": f"{(attrs or {}).get('id', name)}_offset"}
            parts.append(which.render(f"{name}_offset", offset, named, renderer))
        parts.append(forms.HiddenInput().render(ZONE, str(timezone.get_current_timezone()), None, renderer))
        return format_html_join("", "{}", ((part,) for part in parts))

    def value_from_datadict(self, data: Mapping[str, Any], files: object, name: str) -> Any:
        """The typed text, with a time, and with the chosen offset if that time occurs twice."""
        text, offset = data.get(name), data.get(f"{name}_offset")
        if text and _DATE.fullmatch(text):
            text = f"{text}T{self.time_of_a_date}"
        if text and offset and offset in map(_offset, _readings(text)):
            return f"{text}{offset}"
        return text


class _BoundMinute(forms.BoundField):
    """A bound field whose label names the time zone."""

    def __init__(self, form: Any, field: forms.Field, name: str) -> None:
        super().__init__(form, field, name)
        zone = timezone.get_current_timezone()
        self.label = _("%(label)s (%(zone)s)") % {"label": self.label, "zone": zone}


class Minute(forms.DateTimeField):
    """A time to the minute, in the current time zone. A value sent as it was shown is no edit, so seconds are kept.

    When the clocks are put back, an hour occurs twice: the person must choose, or `of_two` decides (ASK, FIRST or
    LAST, which are for the ends of a range). When they are put forward, an hour does not exist: a time in it is
    refused. A date without a time means its first minute, as the end of a range its last one.
    """

    widget = MinuteInput
    default_validators = [validate_moment]

    def __init__(self, *, of_two: str = ASK, **kwargs: Any) -> None:
        errors = {
            "invalid": gettext_lazy("Enter a valid date/time, as in 2026-12-01 22:00."),
            "ambiguous": gettext_lazy(
                "%(time)s comes twice that night: choose the first (%(first)s) or the second (%(second)s)."
            ),
            "imaginary": gettext_lazy("That hour does not exist that night: write %(time)s."),
            **kwargs.pop("error_messages", {}),
        }
        formats = [_SHOWN, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        super().__init__(input_formats=formats, error_messages=errors, **kwargs)
        self.of_two = of_two
        if of_two == LAST and isinstance(self.widget, MinuteInput):
            self.widget.time_of_a_date = "23:59"

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        return _BoundMinute(form, self, field_name)

    def prepare_value(self, value: object) -> Any:
        if not isinstance(value, datetime):
            return value
        local = _local(value)
        shown = local.strftime(_SHOWN) if local else value.strftime(_SHOWN)
        return f"{shown}{_offset(local)}" if local and _readings(shown) else shown

    def to_python(self, value: Any) -> datetime | None:
        try:
            return super().to_python(value)
        except ValidationError as error:
            if error.code != "ambiguous_timezone" or not error.params:
                raise
            return self._of_two(error.params["datetime"])

    def _of_two(self, typed: datetime) -> datetime:
        """Resolves a time that occurs twice or not at all in the current time zone. Raises ValidationError."""
        first, last = (typed.replace(tzinfo=timezone.get_current_timezone(), fold=fold) for fold in (0, 1))
        told = first.astimezone(UTC).astimezone(first.tzinfo)
        if told.replace(tzinfo=None) != typed:
            values = {"time": told.strftime("%H:%M")}
            raise ValidationError(self.error_messages["imaginary"], code="imaginary", params=values)
        if self.of_two == ASK:
            values = {"time": typed.strftime("%H:%M"), "first": str(first.tzname()), "second": str(last.tzname())}
            raise ValidationError(self.error_messages["ambiguous"], code="ambiguous", params=values)
        return first if self.of_two == FIRST else last

    def has_changed(self, initial: object, data: object) -> bool:
        if isinstance(initial, datetime):
            if data == self.prepare_value(initial):
                return False
            initial = initial.replace(second=0, microsecond=0)
        return super().has_changed(initial, data)


def keep_unedited(form: forms.ModelForm[Any], fields: Collection[str]) -> None:
    """Gives these fields their stored value, and no error: the form cannot show it exactly.

    It shows neither seconds nor fractions, and an offset of 1900 has seconds. To be called in `clean()`.
    """
    for name in fields:
        form.cleaned_data[name] = getattr(form.instance, name)
        form.errors.pop(name, None)


def end_of(minute: datetime) -> datetime:
    """The moment after this minute: the end of a range whose last minute belongs to it."""
    # In UTC: in a zone, the sum would be in the first of two hours, whichever of them the minute is in.
    return minute.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)


def _as_shown(text: str) -> tuple[str, str]:
    """The time in the form of a browser's field, in the current time zone, and its offset; "" if it has none."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return text, ""
    local = _local(moment) if moment and moment.tzinfo else None
    return (local.strftime(_SHOWN), _offset(local)) if local else (text, "")


def _readings(text: str) -> list[datetime]:
    """The two meanings of a time that occurs twice in the current time zone; an empty list for any other."""
    try:
        typed = parse_datetime(text)
        if typed is None or typed.tzinfo:
            return []
        both = [typed.replace(tzinfo=timezone.get_current_timezone(), fold=fold) for fold in (0, 1)]
        is_twice = both[0].utcoffset() > both[1].utcoffset()  # type: ignore[operator]
    except (ValueError, OverflowError):
        return []
    return both if is_twice else []


def _offset(moment: datetime) -> str:
    """The offset from UTC, such as `+02:00`."""
    return moment.isoformat()[-6:]


def _local(moment: datetime) -> datetime | None:
    """The time in the current time zone; None if it lies outside the calendar there (year 1 or 9999)."""
    try:
        return timezone.localtime(moment)
    except OverflowError:
        return None


class PersonChoice(forms.ModelChoiceField):
    def label_from_instance(self, person: Any) -> str:
        name = person.get_full_name()
        return f"{person.get_username()} ({name})" if name else person.get_username()
