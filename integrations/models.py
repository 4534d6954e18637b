"""Who we exchange changes with, and every operation in either direction.

`OutgoingOperation` is written by outbox/ alone, `IncomingOperation` by incoming/ alone.
"""

from __future__ import annotations

from typing import Any

import uuid_utils.compat
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator, URLValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.models import Attachment, Change, Comment, SupportGroup
from changes.validators import validate_text

from .choices import SETTLED, Breaker, Delivery, DeliveryStatus, IncomingKind, IncomingStatus, Operation
from .fields import EncryptedTextField, JSONTextField, Undecryptable
from .rules import ExchangeState
from .transports.http import check_endpoint_url
from .transports.signing import check_secret

USER = settings.AUTH_USER_MODEL


def validate_secret(secret: str) -> None:
    try:
        check_secret(secret)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def validate_endpoint_url(url: str) -> None:
    try:
        check_endpoint_url(url)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class ExternalSystem(models.Model):
    """A partner's service desk: who may speak for it, and how it is reached.

    `enabled` is an administrator's wish. `paused_at` is set when the partner answered that it does not want our
    calls (401, 403, 410). In both cases what is recorded for it waits.
    """

    system_id = models.CharField(
        _("system id"),
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z", _("Use letters, digits, dots, hyphens, underscores."))
        ],
    )
    description = models.CharField(max_length=200, blank=True, validators=[validate_text])
    authorized_user = models.ForeignKey(
        USER,
        on_delete=models.PROTECT,
        related_name="authorized_systems",
        help_text=_("The local user that the partner's requests act as. Not a member of staff."),
    )
    delivery = models.CharField(max_length=4, choices=Delivery, default=Delivery.PUSH)
    endpoint_url = models.CharField(
        _("endpoint URL"),
        max_length=500,
        blank=True,
        validators=[validate_endpoint_url],
        help_text=_("Where operations are POSTed. Needed for push."),
    )
    signing_secret = EncryptedTextField(blank=True, validators=[validate_secret])
    previous_signing_secret = EncryptedTextField(
        blank=True, validators=[validate_secret], help_text=_("During a rotation both secrets sign.")
    )
    max_in_flight = models.PositiveSmallIntegerField(
        _("most requests at a time"),
        default=32,
        validators=[MinValueValidator(1), MaxValueValidator(500)],
        help_text=_("How many requests may be under way to this system at once, over all workers."),
    )
    rate_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text=_("Operations a minute at most, over all workers. Empty: no limit."),
    )
    enabled = models.BooleanField(default=True)
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    pause_reason = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        ordering = ["system_id"]
        constraints = [
            models.UniqueConstraint(
                Lower("system_id"),
                name="external_system_id_any_case",
                violation_error_message=_("Another system has this id, in other capitals."),
            )
        ]

    def __str__(self) -> str:
        return self.system_id

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the system, and when it is new the row that controls its delivery with it."""
        with transaction.atomic(savepoint=False):
            is_new = self._state.adding
            super().save(*args, **kwargs)
            if is_new:
                DeliveryControl.objects.create(system=self)

    def clean(self) -> None:
        if self.delivery == Delivery.PUSH and not self.endpoint_url:
            raise ValidationError({"endpoint_url": gettext("Push needs the URL of the partner's endpoint.")})
        if self.authorized_user_id and (self.authorized_user.is_staff or self.authorized_user.is_superuser):
            raise ValidationError({"authorized_user": gettext("The authorized user must not be a member of staff.")})

    @property
    def signing_secrets(self) -> list[str]:
        """Those that sign now, the newer first. Raises ValueError for one that cannot be decrypted."""
        secrets = [secret for secret in (self.signing_secret, self.previous_signing_secret) if secret]
        if any(isinstance(secret, Undecryptable) for secret in secrets):
            raise ValueError(
                f"The signing secret of {self} cannot be decrypted: SECRET_KEY was changed. "
                "Put the former one into SECRET_KEY_FALLBACKS, or set the secret anew."
            )
        return secrets

    @property
    def is_flowing(self) -> bool:
        """Whether operations are sent to it now."""
        return self.enabled and self.paused_at is None


class DeliveryControl(models.Model):
    """How much may be sent to a system now: its circuit breaker and its rate limit, shared by all workers.

    A worker claims operations of a system under the lock of this row, so what it allows holds over all of them.
    Written by flow_control.py's rules: see there for what the numbers mean.
    """

    system = models.OneToOneField(ExternalSystem, on_delete=models.CASCADE, primary_key=True, related_name="control")
    breaker = models.CharField(max_length=8, choices=Breaker, default=Breaker.CLOSED)
    breaker_reason = models.CharField(max_length=300, blank=True)
    breaker_opened_at = models.DateTimeField(null=True)
    breaker_until = models.DateTimeField(
        null=True, help_text=_("When an open breaker lets one operation probe. Empty: a person closes it.")
    )
    consecutive_failures = models.PositiveIntegerField(default=0)
    window_started_at = models.DateTimeField(null=True)
    window_tries = models.PositiveIntegerField(default=0)
    window_failures = models.PositiveIntegerField(default=0)
    rate_used_until = models.DateTimeField(
        null=True, help_text=_("Until when the rate limit is used up by what was sent already.")
    )

    def __str__(self) -> str:
        return f"{self.system_id}: {self.breaker}"


class ExternalGroup(models.Model):
    """Makes a support group external: giving a change to it gives the change to that partner."""

    group = models.OneToOneField(SupportGroup, on_delete=models.CASCADE, related_name="external_group")
    system = models.ForeignKey(ExternalSystem, on_delete=models.PROTECT, related_name="external_groups")

    class Meta:
        ordering = ["group__name"]

    def __str__(self) -> str:
        return f"{self.group} ({self.system})"


class ExternalReference(models.Model):
    """Relates one change to one record in one external system. The partner fills it, staff do not."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="external_references", db_index=False)
    system = models.ForeignKey(
        ExternalSystem, on_delete=models.PROTECT, related_name="external_references", db_index=False
    )
    external_id = models.CharField(max_length=255, validators=[validate_text])
    external_url = models.URLField(max_length=1000, blank=True, validators=[URLValidator(schemes=["http", "https"])])
    external_status = models.CharField(max_length=200, blank=True, validators=[validate_text])
    updated_at = models.DateTimeField(_("last heard of"), auto_now=True)

    class Meta:
        ordering = ["system__system_id"]
        constraints = [
            models.UniqueConstraint(fields=["system", "external_id"], name="external_id_once_per_system"),
            models.UniqueConstraint(fields=["change", "system"], name="one_reference_per_change_and_system"),
        ]

    def __str__(self) -> str:
        return f"{self.system}: {self.external_id}"


class Exchange(models.Model):
    """How far the exchange of one change with one system has come, in terms of its outgoing sequence.

    Written under the change's row lock only, so `last_sequence` has no gap and no repeat. What the other columns
    mean for the next operation: rules.ExchangeState. The lock of this row guards which operation is next.
    """

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="exchanges", db_index=False)
    system = models.ForeignKey(ExternalSystem, on_delete=models.PROTECT, related_name="exchanges")
    last_sequence = models.PositiveIntegerField(default=0)
    assigned_sequence = models.PositiveIntegerField(null=True)
    cancelled_sequence = models.PositiveIntegerField(null=True)
    rejected_at_sequence = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "system"], name="one_exchange_per_change_and_system")]
        indexes = [
            models.Index(fields=["id"], condition=Q(rejected_at_sequence__isnull=False), name="exchange_rejected")
        ]

    def __str__(self) -> str:
        return f"{self.change_id} with {self.system_id}"

    @property
    def state(self) -> ExchangeState:
        return ExchangeState(
            self.last_sequence, self.assigned_sequence, self.cancelled_sequence, self.rejected_at_sequence
        )

    @state.setter
    def state(self, state: ExchangeState) -> None:
        self.last_sequence = state.last_sequence
        self.assigned_sequence = state.assigned_sequence
        self.cancelled_sequence = state.cancelled_sequence
        self.rejected_at_sequence = state.rejected_at_sequence


class IncomingOperation(models.Model):
    """What a partner sent, from whom, and what came of it; the failed ones too.

    `result` is the answer that a repeat of an applied one gets again.
    """

    id = models.UUIDField(primary_key=True, default=uuid_utils.compat.uuid7, editable=False)
    system = models.ForeignKey(ExternalSystem, null=True, on_delete=models.PROTECT, related_name="incoming_operations")
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    operation = models.CharField(max_length=6, choices=IncomingKind, blank=True)
    status = models.CharField(max_length=7, choices=IncomingStatus)
    idempotency_key = models.CharField(max_length=255, null=True)
    body_sha256 = models.CharField(max_length=64)
    payload = JSONTextField(help_text=_("What came, without the content of attachments."))
    origin_system_id = models.CharField(max_length=255, blank=True)
    origin_operation_id = models.CharField(max_length=255, blank=True)
    change = models.ForeignKey(
        Change, null=True, on_delete=models.SET_NULL, related_name="incoming_operations", db_index=False
    )
    http_status = models.PositiveSmallIntegerField()
    result = JSONTextField(null=True)
    error = models.TextField(blank=True)
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-received_at", "-id"]
        constraints = [
            # A failed operation frees its key.
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
    def origin(self) -> dict[str, str]:
        """Where this began: the operation itself, by the sender's id or else by ours, or one that was passed on."""
        if self.origin_operation_id:
            return {"system_id": self.origin_system_id, "operation_id": self.origin_operation_id}
        return {"system_id": self.system.system_id if self.system else "", "operation_id": str(self.id)}


class OutgoingOperation(models.Model):
    """One message to one system, recorded in the transaction of what caused it.

    `is_next` marks the one that is first of the unsettled ones of its exchange: no other is sent. `claim` counts the
    times a worker took it: a failure is written only by the worker whose claim is the latest. `tries` counts those that
    use up the retry schedule.
    """

    id = models.UUIDField(primary_key=True, default=uuid_utils.compat.uuid7, editable=False)
    exchange = models.ForeignKey(Exchange, on_delete=models.CASCADE, related_name="operations", db_index=False)
    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="outgoing_operations")
    system = models.ForeignKey(
        ExternalSystem, on_delete=models.PROTECT, related_name="outgoing_operations", db_index=False
    )
    sequence = models.PositiveIntegerField()
    operation = models.CharField(max_length=6, choices=Operation)
    payload = JSONTextField(help_text=_("As recorded; the external reference is added when it is sent."))
    cause = models.ForeignKey(
        IncomingOperation, null=True, on_delete=models.PROTECT, related_name="caused", db_index=False
    )
    comment = models.ForeignKey(
        Comment, null=True, on_delete=models.PROTECT, related_name="outgoing_operations", db_index=False
    )
    attachment = models.ForeignKey(
        Attachment, null=True, on_delete=models.PROTECT, related_name="outgoing_operations", db_index=False
    )
    status = models.CharField(max_length=9, choices=DeliveryStatus, default=DeliveryStatus.WAITING)
    is_next = models.BooleanField(default=False)
    tries = models.PositiveIntegerField(default=0)
    claim = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)
    next_try_at = models.DateTimeField()
    last_error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, help_text=_("When it was delivered or skipped."))
    skipped_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    skip_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["change_id", "system_id", "sequence"]
        permissions = [
            ("retry_outgoingoperation", "Can retry an operation now"),
            ("skip_outgoingoperation", "Can skip an operation with a reason"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["exchange", "sequence"], name="outgoing_once_in_sequence"),
        ]
        # Every update of a row writes each index that the row is in: so those for a few rows hold these alone.
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
    def is_settled(self) -> bool:
        return self.status in SETTLED


class DeliveryAttempt(models.Model):
    """One try to send an operation: when, how long, and what came back."""

    operation = models.ForeignKey(OutgoingOperation, on_delete=models.CASCADE, related_name="attempts")
    claim = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    duration = models.FloatField(help_text=_("Seconds."))
    http_status = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(blank=True, help_text=_("The start of what the partner answered."))
    error = models.CharField(max_length=500, blank=True)
    note = models.CharField(max_length=500, blank=True, help_text=_("Why an answer could not be used."))

    class Meta:
        ordering = ["started_at", "id"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S} {self.http_status or self.error}"
