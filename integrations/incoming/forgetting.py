"""Removes the bodies of operations that came long ago. Their keys, hashes and answers stay: a repeat is still known."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.utils import timezone

from integrations.models import IncomingOperation


def forget_bodies(keys: Collection[UUID]) -> int:
    """Returns of how many."""
    removed = {"removed_at": timezone.now().date().isoformat()}
    return IncomingOperation.objects.filter(pk__in=keys).update(payload=removed)
