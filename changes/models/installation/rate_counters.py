"""What rate limits have counted in their windows, over all processes."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RateCounter(models.Model):
    """The sum that was counted under a name in one window of time. Written by changes/rate_limits.py."""

    name = models.CharField(max_length=200, primary_key=True)
    counted = models.PositiveBigIntegerField(default=0)
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("counter of a rate limit")
        verbose_name_plural = _("counters of rate limits")

    def __str__(self) -> str:
        return f"{self.name}: {self.counted}"
