"""A partner's file by multipart: an incoming Update with one attachment, for files too large for JSON.

It is logged, idempotent by its key, and causes no operation to its sender, as if it had come to `operations/`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from rest_framework.request import Request

from changes.api.exceptions import Problem
from changes.api.uploads import media_type_of
from changes.models import Attachment, Change
from changes.texts.file_names import sent_name
from integrations import incoming
from integrations.access import reachable
from integrations.choices import IncomingKind
from integrations.models import ExternalSystem
from integrations.tokens.naming import token_name

from .sent import Sent, apply


class SentFile(Sent):
    """A file for a change. `system`: the partner that sends it."""

    def __init__(self, request: Request, change: Change, system: ExternalSystem, file: UploadedFile) -> None:
        super().__init__(request)
        self.change, self.sender, self.file, self.sha256 = change, system, file, ""
        self.token = token_name(request.auth)
        self.system = system  # from the beginning: whatever fails is logged
        self.bytes_to_store = file.size or 0

    def read(self) -> incoming.IncomingRequest:
        described = {"file_name": sent_name(self.file), "content_type": media_type_of(self.file)}
        self.file.seek(0)
        self.sha256 = hashlib.file_digest(self.file, "sha256").hexdigest()
        self.payload = {
            "system_id": self.sender.system_id,
            "operation": IncomingKind.UPDATE.value,
            "change_number": self.change.number,
            "attachments": [described],
        }
        self.body_sha256 = hashlib.sha256(json.dumps([self.payload, self.sha256]).encode()).hexdigest()
        self.key = self.header("Idempotency-Key") or self.header("webhook-id")
        return incoming.IncomingRequest(
            system=self.sender,
            token=self.token,
            operation=IncomingKind.UPDATE,
            payload=self.payload,
            body_sha256=self.body_sha256,
            idempotency_key=self.key,
            message_id=self.header("webhook-id"),
            change_number=self.change.number,
            attachments=({"file": self.file, **described},),
        )


def attach(request: Request, change: Change, systems: list[ExternalSystem], file: UploadedFile) -> tuple[Any, bool]:
    """Attaches the file for one of the caller's systems. Returns the attachment, and whether this was a repeat."""
    system = _linked(change, systems)
    sent = SentFile(request, change, system, file)
    answer = apply(sent)
    own = Attachment.objects.filter(change=change, source_system=system.system_id, sha256=sent.sha256)
    return own.filter(file_name=sent.payload["attachments"][0]["file_name"]).latest("pk"), answer.is_replay


def _linked(change: Change, systems: list[ExternalSystem]) -> ExternalSystem:
    linked = [system for system in systems if reachable([system]).filter(pk=change.pk).exists()]
    if len(linked) > 1:
        names = ", ".join(system.system_id for system in linked)
        raise Problem(f"The change is linked to several of your systems ({names}): send the file by operations/.")
    return linked[0]
