"""That this database is a restored copy, which must not repeat what the original sent since the backup."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class RestoredCopy(models.Model):
    """One row, or none. While it is there, nothing is sent to partners, and their calls are answered 503.

    `restore` adds it in the transaction of the data, `resume_after_restore` removes it. `taken_at`: the time of the
    backup; None if somebody held the exchange by hand and did not say.
    """

    KEY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=KEY, editable=False)
    taken_at = models.DateTimeField(null=True)
    restored_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"restored at {self.restored_at}"


def restored_copy() -> RestoredCopy | None:
    """What this database is a copy of; None if it is no copy that waits."""
    return RestoredCopy.objects.first()
