"""A change and a system: the reference to the partner's record, and the state of the exchange."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from changes.models import Change
from changes.models.activity import note_activity
from changes.models.inserting import QuicklyInserted
from changes.texts.lines import LineField
from changes.validators import validate_identifier, validate_text, validate_web_address
from integrations.fields import IdentifierField
from integrations.querysets import OfSystemQuerySet
from integrations.rules import ExchangeState

from .systems import ExternalSystem


class ExternalReference(QuicklyInserted):
    """Relates one change to one record in one external system. Only the partner fills it, never staff."""

    change = models.ForeignKey(
        Change, on_delete=models.CASCADE, related_name="external_references", db_index=False, verbose_name=_("change")
    )
    system = models.ForeignKey(
        ExternalSystem,
        on_delete=models.PROTECT,
        related_name="external_references",
        db_index=False,
        verbose_name=_("system"),
    )
    external_id = IdentifierField(_("external id"), max_length=255, validators=[validate_identifier])
    external_url = models.CharField(_("external url"), max_length=1000, blank=True, validators=[validate_web_address])
    external_status = LineField(_("external status"), max_length=200, blank=True, validators=[validate_text])
    updated_at = models.DateTimeField(_("last heard of"), auto_now=True)

    objects = OfSystemQuerySet.as_manager()

    class Meta:
        verbose_name = _("external reference")
        verbose_name_plural = _("external references")
        ordering = ["system__system_id"]
        constraints = [
            models.UniqueConstraint(fields=["system", "external_id"], name="external_id_once_per_system"),
            models.UniqueConstraint(fields=["change", "system"], name="one_reference_per_change_and_system"),
        ]

    def __str__(self) -> str:
        return f"{self.system}: {self.external_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Also notes the news on the change, whose row lock the caller holds."""
        super().save(*args, **kwargs)
        note_activity(Change, self.change_id, self.updated_at, after_save=False)


class Exchange(models.Model):
    """The state of the exchange of one change with one system, as positions in its outgoing sequence.

    Written only under the change's row lock, so `last_sequence` has no gaps and no repeats. `rules.ExchangeState`
    explains the other columns. The lock of this row guards which operation is marked as next.
    """

    change = models.ForeignKey(
        Change, on_delete=models.CASCADE, related_name="exchanges", db_index=False, verbose_name=_("change")
    )
    system = models.ForeignKey(
        ExternalSystem, on_delete=models.PROTECT, related_name="exchanges", verbose_name=_("system")
    )
    last_sequence = models.PositiveIntegerField(_("last sequence"), default=0)
    assigned_sequence = models.PositiveIntegerField(_("assigned sequence"), null=True)
    cancelled_sequence = models.PositiveIntegerField(_("cancelled sequence"), null=True)
    rejected_at_sequence = models.PositiveIntegerField(_("rejected at sequence"), null=True)

    objects = OfSystemQuerySet.as_manager()

    class Meta:
        verbose_name = _("link with a partner")
        verbose_name_plural = _("links with partners")
        constraints = [models.UniqueConstraint(fields=["change", "system"], name="one_exchange_per_change_and_system")]
        indexes = [
            models.Index(fields=["id"], condition=Q(rejected_at_sequence__isnull=False), name="exchange_rejected")
        ]

    def __str__(self) -> str:
        return f"{self.change} – {self.system}"

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


class MissedNews(models.Model):
    """That a partner's answer had news at this moment, on a change whose row another transaction held.

    Without a constraint in the database, because checking it would wait for that transaction.
    """

    change = models.OneToOneField(
        Change, on_delete=models.CASCADE, primary_key=True, related_name="+", db_constraint=False
    )
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.change_id} at {self.at}"
