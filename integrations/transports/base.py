"""The interface between delivery and a transport: a Request in, a Response or a TransportError out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import IO, Protocol

ANSWER_MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class File:
    """A file that is read while it is sent. `open` is called when that begins; the transport closes what it returns."""

    open: Callable[[], IO[bytes]]
    size: int


@dataclass(frozen=True)
class Part:
    """A part of a multipart/form-data body. Its file name is sent as UTF-8."""

    name: str
    content: bytes | File
    content_type: str | None = None
    file_name: str | None = None


@dataclass(frozen=True)
class Tls:
    """How to know a partner, and how it knows us. `authority`: a PEM certificate, which replaces the usual authorities.

    `certificate` and `key`: ours, as PEM.
    """

    authority: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class Request:
    """One call. `timeout`: seconds for all of it, from connecting to the end of the answer.

    `answer_max_bytes`: what of the answer is read. `is_encoded`: the URL is sent as it is, percent-encoded already.
    `tells_way`: the response says how it came. The call then has a connection of its own.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes | File | Sequence[Part]
    timeout: float
    method: str = "POST"
    tls: Tls | None = None
    answer_max_bytes: int = ANSWER_MAX_BYTES
    is_encoded: bool = False
    tells_way: bool = False


@dataclass(frozen=True)
class Way:
    """How a call came to the partner. `tls`: the version of TLS, "" without; `certificate_until`: None without."""

    address: str
    tls: str = ""
    certificate_until: datetime | None = None


@dataclass(frozen=True)
class Response:
    """An answer. If it is too long, `body` is only its beginning and `is_complete` is False."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_complete: bool = True
    way: Way | None = None


class NoAnswer(StrEnum):
    """Why no answer came. `choices.Failure` has the same values, with labels for people."""

    TIMEOUT = "timeout"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_BROKEN = "connection_broken"
    TLS = "tls"
    NAME_RESOLUTION = "name_resolution"
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    ENDPOINT_URL = "endpoint_url"
    CERTIFICATE = "certificate"
    FILE = "file"


# A retry would fail in the same way until a person corrects the configuration.
PERMANENT = frozenset({NoAnswer.ADDRESS_NOT_ALLOWED, NoAnswer.ENDPOINT_URL, NoAnswer.CERTIFICATE, NoAnswer.FILE})


class TransportError(Exception):
    """No answer came. `permanent`: a retry would fail in the same way until a person corrects the configuration."""

    def __init__(self, message: str, kind: NoAnswer) -> None:
        self.kind = kind
        self.permanent = kind in PERMANENT
        super().__init__(message)


class Transport(Protocol):
    def submit(self, requests: Sequence[Request]) -> list[Future[Response]]:
        """Starts sending all requests at once and returns a future for each, in their order.

        A future returns the Response or raises TransportError.
        """
        ...
