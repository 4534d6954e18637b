"""`{% renews %}`: see changes/pages/renewal.py."""

from __future__ import annotations

from django import template
from django.template import Context
from django.utils.safestring import SafeString

from changes.pages import renewal

register = template.Library()


@register.simple_tag(takes_context=True)
def renews(
    context: Context, version: str, every: int = 0, address: str = "", also: str = "", waits: bool = False
) -> SafeString:
    """The attributes of a part that polls `address`, by default the address of this request. `waits`: for news."""
    every = renewal.interval(context["request"]) if waits else every
    return renewal.attributes(version, every, address or context["request"].path, also)
