"""That a person knows of something that needs attention, so that the desk need not show it any more."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .exchanges import Exchange
from .incoming_operations import IncomingOperation
from .outgoing_operations import OutgoingOperation
from .systems import ExternalSystem

# What it is about: one of these.
RECORDS = ("outgoing", "incoming", "exchange", "system")


def _about(model: type[models.Model]) -> Any:
    return models.OneToOneField(model, on_delete=models.CASCADE, null=True, related_name="acknowledgement")


class Acknowledgement(models.Model):
    """A person knows of one record: an operation, an exchange that the partner rejected, or a system that stopped
    collecting its operations.

    `mark` is what was known: something new gives the record another mark, and it needs attention again. The marks are
    the last claim of a refused operation, 0 of one that waits and of an incoming one, the Reject of an exchange, and
    what a system does not do: standing/acknowledged.py. A retry by hand removes the acknowledgement.
    """

    outgoing = _about(OutgoingOperation)
    incoming = _about(IncomingOperation)
    exchange = _about(Exchange)
    system = _about(ExternalSystem)
    mark = models.PositiveIntegerField(default=0)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("acknowledged at"), auto_now=True)

    class Meta:
        verbose_name = _("acknowledgement")
        verbose_name_plural = _("acknowledgements")
        default_permissions = ["add"]
        constraints = [
            models.CheckConstraint(
                condition=reduce(or_, (Q(**{f"{name}__isnull": name != one for name in RECORDS}) for one in RECORDS)),
                name="acknowledgement_of_one_record",
            )
        ]

    def __str__(self) -> str:
        return f"{self.outgoing_id or self.incoming_id or self.exchange_id or self.system_id} by {self.user_id}"
