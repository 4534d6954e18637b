"""Which records need the attention of a person, and what a person has seen of one. Acknowledged ones are among them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from changes.choices import FINAL_PHASES
from integrations.choices import COLLECTING, DeliveryStatus, IncomingStatus
from integrations.models import Exchange, ExternalSystem, IncomingOperation, OutgoingOperation
from integrations.querysets import OfSystemQuerySet

from .acknowledged import mark_of
from .relation import REJECTED
from .status import long_waiting, status_of, uncollected, with_traffic

# Failures before that are not shown: by then the partner has sent the operation again or called somebody.
FAILED_WITHIN = timedelta(days=3)


def needing(kind: str, user: User, now: datetime) -> QuerySet[Any]:
    """The records of one kind, as in the address of its acknowledgement, that need attention and this user may see."""
    if kind == "outgoing":
        late = Exists(long_waiting(now).filter(pk=OuterRef("pk")))
        return OutgoingOperation.objects.filter(Q(status=DeliveryStatus.REFUSED) | late)
    if kind == "incoming":
        return failed(now).filter(incoming_shown_to(user))
    if kind == "system":
        systems = with_traffic(ExternalSystem.objects.filter(delivery__in=COLLECTING), now)
        stopped = [one.system.pk for one in uncollected([status_of(system, now) for system in systems])]
        return systems.filter(pk__in=stopped)
    return rejected() if kind == "exchange" else Exchange.objects.none()


def failed(now: datetime) -> OfSystemQuerySet:
    """The failed incoming operations, except those that were sent again successfully."""
    repeated = IncomingOperation.objects.filter(
        system=OuterRef("system"), idempotency_key=OuterRef("idempotency_key")
    ).exclude(status=IncomingStatus.FAILED)
    recent = IncomingOperation.objects.filter(status=IncomingStatus.FAILED, received_at__gte=now - FAILED_WITHIN)
    return recent.exclude(Exists(repeated))


def incoming_shown_to(user: User, path: str = "") -> Q:
    """The condition on incoming operations, at `path`, that this user can do something about.

    Who may edit changes can make one fit the operation; what is about no change is for those who set up systems.
    """
    if user.has_perm("integrations.change_externalsystem"):
        return Q(**{f"{path}pk__isnull": False})
    if user.has_perm("changes.change_change"):
        return Q(**{f"{path}change__isnull": False})
    return Q(pk__in=[])


def rejected() -> OfSystemQuerySet:
    """Open changes that a partner rejected but whose owning group still belongs to that partner."""
    return (
        Exchange.objects.filter(REJECTED)
        .filter(change__owning_group__external_group__system=F("system"))
        .exclude(change__phase__in=FINAL_PHASES)
    )


def seen_of(record: OutgoingOperation | IncomingOperation | Exchange | ExternalSystem) -> str:
    """What a page shows of the record: its status and its mark. It goes with the form that acknowledges it."""
    if isinstance(record, ExternalSystem):
        since = status_of(record, timezone.now()).flow.since
        return f"uncollected-{mark_of(record)}-{since:%Y%m%d%H%M%S}" if since else ""
    status = "rejected" if isinstance(record, Exchange) else record.status
    return f"{status}-{mark_of(record)}"
