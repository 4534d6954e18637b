"""Filters that isolate texts that people wrote. They are built in, so templates need not load them.

See changes/texts/isolation.py.
"""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from changes.texts import isolation

register = template.Library()
register.filter("apart", isolation.apart)


@register.filter
def bdi(value: object) -> SafeString | str:
    """The text isolated in a `<bdi>` element, for the body of a page. Use `apart` for an attribute or a title."""
    text = "" if value is None else str(value)
    return format_html("<bdi>{}</bdi>", isolation.without_turning(text)) if isolation.is_turned(text) else text
