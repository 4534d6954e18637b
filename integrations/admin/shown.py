"""How the administration shows the state of a system: in the words of the staff's status page, and leading there."""

from __future__ import annotations

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from integrations.standing.status import SystemStatus


def state(status: SystemStatus, is_whole: bool) -> SafeString:
    """The word in its colour; with its reason where `is_whole`."""
    context = {"status": status, "flow": status.flow, "is_whole": is_whole}
    return render_to_string("admin/integrations/externalsystem/state.html", context)
