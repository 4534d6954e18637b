"""The only writer of outgoing operations: records, claims and settles them, and carries out what a person decides.

An operation is recorded under the change's row lock, in the transaction of its cause (recording.py). A worker claims it
with a lease; each claim has a number (claiming.py). The result of a try is written only if that number is still the
latest, so a worker whose lease ran out cannot overwrite another's result. A delivery is the exception: it counts while
the operation is open, whatever the claim (settling.py).

A partner that collects its operations gets them by collecting.py (our API) or feed.py (SMAX) instead of a worker.

Only the first unsettled operation of a change and a system is ever claimed; `is_next` marks it. Recording, settling and
skipping hold the lock of the `Exchange` row, so exactly one operation is marked even with concurrent writers.

Every transaction of the exchange takes its locks in this order: Change, Exchange, OutgoingOperation,
ExternalReference, ExternalSystem, DeliveryControl. A claim locks DeliveryControl first, and skips locked rows.
"""

from .by_hand import NotOpen, close_breaker, open_breaker, resume, retry_now, skip, skip_all, unsettled, waiting_behind
from .claiming import claim, is_due, is_more_due, release_stale
from .collecting import Acknowledgement, Cursor, HandOut, UnknownCursor, acknowledge, hand_out, has_something
from .feed import Feed, confirm_written, feed
from .leases import free
from .message import body, message, references_of
from .missed_news import note_missed
from .recording import Context, context_of, context_of_new, record, wake_on_commit
from .results import Outcome, Result
from .settling import pause, settle, skip_rejected

__all__ = [
    "Acknowledgement",
    "Context",
    "Cursor",
    "Feed",
    "HandOut",
    "NotOpen",
    "Outcome",
    "Result",
    "UnknownCursor",
    "acknowledge",
    "body",
    "claim",
    "close_breaker",
    "confirm_written",
    "context_of",
    "context_of_new",
    "feed",
    "free",
    "hand_out",
    "has_something",
    "is_due",
    "is_more_due",
    "message",
    "note_missed",
    "open_breaker",
    "pause",
    "record",
    "references_of",
    "release_stale",
    "resume",
    "retry_now",
    "settle",
    "skip",
    "skip_all",
    "skip_rejected",
    "unsettled",
    "waiting_behind",
    "wake_on_commit",
]
