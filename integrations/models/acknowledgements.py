"""That a person knows of something that needs attention, so that the desk need not show it any more."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .exchanges import Exchange
from .incoming_operations import IncomingOperation
from .outgoing_operations import OutgoingOperation


def _about(model: type[models.Model]) -> Any:
    return models.OneToOneField(model, on_delete=models.CASCADE, null=True, related_name="acknowledgement")


class Acknowledgement(models.Model):
    """A person knows of one record: an operation, or an exchange that the partner rejected.

    `mark` is what was known: something new gives the record another mark, and it needs attention again. The marks are
    the last claim of a refused operation, 0 of one that waits and of an incoming one, and the Reject of an exchange.
    A retry by hand removes the acknowledgement.
    """

    outgoing = _about(OutgoingOperation)
    incoming = _about(IncomingOperation)
    exchange = _about(Exchange)
    mark = models.PositiveIntegerField(default=0)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("acknowledged at"), auto_now=True)

    class Meta:
        verbose_name = _("acknowledgement")
        verbose_name_plural = _("acknowledgements")
        default_permissions = ["add"]
        constraints = [
            models.CheckConstraint(
                condition=Q(outgoing__isnull=False, incoming=None, exchange=None)
                | Q(outgoing=None, incoming__isnull=False, exchange=None)
                | Q(outgoing=None, incoming=None, exchange__isnull=False),
                name="acknowledgement_of_one_record",
            )
        ]

    def __str__(self) -> str:
        return f"{self.outgoing_id or self.incoming_id or self.exchange_id} by {self.user_id}"
