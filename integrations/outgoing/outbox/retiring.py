"""Removes the content of operations that were delivered long ago. What the contract needs of them stays."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.utils import timezone

from integrations.choices import DeliveryStatus
from integrations.models import OutgoingOperation
from integrations.querysets import OutgoingQuerySet


def delivered_before(system: int) -> OutgoingQuerySet:
    """The delivered operations of this system whose content no other operation needs any more."""
    open_ones = OutgoingOperation.objects.unsettled().filter(snapshot_of=OuterRef("pk"))
    return OutgoingOperation.objects.filter(~Exists(open_ones), system=system, status=DeliveryStatus.DELIVERED)


def forget_content(keys: Collection[UUID]) -> None:
    """The id, the kind, the times and the cause stay, so that a loop is still known."""
    removed = {"removed_at": timezone.now().date().isoformat()}
    OutgoingOperation.objects.filter(pk__in=keys, status=DeliveryStatus.DELIVERED).update(
        payload=removed, done_steps=None
    )


def drop_all_of(changes: Collection[int]) -> None:
    """Deletes all operations of these changes. Those that share the copy of the change go first."""
    operations = OutgoingOperation.objects.filter(change__in=changes)
    operations.exclude(snapshot_of=None).delete()
    operations.delete()
