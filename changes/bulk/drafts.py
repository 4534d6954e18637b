"""The life of a job: create the draft, start it, stop it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language

from changes import work
from changes.models import BulkItem, BulkJob

from .kind import Kind, hooks, kind_of

ITEMS_AT_ONCE = 2000


@dataclass(frozen=True)
class Target:
    """A chosen record.

    `seen` is its current version; None if any version may be altered. `told` are the partners that it would be sent to
    now; None if it may be sent to others too.
    """

    key: str
    label: str
    seen: int | None = None
    told: list[str] | None = None


def draft(kind: Kind, user: User, parameters: dict[str, Any], targets: Sequence[Target], back: str = "") -> BulkJob:
    """Stores the choice as a job for the preview. Alters no record yet. `back` is the address of the form."""
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
    """Confirms a draft, so that workers run it. Returns False, and does nothing, if it was started before."""
    with transaction.atomic():
        started = BulkJob.objects.filter(pk=key, confirmed_at=None).update(
            confirmed_at=timezone.now(), request_id=work.request_id()
        )
        if started:
            job = BulkJob.objects.get(pk=key)
            kind_of(job).started(job)
            # Robust: the job is committed, so an error here must not reach the caller. The sweep finds the job.
            transaction.on_commit(hooks.wake, robust=True)
    return bool(started)


def stop(key: UUID) -> bool:
    """Stops a job: its waiting records are left undone. Returns False if the job is not running."""
    now = timezone.now()
    stopped = BulkJob.objects.filter(pk=key, confirmed_at__isnull=False, finished_at=None).update(
        stopped_at=now, finished_at=now
    )
    return bool(stopped)
