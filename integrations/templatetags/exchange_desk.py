"""How the desk shows the exchange, without the changes knowing of it."""

from __future__ import annotations

from typing import Any

from django import template

from changes.pages.desk import charts
from integrations.pages import desk_parts

register = template.Library()


@register.simple_tag
def exchange_now() -> desk_parts.Present:
    """How each system does and what needs a person, to be kept with `as`."""
    return desk_parts.present()


@register.simple_tag
def exchange_traffic(user: Any) -> charts.HourChart:
    """The operations of each hour of the last day, to be kept with `as`."""
    return desk_parts.traffic(user)
