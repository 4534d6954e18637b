"""Who holds changes."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from changes.validators import validate_text

USER = settings.AUTH_USER_MODEL


class SupportGroup(models.Model):
    """A team that can own changes."""

    name = models.CharField(max_length=200, unique=True, validators=[validate_text])
    members: models.ManyToManyField[Any, Any] = models.ManyToManyField(USER, blank=True, related_name="support_groups")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
