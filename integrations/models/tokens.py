"""What is known of an API token besides what knox stores of it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class TokenLife(models.Model):
    """When and from where a token was last used, and when people were told that it ends. Made at its first use.

    `last_used_at` is exact to some minutes: see tokens/use.py.
    """

    token = models.OneToOneField(
        "knox.AuthToken", on_delete=models.CASCADE, primary_key=True, related_name="life", verbose_name=_("token")
    )
    last_used_at = models.DateTimeField(_("last used"), null=True)
    # Empty over a Unix socket, where a connection has no address.
    last_used_from = models.CharField(_("last used from"), max_length=64, blank=True)
    warned_at = models.DateTimeField(_("end announced"), null=True)

    class Meta:
        verbose_name = _("life of a token")
        verbose_name_plural = _("lives of tokens")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.last_used_at} from {self.last_used_from}"
