"""The values of the exchange, each with its label for people. The API, the files and the rules use the same values.

The names of operations are terms of the exchange, so their labels are the same in every language.
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
    """How a system gets its operations."""

    PUSH = "push", _("Push: we call the partner")
    PULL = "pull", _("Pull: the partner collects them by our API")
    SMAX = "smax", _("SMAX: the partner's SMAX adapter collects them")
    MAPPED = "mapped", _("Mapped: we call the partner's own API")


# The ways in which the partner asks for its operations, instead of being called.
COLLECTING = (Delivery.PULL, Delivery.SMAX)


class UnknownProperties(TextChoices):
    """What happens to an operation of an SMAX adapter with a property that a change does not have."""

    IGNORE = "ignore", _("Ignore, with a note on the operation")
    REFUSE = "refuse", _("Refuse the operation")


class DeliveryStatus(TextChoices):
    """How far the delivery of an outgoing operation is.

    Later operations for the same change and system wait behind one that is `Waiting`, `Sending` or `Refused`.
    A `Refused` one blocks them until a person retries or skips it.
    """

    WAITING = "Waiting", _("Waiting")
    SENDING = "Sending", _("Sending")
    REFUSED = "Refused", _("Refused")
    DELIVERED = "Delivered", _("Delivered")
    SKIPPED = "Skipped", _("Skipped")


class Failure(TextChoices):
    """Why a try failed. `unusable_answer`: the operation was delivered, but part of the answer could not be kept.

    The kinds that a transport reports have the same values as `transports.base.NoAnswer`.
    """

    TIMEOUT = "timeout", _("No answer in time")
    CONNECTION_REFUSED = "connection_refused", _("Connection refused")
    CONNECTION_BROKEN = "connection_broken", _("Connection broken")
    TLS = "tls", _("No secure connection")
    NAME_RESOLUTION = "name_resolution", _("Unknown host name")
    ADDRESS_NOT_ALLOWED = "address_not_allowed", _("Address not allowed")
    ENDPOINT_URL = "endpoint_url", _("Unusable endpoint URL")
    STATUS = "status", _("HTTP status")
    UNUSABLE_ANSWER = "unusable_answer", _("Unusable answer")
    CERTIFICATE = "certificate", _("Unusable certificate")
    FILE = "file", _("Unreadable file")
    SIGNING_SECRET = "signing_secret", _("Unreadable signing secret")
    CONNECTION_DOCUMENT = "document", _("Unusable connection document")
    RULE = "rule", _("Refused by a rule of the connection")
    SIGN_IN = "sign_in", _("No token from the partner")
    NOT_ACKNOWLEDGED = "not_acknowledged", _("Not acknowledged in time")
    REFUSED = "refused", _("Refused by the partner")
    INTERNAL = "internal", _("Internal error")


# The values of `DeliveryAttempt.failure` of a try that delivered the operation.
NOT_FAILED = ("", Failure.UNUSABLE_ANSWER)


class Confirmation(TextChoices):
    """What told that the partner has an operation which it collected."""

    ACKNOWLEDGED = "acknowledged", _("The partner acknowledged it")
    LATER_POLL = "later_poll", _("A later poll asked for what came after it")
    WRITTEN = "written", _("The partner wrote about the record since")
    EXTERNAL_ID = "external_id", _("The partner named its record")


SETTLED = (DeliveryStatus.DELIVERED, DeliveryStatus.SKIPPED)


class Breaker(TextChoices):
    """The circuit breaker of a system. `Open`: nothing is sent. `HalfOpen`: one operation is sent as a probe."""

    CLOSED = "Closed", _("Closed")
    OPEN = "Open", _("Open")
    HALF_OPEN = "HalfOpen", _("Half-open")


# The window within which the circuit breaker counts the share of failed tries.
BREAKER_WINDOW = timedelta(seconds=60)


class BreakerCause(TextChoices):
    """Why a circuit breaker is not closed."""

    IN_A_ROW = "in_a_row", _("Tries in a row failed")
    SHARE = "share", _("Half of the tries failed")
    BY_HAND = "by_hand", _("Opened by hand")


class IncomingStatus(TextChoices):
    APPLIED = "Applied", _("Applied")
    IGNORED = "Ignored", _("Ignored")
    FAILED = "Failed", _("Refused")
