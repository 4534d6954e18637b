"""The external systems, and the operations in both directions.

Only outgoing/outbox/ writes `OutgoingOperation`. Only incoming/ writes `IncomingOperation`.
"""

from .accounts import PartnerAccount
from .acknowledgements import Acknowledgement
from .connections import (
    ConnectionDraft,
    ConnectionInbox,
    ConnectionPoll,
    ConnectionRevision,
    ConnectionSecret,
    ConnectionToken,
)
from .exchanges import Exchange, ExternalReference, MissedNews
from .incoming_operations import IncomingOperation
from .outgoing_operations import DeliveryAttempt, OutgoingOperation
from .retention import RetentionProgress
from .signs_of_life import SignOfLife
from .smax import SmaxAddress, SmaxComment, SmaxToken, SmaxUpload
from .storage import PartnerStorage
from .systems import (
    DeliveryControl,
    ExternalGroup,
    ExternalSystem,
    SecretUnreadable,
    validate_endpoint_url,
    validate_secret,
)
from .tokens import TokenLife

__all__ = [
    "Acknowledgement",
    "ConnectionDraft",
    "ConnectionInbox",
    "ConnectionPoll",
    "ConnectionRevision",
    "ConnectionSecret",
    "ConnectionToken",
    "DeliveryAttempt",
    "DeliveryControl",
    "Exchange",
    "ExternalGroup",
    "ExternalReference",
    "ExternalSystem",
    "IncomingOperation",
    "MissedNews",
    "OutgoingOperation",
    "PartnerAccount",
    "PartnerStorage",
    "RetentionProgress",
    "SecretUnreadable",
    "SignOfLife",
    "SmaxAddress",
    "SmaxComment",
    "SmaxToken",
    "SmaxUpload",
    "TokenLife",
    "validate_endpoint_url",
    "validate_secret",
]
