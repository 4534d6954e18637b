"""How the administration shows a system's health and numbers: as the staff's status page does."""

from __future__ import annotations

from datetime import datetime

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from changes.templatetags.changes import ago
from integrations.choices import DeliveryStatus
from integrations.models import ExternalSystem
from integrations.standing.status import SystemStatus


def health(status: SystemStatus, is_whole: bool) -> SafeString:
    """The health in words and colour; with its reason where `is_whole`."""
    context = {"status": status, "health": status.health, "is_whole": is_whole}
    return render_to_string("admin/integrations/externalsystem/health.html", context)


def operations(system: ExternalSystem, count: int, status: DeliveryStatus) -> SafeString | int:
    """A count that leads to those operations in the exchange log."""
    if not count:
        return 0
    query = {"system": system.system_id, "status": status.value}
    return format_html('<a href="{}">{}</a>', reverse("exchange:log", query=query), count)


def moment(when: datetime | None, never: str) -> SafeString | str:
    """How long ago, and on hover exactly when."""
    if when is None:
        return never
    local = timezone.localtime(when)
    exact = f"{local:%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, ago(when))
