"""An incoming operation, the answer to it, and its refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from changes.models import Change
from integrations.choices import IncomingKind
from integrations.models import ExternalSystem


class OperationRefused(Exception):  # noqa: N818 - as in changes.exceptions
    """Why the operation was not applied: an HTTP status, a code, a text, and the path of the field at fault, if any.

    With more than one field at fault, `errors` maps the path of each to its text.
    """

    def __init__(
        self, status: int, code: str, detail: str, attr: str | None = None, errors: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.code, self.detail = status, code, detail
        self.errors = errors or ({attr: detail} if attr else {})
        super().__init__(detail)


@dataclass(frozen=True)
class IncomingRequest:
    """An operation with validated fields.

    `payload`: the body as received, for the log, without the content of attachments.
    `token`: the name of the API token that it came with.
    `message_id`: the sender's own id of the operation (`webhook-id`), None if it sent none.
    `note`: what of the operation was ignored or is taken differently, for the log.
    `external_url`, `external_status`: None if the operation does not name them.

    A comment or attachment may have two functions. `unless` is called with the change, under its lock: if it returns
    true, the change has this one already, and it is not added again. `then` is called with the added one, in the
    operation's transaction. The file of an attachment with `is_stored` is in our storage already, and counted.

    `is_repeatable`: without an idempotency key, the same content is answered with the first result. With a key, so is a
    Create's: its sender may not have had keys when it sent the first.
    `adds_own_comment`: whether an Assign or a Reject adds the comment that says so.
    `names_itself`: a Create without an external id, which gets a reference with our number.
    `as_kept`: returns those properties that say something else than the change, whose lock is held.
    """

    system: ExternalSystem
    operation: IncomingKind
    payload: Mapping[str, Any] = field(default_factory=dict)
    body_sha256: str = ""
    idempotency_key: str | None = None
    message_id: str | None = None
    token: str = ""
    external_id: str = ""
    external_url: str | None = None
    external_status: str | None = None
    change_number: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    comments: tuple[Mapping[str, Any], ...] = ()
    attachments: tuple[Mapping[str, Any], ...] = ()
    origin: Mapping[str, str] | None = None
    note: str = ""
    is_repeatable: bool = False
    adds_own_comment: bool = True
    names_itself: bool = False
    as_kept: Callable[[Change, Mapping[str, Any]], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Answer:
    """The answer to the partner.

    `is_replay`: this is the first answer, given again to a repeat. `stored`: bytes that the operation made us store
    besides what it sent.
    """

    http_status: int
    body: Mapping[str, Any]
    is_replay: bool = False
    stored: int = 0
