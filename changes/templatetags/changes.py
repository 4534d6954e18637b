"""Small parts that all pages share: icons, times, phases, form fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.core.cache import cache
from django.forms import BaseForm, BoundField, RadioSelect, Select
from django.template import Context
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from changes import models, work
from changes.choices import PRIORITIES, Impact, Phase, Priority
from changes.models import RestoredCopy
from changes.pages import parts as parts_of_pages
from changes.texts import moments

register = template.Library()
register.filter("elapsed", moments.elapsed)
register.filter("exact", moments.exact)
register.filter("to_the_minute", moments.to_the_minute)
# Seconds.
LOOKED_UP_FOR = 5
NEWEST_FIRST = {"number": "-number", "activity": "-activity"}


@register.simple_tag
def request_id() -> str:
    """The id of this request, which the logs name."""
    return work.request_id()


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon from `icons.svg`. It repeats the words beside it, so it is hidden from screen readers."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("changes/icons.svg"),
        name,
    )


@register.simple_tag
def restored_copy() -> RestoredCopy | None:
    """What this database is a copy of; None if it is no copy that waits. Kept for some seconds, to save a query."""
    kept = cache.get_or_set("restored_copy", lambda: [models.restored_copy()], LOOKED_UP_FOR)
    return kept[0] if kept else None


@register.simple_tag(takes_context=True)
def parts(context: Context, place: str, **values: object) -> SafeString:
    """The parts that other apps show at this place of the page: see pages/parts.py."""
    shown = []
    for part in parts_of_pages.at(place):
        with context.push(**values), context.push(**part.values(context)):
            shown.append(context.template.engine.get_template(part.template).render(context))  # type: ignore[union-attr]
    return mark_safe("".join(shown))  # noqa: S308 - rendered templates  # nosec


@register.simple_tag
def when(moment: datetime | None, empty: str = "") -> SafeString | str:
    """A time in the zone and language of the page, to the minute, with the exact time as a tooltip; or `empty`."""
    if moment is None:
        return empty
    iso, exact, shown = moments.local(moment).isoformat(), moments.exact(moment), moments.to_the_minute(moment)
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, exact, shown)


@register.inclusion_tag("changes/includes/sort_head.html", takes_context=True)
def sort_head(context: Context, name: str, label: str) -> dict[str, Any]:
    """The header of a column that the list can be sorted by. A second click reverses the order."""
    order = str(context["order"])
    direction = {name: "ascending", f"-{name}": "descending"}.get(order, "")
    query = context["tidy"].copy()
    # The first click sorts by the newest number or activity; by other columns, ascending.
    query["sort"] = {"ascending": f"-{name}", "descending": name}.get(direction, NEWEST_FIRST.get(name, name))
    return {"label": label, "direction": direction, "href": f"?{query.urlencode()}"}


@register.filter
def words(text: str) -> list[str]:
    return text.split()


@register.filter
def get_field(form: BaseForm, name: str) -> BoundField:
    return form[name]


@register.filter
def ago(moment: datetime) -> str:
    """The time from now in its largest unit, such as `3 minutes ago` or `in 4 hours`."""
    now = timezone.now()
    is_less_than_a_minute = abs((moment - now).total_seconds()) < 60
    if moment > now:
        if is_less_than_a_minute:
            return _("in less than a minute")
        return _("in %(duration)s") % {"duration": moments.remaining(moment, now)}
    if is_less_than_a_minute:
        return _("just now")
    return _("%(duration)s ago") % {"duration": moments.elapsed(moment, now)}


@register.filter
def is_moment(value: object) -> bool:
    return isinstance(value, datetime)


@register.inclusion_tag("includes/phase.html")
def phase(value: str) -> dict[str, Any]:
    """A phase as a badge in the colour of its metaphase."""
    current = Phase(value)
    return {"phase": current.label, "metaphase": current.metaphase.label, "tone": current.tone}


@register.inclusion_tag("includes/priority.html")
def priority(value: str) -> dict[str, Priority]:
    return {"priority": Priority(value)}


@register.simple_tag
def priority_matrix() -> dict[str, Any]:
    return {
        "impacts": [*Impact],
        "rows": [(urgency, [row[impact].value for impact in Impact]) for urgency, row in PRIORITIES.items()],
    }


@register.inclusion_tag("includes/field.html")
def field(bound: BoundField, wide: bool = False) -> dict[str, Any]:
    """A form field with its label, help and errors. Django links them to the control for screen readers."""
    # A required field is marked only if others are optional, and not if it is a select, which always has a value.
    mixed = any(not other.field.required for other in bound.form.visible_fields())
    is_marked = bound.field.required and mixed and not isinstance(bound.field.widget, Select)
    return {
        "field": bound,
        "wide": wide,
        "is_group": isinstance(bound.field.widget, RadioSelect),
        "is_marked": is_marked,
    }
