"""Receiving one operation of a partner: it is deduplicated and applied in one transaction, or refused as a whole.

The caller has authenticated the partner and validated the fields (`IncomingRequest`). Any other fault is raised as
`OperationRefused`, or as a `ChangeRefused` of the change itself. Nothing of a refused operation is kept, except for the
log entry that the caller writes with `log_failure()`.
"""

from .entries import log_failure
from .receiving import receive
from .request import Answer, IncomingRequest, OperationRefused

__all__ = ["Answer", "IncomingRequest", "OperationRefused", "log_failure", "receive"]
