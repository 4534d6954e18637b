"""From a choice of records to a job that is carried out: the draft, its start, and its stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language

from changes.models import BulkItem, BulkJob

from .kind import Kind, hooks

ITEMS_AT_ONCE = 2000


@dataclass(frozen=True)
class Target:
    """A record that was chosen. `seen` is its version now, where it is to be done in this version only; `told` are the
    partners that it would be sent to now, where it is to be sent to no others."""

    key: str
    label: str
    seen: int | None = None
    told: list[str] | None = None


def draft(kind: Kind, user: User, parameters: dict[str, Any], targets: Sequence[Target], back: str = "") -> BulkJob:
    """Keeps what was chosen, for its preview. Nothing is done yet."""
    with transaction.atomic():
        job = BulkJob.objects.create(
            kind=kind.name,
            user=user,
            parameters=parameters,
            language=get_language() or "en",
            total=len(targets),
            back=back,
        )
        items = [
            BulkItem(
                job=job,
                position=place,
                target=target.key,
                label=target.label[:300],
                seen=target.seen,
                told=target.told,
            )
            for place, target in enumerate(targets, 1)
        ]
        BulkItem.objects.bulk_create(items, batch_size=ITEMS_AT_ONCE)
    return job


def start(key: UUID) -> bool:
    """Has a draft carried out. False, and nothing new, for one that was started before."""
    with transaction.atomic():
        started = BulkJob.objects.filter(pk=key, confirmed_at=None).update(confirmed_at=timezone.now())
        if started:
            # Robust: what is committed is committed, and the sweep finds it.
            transaction.on_commit(hooks.wake, robust=True)
    return bool(started)


def stop(key: UUID) -> bool:
    """What is not done yet stays undone. False for a job that is not running."""
    now = timezone.now()
    stopped = BulkJob.objects.filter(pk=key, confirmed_at__isnull=False, finished_at=None).update(
        stopped_at=now, finished_at=now
    )
    return bool(stopped)
