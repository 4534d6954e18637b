"""Which systems are to be polled now. A worker claims them, for as long as its lease lasts."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from changes.models import RestoredCopy
from integrations.choices import Breaker, Delivery
from integrations.models import ConnectionPoll, ConnectionRevision, DeliveryControl

from .revisions import connection_of_revision
from .templating.faults import FaultyDocument

# The longest time between two polls of a system that does not answer, in seconds.
LONGEST_PAUSE = 3600
# Another worker that polls takes what becomes due. If it did not for this many seconds, it is stuck.
TAKEN_WITHIN = timedelta(seconds=15)


def claim(limit: int, is_alone: bool) -> list[ConnectionPoll]:
    """Takes polls that are due. Leaves them to another worker that is polling already."""
    now = timezone.now()
    # A lease that is impossibly long is none: the clock was set back since.
    held = Q(claimed_until__gte=now, claimed_until__lte=now + 3 * lease())
    is_open = Q(breaker_until=None) | Q(breaker_until__gt=now)
    # A poll is a call too. It is no probe, though: one that fails may not be about what operations need.
    broken = DeliveryControl.objects.filter(is_open, breaker=Breaker.OPEN)
    due = ConnectionPoll.objects.filter(
        Q(claimed_until=None) | ~held,
        ~Exists(broken.filter(system=OuterRef("system"))),
        ~Exists(RestoredCopy.objects.all()),
        due_at__lte=now,
        system__enabled=True,
        system__paused_at=None,
        system__delivery=Delivery.MAPPED,
        system__connection__isnull=False,
    )
    if is_alone and ConnectionPoll.objects.filter(held).exists():
        due = due.filter(due_at__lte=now - TAKEN_WITHIN)
    if not due.exists():
        return []
    with transaction.atomic():
        rows = list(
            due.select_for_update(skip_locked=True, no_key=True, of=("self",))
            .select_related("system__authorized_user")
            .order_by("due_at")[:limit]
        )
        ConnectionPoll.objects.filter(pk__in=[row.pk for row in rows]).update(
            claim=F("claim") + 1, claimed_until=now + lease()
        )
    for row in rows:
        row.claim += 1
    return rows


def lease() -> timedelta:
    return timedelta(seconds=max(settings.DELIVERY_LEASE, 2 * settings.DELIVERY_TIMEOUT))


def mend_times() -> None:
    """Makes due what waits impossibly long, which happens when the clock was set back."""
    now = timezone.now()
    for row in ConnectionPoll.objects.filter(due_at__gt=now + longest_pause(0)).select_related("system"):
        try:
            poll = connection_of_revision(row.system.connection_id)[1].poll
        except (FaultyDocument, ConnectionRevision.DoesNotExist):
            poll = None
        if row.due_at > now + longest_pause(poll.every if poll else 0):
            ConnectionPoll.objects.filter(pk=row.pk, claim=row.claim, due_at=row.due_at).update(due_at=now)


def longest_pause(every: float) -> timedelta:
    """The longest time between two polls of a system that is to be polled so often."""
    return timedelta(seconds=max(every, LONGEST_PAUSE) + 5)
