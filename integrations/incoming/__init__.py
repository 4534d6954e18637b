"""Receiving one operation of a partner: it is deduplicated and applied in one transaction, or refused as a whole.

The caller has authenticated the partner and validated the fields (`IncomingRequest`). Any other fault is raised as
`OperationRefused`, or as a `ChangeRefused` of the change itself. Nothing of a refused operation is kept, except for the
log entry that the caller writes with `log_failure()`.
"""

from .budget import count_stored, wait_for_budget
from .entries import log_failure
from .receiving import receive
from .request import Answer, IncomingRequest, OperationRefused

__all__ = [
    "Answer",
    "IncomingRequest",
    "OperationRefused",
    "count_stored",
    "log_failure",
    "receive",
    "wait_for_budget",
]
