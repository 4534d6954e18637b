"""What a poll or an inbox makes of a partner's news: operations, as if the partner had sent them to our API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from changes.api.exceptions import Problem
from integrations import incoming
from integrations.api.operation_serializers import valid_request
from integrations.api.sent import KEY_MAX_LENGTH, Sent, apply, check_identifier
from integrations.choices import IncomingStatus
from integrations.models import ExternalReference, ExternalSystem, IncomingOperation

# How long a refused one is remembered: a poll that looks back finds it again.
REFUSED_REMEMBERED = timedelta(days=2)


class Said(Sent):
    """One operation that a connection's document made of what the partner said. `way`: how that came to us."""

    def __init__(self, system: ExternalSystem, way: str, key: str | None, body: Mapping[str, Any]) -> None:
        super().__init__(None)
        self.sender = self.system = system
        self.token, self.given_key = way, key
        # For the log a key that cannot be kept is none.
        self.key = key if key is None or _is_usable(key) else None
        self.payload = {**body, "system_id": system.system_id}
        text = json.dumps(self.payload, sort_keys=True).encode()
        self.body_sha256, self.size = hashlib.sha256(text).hexdigest(), len(text)
        self.bytes_to_store = self.size

    @property
    def user(self) -> Any:
        return self.sender.authorized_user

    @property
    def named(self) -> Mapping[str, Any]:
        texts = {name: self.payload.get(name) for name in ("operation", "change_number", "external_id")}
        return {name: text for name, text in texts.items() if isinstance(text, str) and _is_usable(text)}

    @property
    def length(self) -> int:
        return self.size

    def read(self) -> incoming.IncomingRequest:
        if self.key != self.given_key:
            message = f"Give 1 to {KEY_MAX_LENGTH} characters, without control characters and white space at the edges."
            raise Problem(f"key: {message}", "invalid", {"key": message})
        return replace(
            valid_request(self.payload, self.sender),
            token=self.token,
            payload=self.payload,
            body_sha256=self.body_sha256,
            idempotency_key=self.key,
        )


def _is_usable(text: str) -> bool:
    try:
        check_identifier("key", text)
    except Problem:
        return False
    return 0 < len(text) <= KEY_MAX_LENGTH


def is_known(system: ExternalSystem, external_id: str) -> bool:
    """Whether the partner's record has a reference here."""
    if not _is_usable(external_id):
        return False
    return ExternalReference.objects.filter(system=system, external_id=external_id).exists()


def change_number(system: ExternalSystem, external_id: str) -> str | None:
    """The number of the change that has a reference to the partner's record."""
    found = ExternalReference.objects.filter(system=system, external_id=external_id).select_related("change").first()
    return found.change.number if found else None


def is_done(system: ExternalSystem, key: str | None) -> bool:
    """Whether the news with this key was taken, or refused, before."""
    if not key or not _is_usable(key):
        return False
    found = IncomingOperation.objects.filter(system=system, idempotency_key=key)
    if found.exclude(status=IncomingStatus.FAILED).exists():
        return True
    since = timezone.now() - REFUSED_REMEMBERED
    # What failed on our side is no refusal.
    return found.filter(status=IncomingStatus.FAILED, http_status__lt=500, received_at__gte=since).exists()


def first_answer(system: ExternalSystem, key: str | None) -> incoming.Answer | None:
    """The answer to the news with this key if it was taken before, whatever the document makes of it now."""
    if not key or not _is_usable(key):
        return None
    found = IncomingOperation.objects.filter(system=system, idempotency_key=key).exclude(status=IncomingStatus.FAILED)
    first = found.first()
    return incoming.Answer(first.http_status, first.result or {}, is_replay=True) if first else None


def take(system: ExternalSystem, way: str, key: str | None, body: Mapping[str, Any]) -> incoming.Answer:
    """Applies the operation. Raises the APIException that the API would answer with; the incoming log has it."""
    return apply(Said(system, way, key, body))


def log_unusable(system: ExternalSystem, way: str, key: str | None, news: Any, error: str) -> None:
    """Logs news of which the document could make no operation, once: a poll that looks back finds it again."""
    said = Said(system, way, key, {"news": news})
    said.key = key or f"unusable-{said.body_sha256}"
    if not is_done(system, said.key):
        said.log_failure(Problem(error, "unusable"))
