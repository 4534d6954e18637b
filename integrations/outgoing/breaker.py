"""Opening and closing a circuit breaker by hand. Each is also logged in the admin's history of the system."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction

from changes.validators import is_blank
from integrations.models import DeliveryControl, ExternalSystem

from . import outbox

PERMISSION = "integrations.change_externalsystem"


def open_by_hand(system: ExternalSystem, user: Any, reason: str) -> None:
    """Opens the circuit breaker: nothing more is sent to `system` until a person closes it.

    The reason is shown with the user's name. Raises ValueError if the reason is empty.
    """
    reason = reason.strip()
    with transaction.atomic():
        outbox.open_breaker(system, f"{reason}{_by(user.get_username())}" if not is_blank(reason) else "")
        _log(system, user, f"Opened the circuit breaker. Reason: {reason}")


def close_by_hand(system: ExternalSystem, user: Any) -> None:
    """Closes the circuit breaker: operations are sent to `system` again at once."""
    with transaction.atomic():
        outbox.close_breaker(system)
        _log(system, user, "Closed the circuit breaker.")


def rename_who_opened(former: str, name: str) -> None:
    """Names who opened a circuit breaker by their new name."""
    for control in DeliveryControl.objects.filter(breaker_reason__endswith=_by(former)):
        reason = control.breaker_reason.removesuffix(_by(former)) + _by(name)
        DeliveryControl.objects.filter(pk=control.pk, breaker_reason=control.breaker_reason).update(
            breaker_reason=reason
        )


def _by(name: str) -> str:
    return f" ({name})"


def _log(system: ExternalSystem, user: Any, message: str) -> None:
    LogEntry.objects.log_actions(user.pk, [system], CHANGE, message, single_object=True)
