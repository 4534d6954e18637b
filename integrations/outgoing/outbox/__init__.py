"""The only writer of outgoing operations: record, claim, settle what became of a try, and what a person decides.

An operation is recorded under the change's row lock, in the transaction of what caused it (recording.py). A worker
claims it with a lease, and a number that counts the claims (claiming.py). The result of a try is written only where
that number is still the same, so a worker that wakes after its lease ran out records over nobody's result; that the
partner has it counts in any case, while the operation is open (settling.py).

Of the unsettled operations of a change and a system only the first, marked `is_next`, is ever claimed. Who records,
settles or skips holds the lock of their `Exchange` row, so exactly one is marked, whoever works at the same time.

Locks are taken in this order, in every transaction of the exchange: Change, Exchange, OutgoingOperation,
ExternalReference, ExternalSystem, DeliveryControl. A claim locks DeliveryControl first, and skips what is locked.
"""

from .by_hand import NotOpen, close_breaker, open_breaker, resume, retry_now, skip, skip_all, unsettled, waiting_behind
from .claiming import claim, is_due, is_more_due, release_stale
from .message import body, message
from .recording import Context, context_of, context_of_new, record, wake_on_commit
from .results import Outcome, Result
from .settling import settle

__all__ = [
    "Context",
    "NotOpen",
    "Outcome",
    "Result",
    "body",
    "claim",
    "close_breaker",
    "context_of",
    "context_of_new",
    "is_due",
    "is_more_due",
    "message",
    "open_breaker",
    "record",
    "release_stale",
    "resume",
    "retry_now",
    "settle",
    "skip",
    "skip_all",
    "unsettled",
    "waiting_behind",
    "wake_on_commit",
]
