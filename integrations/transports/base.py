"""What delivery hands to a transport, and what it gets back: a Response, or a TransportError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One POST. `timeout` is in seconds and covers everything from the connection to the end of the answer."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout: float


@dataclass(frozen=True)
class Response:
    """An answer. Of a long one `body` is the start, and `is_complete` False."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_complete: bool = True


class NoAnswer(StrEnum):
    """Why no answer came. choices.Failure has each of them, with what people read."""

    TIMEOUT = "timeout"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_BROKEN = "connection_broken"
    TLS = "tls"
    NAME_RESOLUTION = "name_resolution"
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    ENDPOINT_URL = "endpoint_url"


# Trying again without a person's mending would fail alike.
PERMANENT = frozenset({NoAnswer.ADDRESS_NOT_ALLOWED, NoAnswer.ENDPOINT_URL})


class TransportError(Exception):
    """No answer came. `permanent`: trying again without a person's mending would fail alike."""

    def __init__(self, message: str, kind: NoAnswer) -> None:
        self.kind = kind
        self.permanent = kind in PERMANENT
        super().__init__(message)


class Transport(Protocol):
    def submit(self, requests: Sequence[Request]) -> list[Future[Response]]:
        """Starts sending them all at once. Each future gives the Response or raises TransportError."""
        ...
