"""What a finished try is, on its way from delivery to the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from integrations.models import DeliveryAttempt, OutgoingOperation
from integrations.transports.statuses import Outcome


@dataclass
class Result:
    """One finished try of a claimed operation.

    `error` says why it was not delivered, `answer` what the partner says of its record, `note` why some of that cannot
    be used, `retry_after` how many seconds it asks us to wait.
    """

    operation: OutgoingOperation
    attempt: DeliveryAttempt
    outcome: Outcome
    error: str = ""
    answer: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    retry_after: float | None = None
