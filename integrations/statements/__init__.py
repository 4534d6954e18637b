"""The statements of the exchange that are written in SQL instead of with the ORM.

They run for every operation, and the ORM takes longer to compose them than the database to run them.
docs/performance.md says how much time each saves.

They return rows, or partly loaded models: reading another field of such a model costs a query, as after `only()`.
"""

from .callers import partner_of_token, token_with_user
from .claims import Share, claim, controls_of_due, is_due
from .known import Known, group_with_system, known_of, references_of, same_content
from .outcomes import lock_controls, lock_exchanges, lock_open, write_delivered, write_heard_of
from .recorded import write_recorded
from .rows import SEQUENCES, partly

__all__ = [
    "SEQUENCES",
    "Known",
    "Share",
    "claim",
    "controls_of_due",
    "group_with_system",
    "is_due",
    "known_of",
    "lock_controls",
    "lock_exchanges",
    "lock_open",
    "partly",
    "partner_of_token",
    "references_of",
    "same_content",
    "token_with_user",
    "write_delivered",
    "write_heard_of",
    "write_recorded",
]
