"""What a partner's HTTP status means for the operation that was sent: section 5 of docs/rules.md as code."""

from enum import Enum


class Outcome(Enum):
    """The outcome of a try.

    `RETRY`: the operation is sent again after a pause; once the schedule is used up, it is refused.
    `REFUSED`: the operation waits for a person.
    `PAUSE`: the partner accepts no requests from us. The system is paused, its operations wait, and no try is used up.
    """

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"
    PAUSE = "pause"


RETRIED = frozenset({408, 425, 429})
PAUSING = frozenset({401, 403, 410})


def outcome_of(status: int) -> Outcome:
    """The outcome of a try that the partner answered with this HTTP status."""
    if 200 <= status < 300:
        return Outcome.DELIVERED
    if status in PAUSING:
        return Outcome.PAUSE
    if status in RETRIED or not 300 <= status < 500:
        return Outcome.RETRY
    return Outcome.REFUSED
