"""The `Extension` by which the exchange adds to the app `changes`. The app registers it in `ready()`."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.template import Context

from changes.choices import Phase, Visibility
from changes.extensions import Extension
from changes.models import Attachment, Change, Comment
from changes.pages.parts import Part
from integrations import rules
from integrations.models import ExternalGroup
from integrations.outgoing import outbox
from integrations.outgoing.preview import Preview, Reading, draft_of
from integrations.security_events import kinds, receivers
from integrations.standing import wording
from integrations.workers import wakeup

from . import (
    bulk_operations,
    change_news,
    desk_parts,
    export_tables,
    list_columns,
    own_tokens,
    timeline_operations,
)
from .change_panel import already_read, exchange_of

# Attribute of the request for a list: the overview of its changes, read once for all rows.
_OVERVIEW = "_exchange_overview"


def _exchange(context: Context) -> dict[str, Any]:
    return {"exchange": exchange_of(context["change"])}


def _pairs(context: Context) -> dict[str, Any]:
    request, page = context["request"], context["page"]
    overview = getattr(request, _OVERVIEW, None)
    if overview is None:
        overview = list_columns.overview(page.rows)
        setattr(request, _OVERVIEW, overview)
    return {"pairs": overview.pairs.get(context["change"].pk, [])}


# --- What would be sent ---


def _reading(change: Change) -> Reading:
    """What the page has read already; otherwise reads it with three queries."""
    shown = already_read(change)
    return shown.reading if shown else Reading([change])


def _sends(preview: Preview, is_changed: bool = True) -> dict[str, Any]:
    return {"preview": preview, "is_changed": is_changed}


def _of_comment(context: Context) -> dict[str, Any]:
    """Previews a public comment."""
    change = context["change"]
    comment = Comment(change=change, author=context["request"].user, visibility=Visibility.PUBLIC)
    return _sends(_reading(change).of_comment(change, comment))


def _of_file(context: Context) -> dict[str, Any]:
    change = context["change"]
    return _sends(_reading(change).of_attachment(change, Attachment(change=change, author=context["request"].user)))


def _of_abandon(context: Context) -> dict[str, Any]:
    change = context["change"]
    draft = draft_of(change, completion_code=context["code"].value, phase=Phase.ABANDON.value)
    return _sends(_reading(change).of_save(change, draft))


def _of_edit(context: Context) -> dict[str, Any]:
    stored, draft = context["stored"], context["draft"]
    reading = Reading([stored] if stored else [], [draft.owning_group_id])
    return _sends(reading.of_save(stored, draft), bool(draft.differences_from(stored)))


def _of_transition(context: Context) -> dict[str, Any]:
    return {"sends": wording.transition_sends(exchange_of(context["change"]).recipients)}


def _part(name: str, *values: Any) -> Part:
    return Part(f"integrations/includes/{name}.html", *values)


PARTS = (
    ("desk.now", _part("desk_now", lambda context: {"exchange": desk_parts.present(context["user"])})),
    ("desk.traffic", _part("desk_traffic", lambda context: {"traffic": desk_parts.traffic(context["user"])})),
    ("list.head", _part("holders", lambda context: {"shown": list_columns.holders(context["filter"])})),
    ("list.row", _part("pairs", _pairs)),
    ("change.holder", _part("holder", _exchange)),
    ("change.panels", _part("exchange", _exchange)),
    ("change.panels", _part("references", _exchange)),
    ("move.sends", _part("transition_sends", _of_transition)),
    ("abandon.sends", _part("will_send", _of_abandon)),
    ("edit.sends", _part("will_send", _of_edit)),
    ("comment.sends", _part("will_send_short", _of_comment)),
    ("file.sends", _part("will_send_short", _of_file)),
    ("account.tokens", _part("own_tokens", own_tokens.listed)),
    ("account.password", _part("revokes_tokens", own_tokens.counted)),
    ("account.sessions", _part("revokes_tokens", own_tokens.counted)),
)


def _recipients(change: Change) -> list[str]:
    """The systems that get a comment or an attachment now. The caller has locked the change's row."""
    return [system for _operation, system in rules.on_added(outbox.context_of(change, to_record=False).situation)]


def _partners_of_groups() -> dict[int, str]:
    return dict(ExternalGroup.objects.order_by().values_list("group", "system__system_id"))


def extension() -> Extension:
    return Extension(
        parts=PARTS,
        filters=list_columns.FILTERS,
        columns=[list_columns.COLUMNS],
        news=[change_news.NEWS],
        tables=export_tables.TABLES,
        timeline=[timeline_operations.SHOW],
        searched=[list_columns.SEARCHED],
        partners_of_groups=_partners_of_groups,
        programs=lambda: Q(partner_account__isnull=False),
        recipients=_recipients,
        recipients_shown=lambda change: exchange_of(change).recipients,
        forecast=bulk_operations.forecast,
        wake=wakeup.wake_bulk,
        bulk_kinds=[bulk_operations.RetryOperations()],
        event_kinds=kinds.KINDS,
        caller=receivers.caller_of,
    )
