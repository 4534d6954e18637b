"""How far the sweep over old records has got."""

from __future__ import annotations

from django.db import models


class RetentionProgress(models.Model):
    """`place`: the time and the key of the last record that was dealt with, in the order of both. "" for none.

    Its row lock lets one process at a time work on a kind.
    """

    kind = models.CharField(max_length=120, primary_key=True)
    place = models.CharField(max_length=100, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.place}"
