"""Which records a person has acknowledged, as they are now: conditions for queries. See models/acknowledgements.py."""

from __future__ import annotations

from typing import Any

from django.db.models import F, OuterRef, Q
from django.utils import timezone

from integrations.choices import DeliveryStatus
from integrations.models import Acknowledgement, Exchange, ExternalSystem, OutgoingOperation

from .flow import Flow
from .status import status_of

# Of the record that the query is about.
REFUSED = Acknowledgement.objects.filter(outgoing=OuterRef("pk"), mark=OuterRef("claim"))
# A wait has another cause, which is news, if its system was paused or its circuit breaker opened since. A retry by hand
# removes the acknowledgement: see outgoing/outbox/by_hand.py.
_SAME_CAUSE = ~Q(outgoing__system__paused_at__gt=F("at")) & ~Q(outgoing__system__control__breaker_opened_at__gt=F("at"))
WAITING = Acknowledgement.objects.filter(_SAME_CAUSE, outgoing=OuterRef("pk"), mark=0)
FAILED = Acknowledgement.objects.filter(incoming=OuterRef("pk"))
REJECTED = Acknowledgement.objects.filter(exchange=OuterRef("pk"), mark=OuterRef("rejected_at_sequence"))
# The acknowledgements that hold: nothing new has happened to their record.
CURRENT = (
    Q(outgoing__status=DeliveryStatus.REFUSED, mark=F("outgoing__claim"))
    | Q(_SAME_CAUSE, outgoing__status=DeliveryStatus.WAITING, mark=0)
    | Q(incoming__isnull=False)
    | Q(exchange__isnull=False, mark=F("exchange__rejected_at_sequence"))
)


# The marks of a system that does not collect its operations.
NEVER_ASKED, SILENT, UNCONFIRMED = range(3)


def mark_of(record: Any) -> int:
    """The mark of what is known of the record now. A system was read by `with_traffic()`."""
    if isinstance(record, ExternalSystem):
        return _mark_of_flow(status_of(record, timezone.now()).flow)
    if isinstance(record, OutgoingOperation):
        return record.claim if record.status == DeliveryStatus.REFUSED else 0
    return (record.rejected_at_sequence or 0) if isinstance(record, Exchange) else 0


def _mark_of_flow(flow: Flow) -> int:
    if flow.asked_at is None:
        return NEVER_ASKED
    return SILENT if flow.since == flow.asked_at else UNCONFIRMED


def knows(acknowledgement: Acknowledgement, flow: Flow) -> bool:
    """Whether it holds for a system that does not collect: the fault is the same, and did not begin anew since."""
    is_older = flow.since is None or flow.since <= acknowledgement.at
    return is_older and acknowledgement.mark == _mark_of_flow(flow)
