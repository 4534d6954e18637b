"""Times of day, for the calendar."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def clock(moment: datetime) -> SafeString:
    """The time of day in the current time zone; the exact moment on hover."""
    local = timezone.localtime(moment)
    exact, shown = local.strftime("%Y-%m-%d %H:%M:%S %Z"), local.strftime("%H:%M")
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, shown)
