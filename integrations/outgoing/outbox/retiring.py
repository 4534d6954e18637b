"""Removes the content of operations that were delivered long ago. What the contract needs of them stays."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.utils import timezone

from integrations.choices import DeliveryStatus
from integrations.models import OutgoingOperation
from integrations.querysets import OutgoingQuerySet


def delivered_of(system: int) -> OutgoingQuerySet:
    return OutgoingOperation.objects.filter(system=system, status=DeliveryStatus.DELIVERED)


def without_need(operations: OutgoingQuerySet, before: datetime) -> OutgoingQuerySet:
    """Those of delivered operations whose content no other one needs.

    An operation needs the content of the one whose copy of the change it shares until it was itself delivered so long
    ago.
    """
    done = {"status": DeliveryStatus.DELIVERED, "settled_at__lt": before}
    in_need = OutgoingOperation.objects.filter(snapshot_of=OuterRef("pk")).exclude(**done)
    return operations.filter(~Exists(in_need))


def shared_by(keys: Collection[UUID], before: datetime) -> list[OutgoingOperation]:
    """The operations whose copy of the change these share, if they are old too and nobody needs it any more.

    They were delivered before these, and passed over because these needed it then.
    """
    shared = OutgoingOperation.objects.filter(pk__in=keys).values("snapshot_of")
    old = OutgoingOperation.objects.filter(pk__in=shared, status=DeliveryStatus.DELIVERED, settled_at__lt=before)
    return [row for row in without_need(old.exclude(pk__in=keys), before) if not row.is_forgotten]


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
