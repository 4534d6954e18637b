"""The signs of a list's row, without templates: an included template per row is slow on pages of hundreds of rows."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from changes.choices import Phase, Priority

from .changes import icon

register = template.Library()


@register.simple_tag
def phase_badge(value: str) -> SafeString:
    """The same HTML as the tag `phase`, without a template."""
    phase = Phase(value)
    meaning, tone = phase.metaphase.label, phase.tone
    return format_html('<span class="badge phase-{}" title="{}">{}</span>', tone, meaning, phase.label)


@register.simple_tag
def priority_sign(value: str) -> SafeString:
    """A priority as an icon, with its name for screen readers."""
    name, word = value.lower(), Priority(value).label
    return format_html(
        '<span class="priority priority-{}" title="{}">{}<span class="visually-hidden">{}</span></span>',
        name,
        word,
        icon(name),
        word,
    )
