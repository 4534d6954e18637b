"""The partners: their systems, how to reach them, and the support groups that belong to them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.models import SupportGroup
from changes.texts.lines import LineField
from changes.validators import validate_text
from integrations.choices import COLLECTING, Breaker, BreakerCause, Delivery
from integrations.fields import EncryptedTextField, JSONTextField, Undecryptable
from integrations.leave import (
    usual_change_types,
    validate_change_types,
    validate_settable_fields,
    validate_transitions,
)
from integrations.querysets import OfSystemQuerySet, SystemQuerySet
from integrations.validators import (
    validate_endpoint_url,
    validate_secret,
    validate_system_id,
    validate_system_ids,
)

from .accounts import is_partner_account, is_staff_account

USER = settings.AUTH_USER_MODEL


class SecretUnreadable(ValueError):  # noqa: N818 - says the state, as the changes' exceptions do
    """A signing secret cannot be decrypted, because its key is missing."""


class ExternalSystem(models.Model):
    """A partner's service desk: the user that it acts as, and how to reach it.

    `enabled`: set by an administrator. `paused_at`: set when the partner answered 401, 403 or 410, which is kept in
    `pause_status`. Operations for a disabled or paused system are recorded and wait. standing/flow.py says whether
    operations flow to a system.
    """

    system_id = models.CharField(
        _("system id"),
        max_length=100,
        unique=True,
        validators=[validate_system_id],
    )
    description = LineField(_("description"), max_length=200, blank=True, validators=[validate_text])
    authorized_user = models.ForeignKey(
        USER,
        on_delete=models.PROTECT,
        related_name="authorized_systems",
        help_text=_("The local user that the partner's requests act as: a partner's account, never a member of staff."),
        verbose_name=_("authorized user"),
    )
    delivery = models.CharField(_("delivery"), max_length=6, choices=Delivery, default=Delivery.PUSH)
    endpoint_url = models.CharField(
        _("endpoint URL"),
        max_length=500,
        blank=True,
        validators=[validate_endpoint_url],
        help_text=_("Where operations are POSTed. Needed for push."),
    )
    signing_secret = EncryptedTextField(_("signing secret"), blank=True, validators=[validate_secret])
    previous_signing_secret = EncryptedTextField(
        _("previous signing secret"),
        blank=True,
        validators=[validate_secret],
        help_text=_("During a rotation both secrets sign."),
    )
    max_in_flight = models.PositiveSmallIntegerField(
        _("most requests at a time"),
        default=32,
        validators=[MinValueValidator(1), MaxValueValidator(500)],
        help_text=_("How many requests may be under way to this system at once, over all workers."),
    )
    rate_limit = models.PositiveIntegerField(
        _("rate limit"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text=_("Operations a minute at most, over all workers. Empty: no limit."),
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    sends_markdown = models.BooleanField(
        _("sends Markdown"),
        default=False,
        help_text=_("Its comments are formatted as Markdown. Otherwise they are shown as they were typed."),
    )
    # What the partner may do: integrations/leave.py. None: all.
    change_types = JSONTextField(
        _("change types"),
        default=usual_change_types,
        blank=True,
        validators=[validate_change_types],
        help_text=_("The types that it may give a change. A Standard change is approved beforehand."),
    )
    settable_fields = JSONTextField(
        _("settable fields"),
        null=True,
        blank=True,
        validators=[validate_settable_fields],
        help_text=_("The fields of a change that it may set."),
    )
    transitions = JSONTextField(
        _("transitions"),
        null=True,
        blank=True,
        validators=[validate_transitions],
        help_text=_("The phases that it may move a change to."),
    )
    relays_for = JSONTextField(
        _("relays for"),
        default=list,
        blank=True,
        validators=[validate_system_ids],
        help_text=_("The ids of the systems whose operations it may pass on, separated by commas."),
    )
    # How an SMAX adapter is spoken to: integrations/smax/registration.py. Empty: the defaults.
    smax = JSONTextField(_("SMAX"), default=dict, blank=True)
    # The active revision of a mapped system's connection: nothing is sent before there is one.
    connection = models.ForeignKey(
        "ConnectionRevision",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
        verbose_name=_("connection"),
    )
    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True, editable=False)
    pause_status = models.PositiveSmallIntegerField(_("pausing HTTP status"), null=True, blank=True, editable=False)

    objects = SystemQuerySet.as_manager()

    class Meta:
        verbose_name = _("external system")
        verbose_name_plural = _("external systems")
        ordering = ["system_id"]
        constraints = [
            models.UniqueConstraint(
                Lower("system_id"),
                name="external_system_id_any_case",
                violation_error_message=_("Another system has this id, in other capitals."),
            )
        ]

    @property
    def collects(self) -> bool:
        """Whether the partner asks for its operations. Otherwise we call the partner."""
        return self.delivery in COLLECTING

    @property
    def is_unconnected(self) -> bool:
        """Whether it is mapped and has no active document, so that nothing can be sent."""
        return self.delivery == Delivery.MAPPED and self.connection_id is None

    @property
    def loaded_poll(self) -> Any:
        """Its `ConnectionPoll`, if it was loaded together with it."""
        return self._state.fields_cache.get("poll")

    @property
    def is_in_clear_text(self) -> bool:
        """Whether operations are pushed to it without encryption, which only allowed networks may get."""
        return self.delivery == Delivery.PUSH and self.endpoint_url.startswith("http://")

    def __str__(self) -> str:
        return self.system_id

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the system. A new system also gets its `DeliveryControl`.

        Raises ValidationError if the authorized user is a member of staff.
        """
        fields = kwargs.get("update_fields")
        if self.collects and self.paused_at is not None:
            # The pause was for our calls, and there are none any more.
            self.paused_at = self.pause_status = None
            kwargs |= {} if fields is None else {"update_fields": {*fields, "paused_at", "pause_status"}}
        if (fields is None or "authorized_user" in fields) and is_staff_account(self.authorized_user):
            raise ValidationError({"authorized_user": self._fault_of_user()})
        with transaction.atomic(savepoint=False):
            is_new = self._state.adding
            if not is_new and (fields is None or "delivery" in fields):
                self._forget_other_way()
            super().save(*args, **kwargs)
            if is_new:
                DeliveryControl.objects.create(system=self)

    def _forget_other_way(self) -> None:
        """If the delivery changes: what was delivered, or asked for, the other way tells nothing of this one."""
        if ExternalSystem.objects.filter(pk=self.pk).exclude(delivery=self.delivery).exists():
            DeliveryControl.objects.filter(system=self).update(asked_at=None, first_delivered_at=None)

    def clean(self) -> None:
        errors = {}
        if self.delivery == Delivery.PUSH and not self.endpoint_url:
            errors["endpoint_url"] = gettext("Push needs the URL of the partner's endpoint.")
        if self.authorized_user_id and (fault := self._fault_of_user()):
            errors["authorized_user"] = fault
        if errors:
            raise ValidationError(errors)

    def _fault_of_user(self) -> str:
        """Why the authorized user may not be one; "" for a partner's account."""
        if is_staff_account(self.authorized_user):
            return gettext("The authorized user must not be a member of staff.")
        if is_partner_account(self.authorized_user):
            return ""
        message = gettext(
            "%(user)s was not made as a partner's account, so it may be that of a person. Make a new user instead."
        )
        return message % {"user": self.authorized_user.get_username()}

    def speaks_for(self, system_id: str) -> bool:
        """Whether an origin at that system, when this one names it, decides anything: rule 9 of section 3."""
        return system_id == self.system_id or system_id in self.relays_for

    @property
    def signing_secrets(self) -> list[str]:
        """The secrets that sign now, newer first; may be empty. Raises SecretUnreadable if one cannot be decrypted."""
        secrets = [secret for secret in (self.signing_secret, self.previous_signing_secret) if secret]
        if any(isinstance(secret, Undecryptable) for secret in secrets):
            raise SecretUnreadable(
                f"The signing secret of {self} cannot be decrypted: its key is missing. "
                "Add the former key to FIELD_ENCRYPTION_KEYS (or SECRET_KEY_FALLBACKS), or set the secret anew."
            )
        return secrets


class DeliveryControl(models.Model):
    """The circuit breaker and the use of the rate limit of a system, shared by all workers.

    A worker locks this row to claim the system's operations, so the limits hold over all workers. flow_control.py
    computes the values and explains them.
    """

    system = models.OneToOneField(
        ExternalSystem, on_delete=models.CASCADE, primary_key=True, related_name="control", verbose_name=_("system")
    )
    breaker = models.CharField(_("circuit breaker"), max_length=8, choices=Breaker, default=Breaker.CLOSED)
    breaker_cause = models.CharField(max_length=8, choices=BreakerCause, blank=True)
    breaker_reason = models.CharField(
        max_length=300, blank=True, help_text=_("The reason that a person gave for opening it, and who that was.")
    )
    breaker_opened_at = models.DateTimeField(null=True)
    breaker_until = models.DateTimeField(
        null=True, help_text=_("When an open breaker lets one operation probe. Empty: a person closes it.")
    )
    first_delivered_at = models.DateTimeField(null=True, help_text=_("Empty until the partner has taken an operation."))
    pinging_until = models.DateTimeField(null=True, help_text=_("Until when a ping has it, and no other one begins."))
    consecutive_failures = models.PositiveIntegerField(default=0)
    window_started_at = models.DateTimeField(null=True)
    window_tries = models.PositiveIntegerField(default=0)
    window_failures = models.PositiveIntegerField(default=0)
    hand_outs = models.PositiveBigIntegerField(default=0, help_text=_("How many answers handed operations out."))
    asked_at = models.DateTimeField(
        _("last asked at"), null=True, help_text=_("When the partner last asked for its operations, to some seconds.")
    )
    round_began_at = models.DateTimeField(
        null=True, help_text=_("When an SMAX adapter last began to read the feed from its first page on.")
    )
    rate_used_until = models.DateTimeField(
        null=True, help_text=_("Until when the rate limit is used up by what was sent already.")
    )

    class Meta:
        verbose_name = _("delivery control")
        verbose_name_plural = _("delivery controls")

    def __str__(self) -> str:
        return f"{self.system_id}: {self.breaker}"


class ExternalGroup(models.Model):
    """Makes a support group external: giving a change to it gives the change to that partner."""

    group = models.OneToOneField(
        SupportGroup, on_delete=models.CASCADE, related_name="external_group", verbose_name=_("group")
    )
    system = models.ForeignKey(
        ExternalSystem, on_delete=models.PROTECT, related_name="external_groups", verbose_name=_("system")
    )

    objects = OfSystemQuerySet.as_manager()

    class Meta:
        verbose_name = _("external group")
        verbose_name_plural = _("external groups")
        ordering = ["group__name"]

    def __str__(self) -> str:
        return f"{self.group} ({self.system})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raises ValidationError if the group has members."""
        if self.group.members.exists():
            raise ValidationError(self.either_or())
        super().save(*args, **kwargs)

    def either_or(self) -> str:
        """Why a group cannot have both members and an external system, and what to do."""
        message = gettext(
            "%(group)s would have members and belong to %(system)s. A group is external or has members, never both: "
            "remove the members, or the external system."
        )
        return message % {"group": self.group, "system": self.system}
