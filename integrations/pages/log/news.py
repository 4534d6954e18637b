"""News for an open page of the exchange log: anything that came in, was recorded, or was tried."""

from __future__ import annotations

from changes.pages.renewal import Watch
from changes.waiting import Keys
from integrations.choices import DeliveryStatus
from integrations.models import DeliveryAttempt, IncomingOperation, OutgoingOperation

MOST_COUNTED = 1000


def watch() -> Watch:
    return Watch(_stamp(), _ready)


def _stamp() -> tuple[object, ...]:
    """Differs whenever an operation was recorded, received or tried. Each part is the end of an index."""
    recorded = OutgoingOperation.objects.order_by("-pk").values_list("pk", flat=True)
    tried = DeliveryAttempt.objects.order_by("-pk").values_list("pk", flat=True)
    # One that a person retries or skips leaves the refused ones.
    refused = OutgoingOperation.objects.filter(status=DeliveryStatus.REFUSED).order_by()[:MOST_COUNTED].count()
    received = IncomingOperation.objects.order_by("-received_at", "-pk").values_list("pk", flat=True)
    return recorded.first(), tried.first(), received.first(), refused


def _ready(keys: Keys) -> Keys:
    now = _stamp()
    return [key for key in keys if key != now]
