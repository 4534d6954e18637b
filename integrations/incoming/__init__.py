"""One operation of a partner: found, deduplicated and applied in one transaction, or refused whole.

The caller has authenticated the partner and validated the fields (`IncomingRequest`). Everything else that may be
wrong is raised as `OperationRefused` or as a `ChangeRefused` of the change itself; nothing of the operation is kept
then but the entry that `log_failure()` writes.
"""

from .entries import log_failure
from .receiving import receive
from .request import Answer, IncomingRequest, OperationRefused

__all__ = ["Answer", "IncomingRequest", "OperationRefused", "log_failure", "receive"]
