"""The operations that partners sent."""

from __future__ import annotations

import uuid_utils.compat
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.models import Change
from changes.models.inserting import QuicklyInserted
from changes.work import LONGEST
from integrations.choices import IncomingKind, IncomingStatus
from integrations.fields import JSONTextField
from integrations.querysets import OfSystemQuerySet

from .systems import ExternalSystem

USER = settings.AUTH_USER_MODEL


class IncomingOperation(QuicklyInserted):
    """An operation that a partner sent, with its sender and its outcome. Failed operations are kept too.

    `result`: the answer, which a repeat of the operation gets again. None for a failed operation.
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid_utils.compat.uuid7, editable=False)
    system = models.ForeignKey(
        ExternalSystem,
        null=True,
        on_delete=models.PROTECT,
        related_name="incoming_operations",
        verbose_name=_("system"),
    )
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("user"))
    # The beginning of the API token, as its page shows it. A text, so that it stays when the token is revoked.
    token = models.CharField(_("token"), max_length=20, blank=True)
    operation = models.CharField(_("operation"), max_length=6, choices=IncomingKind, blank=True)
    status = models.CharField(_("status"), max_length=7, choices=IncomingStatus)
    idempotency_key = models.CharField(_("idempotency key"), max_length=255, null=True)
    body_sha256 = models.CharField(max_length=64)
    payload = JSONTextField(_("payload"), help_text=_("What came, without the content of attachments."))
    origin_system_id = models.CharField(_("origin system id"), max_length=255, blank=True)
    origin_operation_id = models.CharField(_("origin operation id"), max_length=255, blank=True)
    change = models.ForeignKey(
        Change,
        null=True,
        on_delete=models.SET_NULL,
        related_name="incoming_operations",
        db_index=False,
        verbose_name=_("change"),
    )
    http_status = models.PositiveSmallIntegerField(_("HTTP status"))
    result = JSONTextField(_("result"), null=True)
    error = models.TextField(_("error"), blank=True)
    # What `changes.exceptions.in_words()` needs for the text on pages; null if only the API's words are known.
    refusal = JSONTextField(_("refusal"), null=True)
    note = models.TextField(_("note"), blank=True, help_text=_("What of it was ignored or taken differently."))
    received_at = models.DateTimeField(_("received at"), auto_now_add=True)
    request_id = models.CharField(
        _("request id"),
        max_length=LONGEST,
        blank=True,
        default="",
        db_default="",
        help_text=_("The partner's own if it gave one. The logs name it."),
    )

    objects = OfSystemQuerySet.as_manager()

    class Meta:
        verbose_name = _("incoming operation")
        verbose_name_plural = _("incoming operations")
        ordering = ["-received_at", "-id"]
        constraints = [
            # Failed operations are left out: their keys may be used again.
            models.UniqueConstraint(
                fields=["system", "idempotency_key"],
                condition=~Q(status=IncomingStatus.FAILED) & Q(idempotency_key__isnull=False),
                name="incoming_idempotency_key",
            )
        ]
        indexes = [
            models.Index(
                fields=["origin_operation_id"],
                condition=~Q(origin_operation_id=""),
                name="incoming_origin",
            ),
            models.Index(fields=["change", "-received_at"], name="incoming_of_change"),
            models.Index(fields=["received_at"], condition=Q(status=IncomingStatus.FAILED), name="incoming_failed"),
            models.Index(fields=["received_at", "id"], name="incoming_by_time"),
        ]

    def __str__(self) -> str:
        values = {"operation": self.operation or gettext("Unreadable"), "sender": self.system or self.user}
        return gettext("%(operation)s from %(sender)s") % values

    @property
    def is_news(self) -> bool:
        """Whether we asked for it, by a poll of a connection."""
        return self.token.startswith("poll, ")

    @property
    def origin(self) -> dict[str, str]:
        """The operation that this one began with: the one that the sender passed on, or else this operation itself.

        This operation itself is named by the sender's id of it, or by ours if the sender gave none.
        """
        if self.origin_operation_id:
            return {"system_id": self.origin_system_id, "operation_id": self.origin_operation_id}
        return {"system_id": self.system.system_id if self.system else "", "operation_id": str(self.id)}
