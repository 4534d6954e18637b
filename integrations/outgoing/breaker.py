"""The circuit breaker by hand, on whichever page: done, and written into the administration's history of the system."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction

from integrations.models import ExternalSystem

from . import outbox

PERMISSION = "integrations.change_externalsystem"


def open_by_hand(system: ExternalSystem, user: Any, reason: str) -> None:
    """Nothing more is sent to `system` until a person closes it; who asks why is told the reason, and whose it is.

    Raises ValueError without a reason.
    """
    reason = reason.strip()
    with transaction.atomic():
        outbox.open_breaker(system, f"{reason} ({user.get_username()})" if reason else "")
        _log(system, user, f"Opened the circuit breaker. Reason: {reason}")


def close_by_hand(system: ExternalSystem, user: Any) -> None:
    """Operations are sent to `system` again at once."""
    with transaction.atomic():
        outbox.close_breaker(system)
        _log(system, user, "Closed the circuit breaker.")


def _log(system: ExternalSystem, user: Any, message: str) -> None:
    LogEntry.objects.log_actions(user.pk, [system], CHANGE, message, single_object=True)
