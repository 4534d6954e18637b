"""The accounts of partners, apart from those of people."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

USER = settings.AUTH_USER_MODEL


class PartnerAccount(models.Model):
    """Marks a user as the account of a partner's system. Whoever makes the user marks it, and nobody unmarks it.

    Such a user holds no role and opens no page, and only such a user can be the authorized user of a system. So no
    account of a member of staff, present or former, can speak for a partner.
    """

    user = models.OneToOneField(
        USER, on_delete=models.CASCADE, primary_key=True, related_name="partner_account", verbose_name=_("user")
    )

    class Meta:
        verbose_name = _("partner account")
        verbose_name_plural = _("partner accounts")
        # To make one by the page "Connect a partner". Nobody alters or removes the mark.
        default_permissions = ("add",)

    def __str__(self) -> str:
        return self.user.get_username()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raises ValidationError for a user who has a role or may do everything."""
        if is_staff_account(self.user):
            message = gettext("%(user)s is a member of staff, so the account cannot become that of a partner.")
            raise ValidationError(message % {"user": self.user.get_username()})
        super().save(*args, **kwargs)


def is_staff_account(user: Any) -> bool:
    return bool(user.is_staff or user.is_superuser)


def is_partner_account(user: Any) -> bool:
    return PartnerAccount.objects.filter(user=user).exists()
