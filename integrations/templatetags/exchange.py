"""How the pages of a change show its exchange, without the changes knowing of it."""

from __future__ import annotations

from typing import Any

from django import template

from changes.choices import Visibility
from changes.models import Attachment, Change, Comment, SupportGroup
from integrations.models import ExternalGroup
from integrations.outgoing.preview import Planned, Reading, draft_of
from integrations.pages import change_panel, list_columns
from integrations.standing import wording

register = template.Library()

register.simple_tag(change_panel.exchange_of)


@register.simple_tag
def exchange_overview(changes: Any) -> list_columns.Overview:
    """How the changes of a list stand with their partners, to be kept with `as`."""
    return list_columns.overview(changes)


@register.filter
def pairs_of(overview: list_columns.Overview, change: Change) -> list[list_columns.Pair]:
    return overview.pairs.get(change.pk, [])


@register.simple_tag
def external_groups() -> list[ExternalGroup]:
    """The groups that give a change to a partner."""
    return list(ExternalGroup.objects.select_related("group", "system"))


@register.filter
def is_web_address(url: str) -> bool:
    """Whether a partner's URL may become a link: nothing but http and https."""
    return url.lower().startswith(("http://", "https://"))


@register.inclusion_tag("integrations/includes/by_hand.html", takes_context=True)
def by_hand(context: Any, row: change_panel.OutgoingRow, back: str = "") -> dict[str, Any]:
    """Retry now and Skip for an operation that is stuck, for who may; leads back to `back`, or the present page."""
    request = context["request"]
    # A part of a page was asked for under an address of its own, or with what htmx adds to it.
    back = back or request.htmx.current_url_abs_path or request.get_full_path()
    # Ids of its own: an operation may stand on the page twice.
    prefix = "head-" if context.get("partner") else ""
    return {"row": row, "back": back, "prefix": prefix, "perms": context["perms"], "csrf_token": context["csrf_token"]}


# --- What would be sent ---


def _reading(change: Change) -> Reading:
    """What the page has read already, else three queries."""
    shown = change_panel.already_read(change)
    return shown.reading if shown else Reading([change])


@register.inclusion_tag("integrations/includes/will_send_short.html", takes_context=True)
def will_send_comment(context: Any, change: Change) -> dict[str, Any]:
    """Whom a public comment goes to, how each of them stands, and who would hear nothing."""
    comment = Comment(change=change, author=context["request"].user, visibility=Visibility.PUBLIC)
    return {"preview": _reading(change).of_comment(change, comment)}


@register.inclusion_tag("integrations/includes/will_send_short.html", takes_context=True)
def will_send_attachment(context: Any, change: Change) -> dict[str, Any]:
    """The same for a file, which is never private."""
    attachment = Attachment(change=change, author=context["request"].user)
    return {"preview": _reading(change).of_attachment(change, attachment)}


@register.inclusion_tag("integrations/includes/will_send.html")
def will_send_values(change: Change, **values: Any) -> dict[str, Any]:
    """What a save of the change with these values would send, as in `completion_code="Withdrawn"`."""
    group: SupportGroup | None = values.get("owning_group")
    reading = Reading([change], [group.pk]) if group else _reading(change)
    return {"preview": reading.of_save(change, draft_of(change, **values)), "is_changed": True}


@register.inclusion_tag("integrations/includes/will_send.html")
def will_send_save(stored: Change | None, draft: Change) -> dict[str, Any]:
    """What a save of `draft` would send, where the database has `stored`; None creates it."""
    reading = Reading([stored] if stored else [], [draft.owning_group_id])
    is_changed = bool(draft.differences_from(stored))
    return {"preview": reading.of_save(stored, draft), "is_changed": is_changed}


@register.simple_tag
def will_send_transition(change: Change) -> str:
    """What a transition by itself sends: nothing; and when the partners learn of it."""
    return wording.transition_sends(change_panel.exchange_of(change).recipients)


@register.filter
def purpose(planned: Planned) -> str:
    return wording.purpose(planned.operation, planned.system_id, planned.attachment is not None)
