"""Who we exchange changes with, and every operation in either direction.

`OutgoingOperation` is written by outgoing/outbox/ alone, `IncomingOperation` by incoming/ alone.
"""

from .exchanges import Exchange, ExternalReference
from .incoming_operations import IncomingOperation
from .outgoing_operations import DeliveryAttempt, OutgoingOperation
from .systems import (
    DeliveryControl,
    ExternalGroup,
    ExternalSystem,
    SecretUnreadable,
    validate_endpoint_url,
    validate_secret,
)

__all__ = [
    "DeliveryAttempt",
    "DeliveryControl",
    "Exchange",
    "ExternalGroup",
    "ExternalReference",
    "ExternalSystem",
    "IncomingOperation",
    "OutgoingOperation",
    "SecretUnreadable",
    "validate_endpoint_url",
    "validate_secret",
]
