"""How much the files of each partner take here."""

from __future__ import annotations

from django.db import models

from .systems import ExternalSystem


class PartnerStorage(models.Model):
    """The sum of the sizes of a partner's attachments. Written by incoming/quota.py."""

    system = models.OneToOneField(ExternalSystem, models.CASCADE, primary_key=True, related_name="storage")
    bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.system_id}: {self.bytes} bytes"
