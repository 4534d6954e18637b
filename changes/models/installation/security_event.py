"""The security log: an append-only chain of events, in which each entry contains the hash of the one before.

Only changes/security_log/ writes these models: recording.py the pending events, chain.py the entries.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# The previous hash of the first entry.
NO_HASH = ""
# What the hash of an entry covers, besides the hash of the entry before it.
HASHED = (
    "id",
    "at",
    "kind",
    "actor_id",
    "actor_name",
    "address",
    "object_type",
    "object_id",
    "object_text",
    "details",
    "system_id",
    "token",
)


class EventQuerySet(models.QuerySet["SecurityEvent"]):
    """Entries are added by the chain alone, and never altered or deleted."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("The security log is append-only.")

    update = bulk_update = aupdate = abulk_update = delete = adelete = _refuse


class SecurityEvent(models.Model):
    """One entry. The ids have no gaps: 1, 2, 3, ...

    The actor is kept as an id and a name, not as a foreign key: a user can be deleted without altering the log.
    `actor_name` is empty if nobody was signed in, and `SYSTEM` for commands and workers.
    `details` never contains a secret: only that one was changed. Its values are texts, numbers, lists and objects.
    """

    SYSTEM = "system"

    id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(_("time"), db_index=True)
    kind = models.CharField(_("kind"), max_length=40)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(_("person"), max_length=150, blank=True)
    address = models.CharField(_("address"), max_length=45, blank=True)
    object_type = models.CharField(max_length=60, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_text = models.CharField(max_length=300, blank=True)
    details = models.JSONField(default=dict)
    system_id = models.CharField(max_length=100, blank=True)
    token = models.CharField(max_length=40, blank=True)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("security event")
        verbose_name_plural = _("security events")
        default_permissions = ("view",)
        ordering = ["id"]
        indexes = [
            models.Index(fields=["kind", "id"], name="security_event_kind"),
            models.Index(fields=["address", "id"], name="security_event_address"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.kind}"

    def save(self, *args: object, **kwargs: object) -> None:
        raise TypeError("The security log is append-only. Call changes.security_log.recording.record().")

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("The security log is append-only.")

    def computed_hash(self) -> str:
        """The hash that this entry must have, by its fields and `previous_hash`."""
        fields = {name: getattr(self, name) for name in HASHED}
        fields["at"] = self.at.astimezone(UTC).isoformat()
        text = json.dumps([self.previous_hash, fields], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class PendingEvent(models.Model):
    """An event that was recorded in the transaction of its cause, and is not in the chain yet.

    The chain has one writer at a time. If a transaction wrote to it and went on, everybody else would wait for its end.
    So it writes here, which locks nothing, and the event is moved to the chain right after the commit.
    """

    id: models.BigAutoField[Any, Any] = models.BigAutoField(primary_key=True)
    fields = models.JSONField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"pending event {self.id}"


class SecurityMail(models.Model):
    """A mail about an event that is still to be sent to one person."""

    event_id = models.BigIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"mail about event {self.event_id} to user {self.user_id}"
