"""The values of the exchange, verbatim as in the API, files and the rules, and the label of each, which people read.

The names of operations are terms of the exchange: they are the same in every language.
"""

from datetime import timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Operation(TextChoices):
    """What an outgoing operation tells the partner."""

    ASSIGN = "Assign", "Assign"
    ACCEPT = "Accept", "Accept"
    CANCEL = "Cancel", "Cancel"
    UPDATE = "Update", "Update"


class IncomingKind(TextChoices):
    """What a partner's operation asks for."""

    CREATE = "Create", "Create"
    UPDATE = "Update", "Update"
    ASSIGN = "Assign", "Assign"
    REJECT = "Reject", "Reject"
    CANCEL = "Cancel", "Cancel"


class Delivery(TextChoices):
    PUSH = "push", _("Push: we call the partner")
    PULL = "pull", _("Pull: the partner asks")


class DeliveryStatus(TextChoices):
    """`Waiting` and `Sending` are open: what follows for the same change and system waits behind them, as it does
    behind `Refused`, until a person retries or skips that."""

    WAITING = "Waiting", _("Waiting")
    SENDING = "Sending", _("Sending")
    REFUSED = "Refused", _("Refused")
    DELIVERED = "Delivered", _("Delivered")
    SKIPPED = "Skipped", _("Skipped")


class Failure(TextChoices):
    """Why a try did not do what it should. `unusable_answer`: it was delivered, but some of the
    answer could not be kept. Those that are a transport's are its `NoAnswer`."""

    TIMEOUT = "timeout", _("No answer in time")
    CONNECTION_REFUSED = "connection_refused", _("Connection refused")
    CONNECTION_BROKEN = "connection_broken", _("Connection broken")
    TLS = "tls", _("No secure connection")
    NAME_RESOLUTION = "name_resolution", _("Unknown host name")
    ADDRESS_NOT_ALLOWED = "address_not_allowed", _("Address not allowed")
    ENDPOINT_URL = "endpoint_url", _("Unusable endpoint URL")
    STATUS = "status", _("HTTP status")
    UNUSABLE_ANSWER = "unusable_answer", _("Unusable answer")
    SIGNING_SECRET = "signing_secret", _("Unreadable signing secret")
    INTERNAL = "internal", _("Internal error")


SETTLED = (DeliveryStatus.DELIVERED, DeliveryStatus.SKIPPED)


class Breaker(TextChoices):
    """The circuit breaker of a system. While it is `Open` nothing is sent; `HalfOpen` lets one operation probe."""

    CLOSED = "Closed", _("Closed")
    OPEN = "Open", _("Open")
    HALF_OPEN = "HalfOpen", _("Half-open")


# Of the tries of so long a time the share of failed ones counts.
BREAKER_WINDOW = timedelta(seconds=60)


class BreakerCause(TextChoices):
    """Why a circuit breaker is not closed."""

    IN_A_ROW = "in_a_row", _("Tries in a row failed")
    SHARE = "share", _("Half of the tries failed")
    BY_HAND = "by_hand", _("Opened by hand")


class IncomingStatus(TextChoices):
    APPLIED = "Applied", _("Applied")
    IGNORED = "Ignored", _("Ignored")
    FAILED = "Failed", _("Failed")
