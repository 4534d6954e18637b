"""How the pages of a change show its exchange, without the changes knowing of it."""

from __future__ import annotations

from typing import Any

from django import template

from changes.models import Change

from .. import change_list, panels
from ..models import ExternalGroup, OutgoingOperation

register = template.Library()


@register.simple_tag
def exchange_of(change: Change) -> panels.ChangeExchange:
    """Everything of the exchange of one change, to be kept with `as`."""
    return panels.exchange_of(change)


@register.simple_tag
def exchange_overview(changes: Any) -> change_list.Overview:
    """How the changes of a list stand with their partners, to be kept with `as`."""
    return change_list.overview(changes)


@register.filter
def pairs_of(overview: change_list.Overview, change: Change) -> list[change_list.Pair]:
    return overview.pairs.get(change.pk, [])


@register.simple_tag
def external_groups() -> list[ExternalGroup]:
    """The groups that give a change to a partner."""
    return list(ExternalGroup.objects.select_related("group", "system"))


@register.filter
def is_web_address(url: str) -> bool:
    """Whether a partner's URL may become a link: nothing but http and https."""
    return url.lower().startswith(("http://", "https://"))


@register.filter
def is_outgoing(row: Any) -> bool:
    return isinstance(row.operation, OutgoingOperation)


@register.inclusion_tag("integrations/includes/by_hand.html", takes_context=True)
def by_hand(context: Any, row: panels.OutgoingRow) -> dict[str, Any]:
    """Retry now and Skip for an operation that is stuck, for who may; leads back to the present page."""
    return {"row": row, "perms": context["perms"], "request": context["request"], "csrf_token": context["csrf_token"]}
