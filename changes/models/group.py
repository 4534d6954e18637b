"""Support groups, which own changes."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.texts.lines import LineField
from changes.validators import validate_text

USER = settings.AUTH_USER_MODEL


class SupportGroup(models.Model):
    """A team that can own changes."""

    name = LineField(_("name"), max_length=200, unique=True, validators=[validate_text])
    members: models.ManyToManyField[Any, Any] = models.ManyToManyField(
        USER, blank=True, related_name="support_groups", verbose_name=_("members")
    )

    class Meta:
        verbose_name = _("support group")
        verbose_name_plural = _("support groups")
        ordering = ["name"]

    def clean(self) -> None:
        """Refuses a name that differs from another only in capitals, since people would confuse the two."""
        other = SupportGroup.objects.filter(name__iexact=self.name).exclude(pk=self.pk).first()
        if other is not None and other.name != self.name:
            said = gettext("There is already a group %(name)s. Only the capitals differ.") % {"name": other.name}
            raise ValidationError({"name": said})

    def __str__(self) -> str:
        return self.name
