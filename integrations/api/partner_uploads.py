"""A partner's file by multipart: an incoming Update with one attachment, for files too large for JSON.

It is logged, idempotent by its key, and causes no operation to its sender, as if it had come to `operations/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import Http404
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from changes.api.exceptions import Problem
from changes.api.uploads import media_type_of, uploaded_file
from changes.models import Attachment, Change
from changes.texts.file_names import sent_name
from integrations import incoming
from integrations.access import reachable
from integrations.choices import IncomingKind
from integrations.models import ExternalSystem
from integrations.tokens.naming import token_name

from .sent import Sent, apply


class SentFile(Sent):
    """A file for the change with this number. `systems`: the caller's.

    `find`: returns the change, or raises the error for one that the caller does not reach.
    """

    change: Change
    sender: ExternalSystem
    file: UploadedFile
    sha256: str

    def __init__(
        self, request: Request, number: str, systems: Sequence[ExternalSystem], find: Callable[[], Change]
    ) -> None:
        super().__init__(request)
        self.systems, self.find = systems, find
        self.token = token_name(request.auth)
        self.payer = systems[0]
        self.payload = {"operation": IncomingKind.UPDATE.value, "change_number": number, "attachments": []}

    def read(self) -> incoming.IncomingRequest:
        try:
            self.change = self.find()
        except Http404 as error:
            raise NotFound(*error.args) from error
        self.system = self.sender = _linked(self.change, self.systems)
        self.payload = {"system_id": self.sender.system_id, **self.payload}
        self.file = uploaded_file(self.request.data, self.request.FILES)
        self.bytes_to_store = self.file.size or 0
        described = {"file_name": sent_name(self.file), "content_type": media_type_of(self.file)}
        self.file.seek(0)
        self.sha256 = hashlib.file_digest(self.file, "sha256").hexdigest()
        self.payload = {**self.payload, "attachments": [described]}
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


def attach(
    request: Request, number: str, systems: Sequence[ExternalSystem], find: Callable[[], Change]
) -> tuple[Any, bool]:
    """Attaches the file for one of the caller's systems. Returns the attachment, and whether this was a repeat."""
    sent = SentFile(request, number, systems, find)
    answer = apply(sent)
    own = Attachment.objects.filter(change=sent.change, source_system=sent.sender.system_id, sha256=sent.sha256)
    return own.filter(file_name=sent.payload["attachments"][0]["file_name"]).latest("pk"), answer.is_replay


def _linked(change: Change, systems: Sequence[ExternalSystem]) -> ExternalSystem:
    linked = [system for system in systems if reachable([system]).filter(pk=change.pk).exists()]
    if len(linked) > 1:
        names = ", ".join(system.system_id for system in linked)
        raise Problem(f"The change is linked to several of your systems ({names}): send the file by operations/.")
    return linked[0]
