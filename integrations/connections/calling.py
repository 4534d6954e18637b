"""From a call of a document to a request, and to what the log shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, cast

from django.conf import settings
from django.utils.translation import gettext as _

from changes.models import Attachment
from integrations.outgoing.sending import request_id_header, user_agent
from integrations.transports.base import File, NoAnswer, Part, Request, Tls, TransportError

from .evaluation.calls import AttachedFile, Call, ShownCall, without_secrets
from .evaluation.calls import Part as CallPart
from .evaluation.connection import Connection
from .templating.faults import EvaluationFailed

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
            **request_id_header(),
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
            tls=self.tls(),
            answer_max_bytes=ANSWER_MAX_BYTES,
            is_encoded=True,
        )

    def sign_in(self) -> tuple[Request, str]:
        """The request for a token, and what may be shown of it."""
        call = self.connection.auth.token_call(self.secrets)
        ours = {"User-Agent": user_agent(), "Accept": "application/json", **request_id_header()}
        headers = {**ours, **call.headers}
        body = call.body if isinstance(call.body, bytes) else b""
        request = Request(
            call.url, headers, body, settings.DELIVERY_TIMEOUT, method=call.method, tls=self.tls(), is_encoded=True
        )
        return request, call.shown().text(REQUEST_KEPT)

    def shown(self, call: Call) -> str:
        """The call for people, without secrets."""
        seen = call.shown()
        headers = {**seen.headers, **self.connection.auth.shown_headers()}
        return ShownCall(seen.method, seen.url, headers, seen.body).text(REQUEST_KEPT)

    def masked(self, text: str, token: str = "") -> str:
        """The text without secrets, and without what the headers of `auth` have made of them."""
        return without_secrets(text, [*self.secrets.values(), token, *self._credentials(token)])

    def _credentials(self, token: str) -> list[str]:
        try:
            values = self.connection.auth.headers(self.secrets, token).values()
        except EvaluationFailed:
            return []
        return [part for value in values for part in (value, value.rpartition(" ")[2])]

    def tls(self) -> Tls | None:
        authority = self.connection.ca_pem(self.secrets)
        ours = self.connection.auth.certificate(self.secrets)
        if not (authority or ours):
            return None
        return Tls(authority or "", *(ours or ("", "")))


def no_answer(error: TransportError) -> str:
    """Why no answer came, for who writes the document."""
    told = {
        NoAnswer.CONNECTION_REFUSED: _("Nothing accepts connections at this address. Check base_url: {}."),
        NoAnswer.NAME_RESOLUTION: _("There is no such host. Check base_url: {}."),
        NoAnswer.ADDRESS_NOT_ALLOWED: _("An operator must add its network to OUTGOING_ALLOWED_NETWORKS: {}."),
        NoAnswer.TLS: _("There is no secure connection. Does it speak https, and is its certificate right? {}."),
        NoAnswer.TIMEOUT: _("It did not answer in time. Check the address, and whether it speaks https: {}."),
    }
    return str(told.get(error.kind, "{}.")).format(str(error).rstrip("."))


def _file(attachment: Attachment | None) -> File:
    if attachment is None:
        raise ValueError("The operation has no attachment.")
    storage, name = attachment.file.storage, attachment.file.name or ""
    return File(lambda: cast("IO[bytes]", storage.open(name, "rb").file), attachment.size)


def _part(part: CallPart, attachment: Attachment | None) -> Part:
    content = _file(attachment) if isinstance(part.content, AttachedFile) else part.content
    return Part(part.name, content, part.content_type, part.file_name)
