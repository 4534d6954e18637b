"""What the REST API must answer for a change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from changes.models import Change
from integrations.models import ExternalReference
from integrations.outgoing.payloads import change_snapshot, timestamp


def as_read(
    change: Change, references: Iterable[ExternalReference] = (), last_activity_at: datetime | None = None
) -> dict[str, Any]:
    """As in a payload, and with the last activity (by default the one that staff see) after `updated_at`."""
    read: dict[str, Any] = {}
    for name, value in change_snapshot(change, references).items():
        read[name] = value
        if name == "updated_at":
            read["last_activity_at"] = timestamp(last_activity_at or change.last_activity_at)
    return read
