"""The connections of mapped systems: their documents in revisions, their secrets, and how far a poll has got.

`integrations.connections` explains the documents, and is the only writer.
"""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from integrations.fields import EncryptedTextField, JSONTextField

from .systems import ExternalSystem

USER = settings.AUTH_USER_MODEL
SECRET_NAME = RegexValidator(r"\A[A-Za-z_][A-Za-z0-9_]*\Z", _("Write letters, digits and underscores, no digit first."))


class ConnectionRevision(models.Model):
    """One activation of a document. That with the highest number is active: `ExternalSystem.connection` names it.

    `went_back_to`: the number of the revision whose document it has again, None if it was new.
    """

    system = models.ForeignKey(
        ExternalSystem,
        on_delete=models.CASCADE,
        related_name="revisions",
        db_index=False,
        verbose_name=_("system"),
    )
    number = models.PositiveIntegerField(_("number"))
    document = models.TextField(_("document"))
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    activated_at = models.DateTimeField(_("activated at"))
    activated_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("activated by")
    )
    went_back_to = models.PositiveIntegerField(null=True)

    class Meta:
        verbose_name = _("connection revision")
        verbose_name_plural = _("connection revisions")
        default_permissions = ()
        ordering = ["system", "-number"]
        constraints = [models.UniqueConstraint(fields=["system", "number"], name="connection_revision_number")]

    def __str__(self) -> str:
        return f"{self.system} {self.number}"


class ConnectionDraft(models.Model):
    """The document that is being written for a system. It may have faults."""

    system = models.OneToOneField(
        ExternalSystem, on_delete=models.CASCADE, primary_key=True, related_name="draft", verbose_name=_("system")
    )
    document = models.TextField(_("document"), blank=True)
    saved_at = models.DateTimeField(_("saved at"))
    saved_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.system)


class ConnectionSecret(models.Model):
    """A secret that documents of the system name as `secret.NAME`. It can be written, and never read."""

    system = models.ForeignKey(
        ExternalSystem, on_delete=models.CASCADE, related_name="connection_secrets", db_index=False
    )
    name = models.CharField(_("name"), max_length=100, validators=[SECRET_NAME])
    value = EncryptedTextField(_("value"))
    written_at = models.DateTimeField(_("written at"))

    class Meta:
        default_permissions = ()
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="connection_secret_name")]

    def __str__(self) -> str:
        return f"{self.system} {self.name}"


class ConnectionToken(models.Model):
    """The token that a partner gave us for our credentials, shared by all workers.

    `number` counts the tokens, so that of many who were refused with one token only the first asks for another.
    `renewing_until`: a worker is asking for one, and the others wait for it till then.
    """

    system = models.OneToOneField(ExternalSystem, on_delete=models.CASCADE, primary_key=True, related_name="token")
    value = EncryptedTextField(blank=True)
    number = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)
    renewing_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.system} {self.number}"


class ConnectionPoll(models.Model):
    """How far the polls of a system have got.

    `claim`: how often a worker has begun one; only the latest may write. `failures`: polls in a row that failed.
    """

    system = models.OneToOneField(ExternalSystem, on_delete=models.CASCADE, primary_key=True, related_name="poll")
    cursor = JSONTextField(null=True)
    due_at = models.DateTimeField()
    claim = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)
    polled_at = models.DateTimeField(null=True, help_text=_("When a poll last came to its end."))
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["due_at"], name="connection_poll_due")]

    def __str__(self) -> str:
        return str(self.system)


class ConnectionInbox(models.Model):
    """What came to a system's inbox and became no operation."""

    system = models.OneToOneField(ExternalSystem, on_delete=models.CASCADE, primary_key=True, related_name="inbox")
    unmatched = models.PositiveBigIntegerField(default=0)
    unmatched_at = models.DateTimeField(null=True)
    unverified = models.PositiveBigIntegerField(default=0)
    unverified_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.system)
