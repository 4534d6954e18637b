"""The database of the outbox machine: reading it, checking the circuit breakers, emptying it."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import F

from changes.models import Change, Comment
from integrations.models import (
    DeliveryAttempt,
    DeliveryControl,
    Exchange,
    ExternalReference,
    ExternalSystem,
    OutgoingOperation,
)
from integrations.outgoing import outbox
from integrations.outgoing.outbox import Outcome

from .outbox_model import Claimed, Event, Tried

ROW = (
    *("id", "exchange_id", "change_id", "sequence", "operation", "status", "is_next", "tries", "claim"),
    *("claimed_until", "next_try_at", "settled_at", "last_error", "skip_reason", "skipped_by_id"),
)


def rows() -> dict[Any, Any]:
    """All operations, in order of sequence."""
    found = OutgoingOperation.objects.order_by("exchange_id", "sequence")
    found = found.annotate(system_name=F("system__system_id"), comment_body=F("comment__body"))
    return {row.id: row for row in found.values_list(*ROW, "system_name", "comment_body", named=True)}


def controls() -> dict[str, DeliveryControl]:
    found = DeliveryControl.objects.select_related("system").only(
        "breaker", "breaker_until", "system__system_id", "system__max_in_flight"
    )
    return {control.system.system_id: control for control in found}


def assert_breaker_follows(old: DeliveryControl, new: DeliveryControl, events: list[Event], wish: str | None) -> None:
    tried = any(isinstance(event, Tried) for event in events)
    failed = any(
        isinstance(event, Tried) and any(outcome is Outcome.RETRY for _, _, outcome in event.results)
        for event in events
    )
    claimed = any(isinstance(event, Claimed) for event in events)
    is_by_hand = old.breaker == "Open" and old.breaker_until is None
    allowed = {
        ("Closed", "Open"): failed or wish == "open",
        ("Open", "HalfOpen"): claimed and not is_by_hand,
        ("Open", "Closed"): wish == "close",
        ("HalfOpen", "Closed"): tried or wish == "close",
        ("HalfOpen", "Open"): failed or wish == "open",
        # Could only happen if one worker claims while another settles; it is never allowed.
        ("Closed", "HalfOpen"): False,
    }
    if old.breaker != new.breaker:
        assert allowed[old.breaker, new.breaker], f"{old.breaker} became {new.breaker} by {events} {wish}"


def forget_everything() -> None:
    """Deletes everything that the last example left."""
    with connection.cursor() as cursor:
        for model in (
            DeliveryAttempt,
            OutgoingOperation,
            ExternalReference,
            Exchange,
            Comment,
            Change.history.model,
            Change,
            DeliveryControl,
        ):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608 - names of tables
    ExternalSystem.objects.update(enabled=True, paused_at=None, pause_status=None, max_in_flight=16, rate_limit=None)
    outbox.release_stale()  # creates the control of each system again
