"""Template tags of the exchange's own templates."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from knox.models import AuthToken

from changes.pages.htmx import address_of_page
from integrations.models import DeliveryAttempt, ExternalSystem
from integrations.outgoing.preview import Planned
from integrations.pages import change_panel
from integrations.pages.sparkline import sparkline
from integrations.standing import attention, failures, notes, wording
from integrations.standing.last_day import Day
from integrations.standing.status import SystemStatus
from integrations.standing.status_report import duration
from integrations.tokens.life import end_of

register = template.Library()

MINUTE = 60


@register.filter
def is_web_address(url: str) -> bool:
    """Whether a partner's URL may become a link: only http and https may."""
    return url.lower().startswith(("http://", "https://"))


@register.inclusion_tag("integrations/includes/by_hand.html", takes_context=True)
def by_hand(context: Context, row: change_panel.OutgoingRow, back: str = "") -> dict[str, Any]:
    """Retry now and Skip for a stuck operation, if the user may. They lead back to `back`, by default this page."""
    request = context["request"]
    back = back or address_of_page(request)
    # A prefix keeps HTML ids unique: an operation may be on the page twice.
    prefix = "head-" if context.get("partner") else ""
    return {"row": row, "back": back, "prefix": prefix, "perms": context["perms"], "csrf_token": context["csrf_token"]}


@register.filter
def outcome(attempt: DeliveryAttempt) -> str:
    """What came of an attempt: the HTTP status, or what told that the partner has it or does not."""
    return wording.outcome(attempt)


@register.inclusion_tag("integrations/includes/attempt_error.html")
def attempt_error(attempt: DeliveryAttempt, system: ExternalSystem) -> dict[str, Any]:
    """Why an attempt failed, and what of its answer could not be used, in the language of the page."""
    said, seen = failures.of_attempt(system, attempt)
    return {"said": said, "seen": seen, "note": notes.in_words(attempt.note)}


@register.filter
def seen(record: Any) -> str:
    """What a page shows of a record that needs attention, for the form that acknowledges it."""
    return attention.seen_of(record)


@register.filter
def took(seconds: float) -> str:
    """A duration: to hundredths of a second, from a minute on in its two largest units."""
    if seconds >= MINUTE:
        return duration(int(seconds))
    return _("%(seconds)s s") % {"seconds": number_format(seconds, 2)}


@register.inclusion_tag("integrations/includes/last_day.html")
def last_day(status: SystemStatus) -> dict[str, Any]:
    """The deliveries and failures of a system in the last day, as a sparkline and in numbers."""
    day = status.last_day or Day(())
    share = None
    if day.failure_share is not None:
        share = number_format(round(100 * day.failure_share, 1), 1 if day.failed else 0)
    return {"day": day, "line": sparkline(day), "share": share, "system_id": status.system_id}


@register.filter
def token_end(token: AuthToken) -> str:
    return end_of(token)


@register.filter
def purpose(planned: Planned) -> str:
    return wording.purpose(planned.operation, planned.system_id, planned.attachment is not None)
