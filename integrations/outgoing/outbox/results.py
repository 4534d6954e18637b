"""The result of a try, as the delivery passes it to the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.models import DeliveryAttempt, OutgoingOperation
from integrations.transports.statuses import Outcome


@dataclass
class Result:
    """One finished try of a claimed operation. Without an `outcome`, a step of it succeeded and others follow.

    `done`: the steps to remember, None for none. `is_held`: set once it is written: whether its claim still counted.
    `error`: why the operation was not delivered. `answer`: the fields of the partner's record that the answer named.
    `counts_late`: it counts as long as the operation is open, even if another claimed it since, as a delivery does.
    `note`: why part of the answer cannot be used. `retry_after`: the seconds that the partner asks us to wait.
    """

    operation: OutgoingOperation
    attempt: DeliveryAttempt
    outcome: Outcome | None
    error: str = ""
    answer: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    retry_after: float | None = None
    counts_late: bool = False
    done: Mapping[str, Any] | None = None
    is_held: bool = False
