"""What comes in, what the partner is told, and how an operation is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.choices import IncomingKind
from integrations.models import ExternalSystem


class OperationRefused(Exception):  # noqa: N818 - as in changes.exceptions
    """Why the operation was not applied: an HTTP status, a code, a text, and the path of the field."""

    def __init__(self, status: int, code: str, detail: str, attr: str | None = None) -> None:
        self.status, self.code, self.detail, self.attr = status, code, detail, attr
        super().__init__(detail)


@dataclass(frozen=True)
class IncomingRequest:
    """An operation whose fields are valid.

    `payload` is what came, for the log, without attachments' content. `message_id` is the sender's own id of the
    operation, where it has one (`webhook-id`).
    """

    system: ExternalSystem
    operation: IncomingKind
    payload: Mapping[str, Any] = field(default_factory=dict)
    body_sha256: str = ""
    idempotency_key: str | None = None
    message_id: str | None = None
    external_id: str = ""
    external_url: str | None = None
    external_status: str | None = None
    change_number: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    comments: tuple[Mapping[str, Any], ...] = ()
    attachments: tuple[Mapping[str, Any], ...] = ()
    origin: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Answer:
    """What the partner is told. `is_replay`: the answer of the first time, to a repeat."""

    http_status: int
    body: Mapping[str, Any]
    is_replay: bool = False
