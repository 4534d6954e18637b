"""When the processes in the background were last heard of."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SignOfLife(models.Model):
    """One row for each part that must run: beat, and a worker of each queue. The time is the database's own.

    `integrations.workers.signs` writes it. Any process of that part will do: what is missed is the work, not a host.
    """

    role = models.CharField(_("role"), max_length=20, primary_key=True)
    seen_at = models.DateTimeField(_("seen at"))

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.role
