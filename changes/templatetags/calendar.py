"""Dates and times of day for the calendar."""

from __future__ import annotations

from datetime import date, datetime

from django import template
from django.utils import timezone
from django.utils.dateformat import format as formatted
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import pgettext_lazy

from changes.texts import moments

register = template.Library()
# Date formats, translated because German puts a dot after the number of the day.
_FORMATS = {
    "weekday": pgettext_lazy("format of a date", "l, j F"),
    "weekday_year": pgettext_lazy("format of a date", "l, j F Y"),
    "short": pgettext_lazy("format of a date", "D j M"),
    "day": pgettext_lazy("format of a date", "j F"),
    "day_year": pgettext_lazy("format of a date", "j F Y"),
}


@register.filter
def dated(day: date, form: str) -> str:
    """The date in the language of the page, in the format `form` of `_FORMATS`; of a datetime in the current zone."""
    local = timezone.localtime(day) if isinstance(day, datetime) else day
    return formatted(local, str(_FORMATS[form]))


@register.simple_tag
def clock(moment: datetime) -> SafeString:
    """The time of day in the current time zone, with the exact time as a tooltip."""
    local = timezone.localtime(moment)
    exact, shown = moments.exact(moment), local.strftime("%H:%M")
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, shown)
