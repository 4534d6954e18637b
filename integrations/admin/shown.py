"""What the admin says of a system in words: its state, as on the status page, and what the partner may do."""

from __future__ import annotations

from collections.abc import Iterable

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from integrations.standing.status import SystemStatus


def state(status: SystemStatus, is_whole: bool) -> SafeString:
    """The state as a word in its colour. With `is_whole`, also the reason."""
    context = {"status": status, "flow": status.flow, "is_whole": is_whole}
    return render_to_string("admin/integrations/externalsystem/state.html", context)


def chosen(values: Iterable[str] | None, choices: Iterable[tuple[str, object]]) -> str:
    """The labels of the chosen values."""
    if values is None:
        return _("All")
    wanted = {*values}
    return ", ".join(str(label) for value, label in choices if value in wanted) or _("None")
