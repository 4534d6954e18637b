"""What the SMAX face keeps: the tokens and addresses of adapters, files not linked yet, and what came with comments."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from changes.models import Attachment, Comment
from changes.models.additions import storage_name
from integrations.fields import JSONTextField

from .systems import ExternalSystem

USER = settings.AUTH_USER_MODEL


class SmaxToken(models.Model):
    """A signed-in adapter. An account may have many at once, since some adapters sign in before each call."""

    digest = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"of {self.user_id} until {self.expires_at}"


class SmaxAddress(models.Model):
    """An address from which an account's adapter signed in with the right password, and when it last did, to a day.

    What strangers try elsewhere does not lock the adapter out there, not even in a process that has just begun.
    """

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    address = models.CharField(max_length=64)
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=("user", "address"), name="smax_address_once")]

    def __str__(self) -> str:
        return f"{self.address} of {self.user_id}"


class SmaxUpload(models.Model):
    """A file that an adapter uploaded. A later write links it to a change: then it is that change's attachment.

    `attachment`: None until it is linked. A file that is never linked is dropped after a day.
    """

    guid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    system = models.ForeignKey(ExternalSystem, on_delete=models.CASCADE, related_name="+")
    file = models.FileField(upload_to=storage_name, max_length=200, blank=True)
    file_name = models.CharField(max_length=255)
    content_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    uploaded_at = models.DateTimeField(auto_now_add=True, db_index=True)
    attachment = models.OneToOneField(Attachment, on_delete=models.CASCADE, null=True, related_name="smax_upload")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.guid} of {self.system_id}"


class SmaxComment(models.Model):
    """The `CreatedTime` that an adapter sent with a comment, as it was written: a number, a text, or none."""

    comment = models.OneToOneField(Comment, on_delete=models.CASCADE, primary_key=True, related_name="smax")
    created_time = JSONTextField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.comment_id}: {self.created_time}"
