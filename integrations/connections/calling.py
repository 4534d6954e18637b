"""From a call of a document to a request, and to what the log shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, cast

from django.conf import settings

from changes.models import Attachment
from integrations.outgoing.sending import user_agent
from integrations.transports.base import File, Part, Request, Tls

from .evaluation.calls import AttachedFile, Call, ShownCall
from .evaluation.calls import Part as CallPart
from .evaluation.connection import Connection
from .secrets import masked

# What of an answer is read: a list of records is longer than the answer to an operation.
ANSWER_MAX_BYTES = 4 * 1024 * 1024
REQUEST_KEPT = 4000


@dataclass(frozen=True)
class Line:
    """What all calls to one system have in common. `token`: what the partner gave for our credentials, "" for none."""

    connection: Connection
    secrets: Mapping[str, str] = field(repr=False)

    def request(self, call: Call, token: str = "", attachment: Attachment | None = None) -> Request:
        """Raises EvaluationFailed if a part that has a secret cannot be made."""
        headers = {
            "User-Agent": user_agent(),
            "Accept": "application/json",
            **call.headers,
            **self.connection.auth.headers(self.secrets, token),
        }
        body: bytes | File | list[Part]
        if isinstance(call.body, bytes):
            body = call.body
        elif isinstance(call.body, AttachedFile):
            body = _file(attachment)
        else:
            body = [_part(part, attachment) for part in call.body]
        return Request(
            call.url,
            headers,
            body,
            settings.DELIVERY_TIMEOUT,
            method=call.method,
            tls=self._tls(),
            answer_max_bytes=ANSWER_MAX_BYTES,
            is_encoded=True,
        )

    def sign_in(self) -> tuple[Request, str]:
        """The request for a token, and what may be shown of it."""
        call = self.connection.auth.token_call(self.secrets)
        headers = {"User-Agent": user_agent(), "Accept": "application/json", **call.headers}
        body = call.body if isinstance(call.body, bytes) else b""
        request = Request(
            call.url, headers, body, settings.DELIVERY_TIMEOUT, method=call.method, tls=self._tls(), is_encoded=True
        )
        return request, call.shown().text(REQUEST_KEPT)

    def shown(self, call: Call) -> str:
        """The call for people, without secrets."""
        seen = call.shown()
        headers = {**seen.headers, **self.connection.auth.shown_headers()}
        return ShownCall(seen.method, seen.url, headers, seen.body).text(REQUEST_KEPT)

    def masked(self, text: str, token: str = "") -> str:
        return masked(text, [*self.secrets.values(), token])

    def _tls(self) -> Tls | None:
        authority = self.connection.ca_pem(self.secrets)
        ours = self.connection.auth.certificate(self.secrets)
        if not (authority or ours):
            return None
        return Tls(authority or "", *(ours or ("", "")))


def _file(attachment: Attachment | None) -> File:
    if attachment is None:
        raise ValueError("The operation has no attachment.")
    storage, name = attachment.file.storage, attachment.file.name or ""
    return File(lambda: cast("IO[bytes]", storage.open(name, "rb").file), attachment.size)


def _part(part: CallPart, attachment: Attachment | None) -> Part:
    content = _file(attachment) if isinstance(part.content, AttachedFile) else part.content
    return Part(part.name, content, part.content_type, part.file_name)
