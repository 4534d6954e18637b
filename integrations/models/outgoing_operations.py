"""The operations to partners, and every try to send them."""

from __future__ import annotations

from typing import Any

import uuid_utils.compat
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.models import Attachment, Change, Comment
from changes.work import LONGEST
from integrations.choices import NOT_FAILED, SETTLED, Confirmation, DeliveryStatus, Failure, Operation
from integrations.fields import JSONTextField
from integrations.querysets import OutgoingQuerySet

from .exchanges import Exchange, ExternalReference
from .incoming_operations import IncomingOperation
from .systems import ExternalSystem

USER = settings.AUTH_USER_MODEL


class OutgoingOperation(models.Model):
    """One message to one system, recorded in the transaction of its cause.

    `is_next`: this is the first unsettled operation of its exchange; no other is sent.
    `claim`: how often a worker has claimed it. Only the worker with the latest claim may record a failure.
    `tries`: the tries that used up the retry schedule.
    `hand_out`: the number of the latest answer that handed it to a partner that pulls; `collector`: the number of the
    first answer to the same reader. The numbers count up in `DeliveryControl.hand_outs`. For an SMAX adapter `hand_out`
    is the time of the latest answer that had it, in ms, and `handed_out_at` that of the first.
    """

    # Only on an operation that was claimed or handed out: what its message is made of (statements/claims.py).
    recorded: str
    shared: str | None
    remembered: str | None
    reference: ExternalReference | None
    # Only on an operation of an SMAX feed: the message itself.
    message: dict[str, Any]

    id = models.UUIDField(_("id"), primary_key=True, default=uuid_utils.compat.uuid7, editable=False)
    exchange = models.ForeignKey(
        Exchange, on_delete=models.CASCADE, related_name="operations", db_index=False, verbose_name=_("exchange")
    )
    change = models.ForeignKey(
        Change, on_delete=models.CASCADE, related_name="outgoing_operations", verbose_name=_("change")
    )
    system = models.ForeignKey(
        ExternalSystem,
        on_delete=models.PROTECT,
        related_name="outgoing_operations",
        db_index=False,
        verbose_name=_("system"),
    )
    sequence = models.PositiveIntegerField(_("sequence"))
    operation = models.CharField(_("operation"), max_length=6, choices=Operation)
    payload = JSONTextField(_("payload"), help_text=_("As recorded; the external reference is added when it is sent."))
    snapshot_of = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        verbose_name=_("snapshot of"),
        help_text=_("The operation of the same transaction whose payload has the change. This payload has none."),
    )
    cause = models.ForeignKey(
        IncomingOperation,
        null=True,
        on_delete=models.PROTECT,
        related_name="caused",
        db_index=False,
        verbose_name=_("cause"),
    )
    comment = models.ForeignKey(
        Comment,
        null=True,
        on_delete=models.PROTECT,
        related_name="outgoing_operations",
        db_index=False,
        verbose_name=_("comment"),
    )
    attachment = models.ForeignKey(
        Attachment,
        null=True,
        on_delete=models.PROTECT,
        related_name="outgoing_operations",
        db_index=False,
        verbose_name=_("attachment"),
    )
    status = models.CharField(_("status"), max_length=9, choices=DeliveryStatus, default=DeliveryStatus.WAITING)
    is_next = models.BooleanField(default=False)
    done_steps = JSONTextField(
        null=True,
        help_text=_("The steps of the connection that succeeded, with what they saved. A retry goes on behind."),
    )
    tries = models.PositiveIntegerField(_("tries"), default=0)
    claim = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)
    handed_out_at = models.DateTimeField(
        _("handed out at"), null=True, help_text=_("When a partner that collects its operations got it.")
    )
    hand_out = models.BigIntegerField(null=True)
    collector = models.BigIntegerField(null=True)
    next_try_at = models.DateTimeField(_("next try at"))
    last_failure = models.CharField(_("last failure"), max_length=20, choices=Failure, blank=True)
    last_http_status = models.PositiveSmallIntegerField(_("last HTTP status"), null=True)
    last_error = models.CharField(_("last error"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("created at"))
    settled_at = models.DateTimeField(_("settled at"), null=True, help_text=_("When it was delivered or skipped."))
    skipped_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("skipped by")
    )
    skip_reason = models.CharField(_("skip reason"), max_length=500, blank=True)
    request_id = models.CharField(
        _("request id"),
        max_length=LONGEST,
        blank=True,
        default="",
        db_default="",
        help_text=_("Of the request that caused it. The logs name it, and the partner gets it."),
    )

    objects = OutgoingQuerySet.as_manager()

    class Meta:
        verbose_name = _("outgoing operation")
        verbose_name_plural = _("outgoing operations")
        ordering = ["change_id", "system_id", "sequence"]
        permissions = [
            ("retry_outgoingoperation", "Can retry an operation now"),
            ("skip_outgoingoperation", "Can skip an operation with a reason"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["exchange", "sequence"], name="outgoing_once_in_sequence"),
        ]
        # Partial indexes, because each update of a row writes every index that contains the row.
        indexes = [
            models.Index(
                fields=["system", "next_try_at"],
                condition=Q(status=DeliveryStatus.WAITING, is_next=True),
                name="outgoing_next",
            ),
            models.Index(
                fields=["system", "claimed_until"], condition=Q(status=DeliveryStatus.SENDING), name="outgoing_sending"
            ),
            models.Index(
                fields=["exchange", "sequence"], condition=~Q(status__in=SETTLED), name="outgoing_open_of_exchange"
            ),
            models.Index(
                fields=["system", "created_at"], condition=~Q(status__in=SETTLED), name="outgoing_open_of_system"
            ),
            models.Index(
                fields=["system", "settled_at"],
                condition=Q(status=DeliveryStatus.DELIVERED),
                name="outgoing_delivered",
            ),
            models.Index(
                fields=["system", "created_at"], condition=Q(status=DeliveryStatus.REFUSED), name="outgoing_refused"
            ),
            models.Index(fields=["system", "created_at"], name="outgoing_of_system"),
            *(
                models.Index(fields=[name], condition=Q(**{f"{name}__isnull": False}), name=f"outgoing_of_{name}")
                for name in ("cause", "comment", "attachment", "skipped_by")
            ),
        ]

    def __str__(self) -> str:
        values = {"operation": self.operation, "sequence": self.sequence, "system": self.system}
        return gettext("%(operation)s %(sequence)s to %(system)s") % values

    @property
    def whole_payload(self) -> dict[str, Any]:
        """What was recorded with it, the change included."""
        if self.snapshot_of is None or self.is_forgotten or self.snapshot_of.is_forgotten:
            return self.payload
        return {"change": self.snapshot_of.payload["change"], **self.payload}

    @property
    def is_forgotten(self) -> bool:
        """Whether its content was removed, because it was delivered long ago."""
        return "removed_at" in self.payload

    @property
    def is_settled(self) -> bool:
        return self.status in SETTLED


class DeliveryAttempt(models.Model):
    """One try to send an operation: its start, its duration and the answer or the error.

    If the partner collects its operations, the try begins when the operation is handed out.
    """

    operation = models.ForeignKey(
        OutgoingOperation, on_delete=models.CASCADE, related_name="attempts", verbose_name=_("operation")
    )
    claim = models.PositiveIntegerField()
    # Of a mapped system: the number of the revision and the step that the call was of, and the call, without secrets.
    revision = models.PositiveIntegerField(_("revision"), null=True)
    step = models.CharField(_("step"), max_length=100, blank=True, default="", db_default="")
    request = models.TextField(
        _("request"), blank=True, default="", db_default="", help_text=_("The start of what was sent, without secrets.")
    )
    started_at = models.DateTimeField(_("started at"))
    duration = models.FloatField(_("duration"), help_text=_("Seconds."))
    http_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    failure = models.CharField(_("failure"), max_length=20, choices=Failure, blank=True)
    answer = models.TextField(_("answer"), blank=True, help_text=_("The start of what the partner answered."))
    answer_headers = models.TextField(
        _("headers of the answer"),
        blank=True,
        default="",
        db_default="",
        help_text=_("One in a line, without cookies and other secrets."),
    )
    error = models.CharField(_("error"), max_length=500, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True, help_text=_("Why an answer could not be used."))
    confirmation = models.CharField(
        _("confirmation"),
        max_length=12,
        choices=Confirmation,
        blank=True,
        help_text=_("What told that the partner has it, if the partner collects its operations."),
    )

    class Meta:
        verbose_name = _("delivery attempt")
        verbose_name_plural = _("delivery attempts")
        ordering = ["started_at", "id"]
        indexes = [
            # For the status page, which counts the failures of a day. A delivery writes nothing into it.
            models.Index(fields=["started_at"], condition=~Q(failure__in=NOT_FAILED), name="attempt_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S} {self.http_status or self.error}"
