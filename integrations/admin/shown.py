"""The state of a system in the admin: the same words as on the status page, with a link to it."""

from __future__ import annotations

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from integrations.standing.status import SystemStatus


def state(status: SystemStatus, is_whole: bool) -> SafeString:
    """The state as a word in its colour. With `is_whole`, also the reason."""
    context = {"status": status, "flow": status.flow, "is_whole": is_whole}
    return render_to_string("admin/integrations/externalsystem/state.html", context)
