"""What an HTTP status of a partner means for the operation that was sent: section 5 of docs/rules.md as a table."""

from enum import Enum


class Outcome(Enum):
    """What a try means. After `RETRY` it is sent again, after the last pause of the schedule refused. `REFUSED` waits
    for a person. `PAUSE`: the partner takes no calls of ours at all, so all for it waits, and no try is used up."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"
    PAUSE = "pause"


RETRIED = frozenset({408, 425, 429})
PAUSING = frozenset({401, 403, 410})


def outcome_of(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome.DELIVERED
    if status in PAUSING:
        return Outcome.PAUSE
    if status in RETRIED or not 300 <= status < 500:
        return Outcome.RETRY
    return Outcome.REFUSED
