"""What delivery hands to a transport, and what it gets back: a Response, or a TransportError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
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


class TransportError(Exception):
    """No answer came. `permanent`: trying again without a person's mending would fail alike."""

    def __init__(self, message: str, permanent: bool = False) -> None:
        self.permanent = permanent
        super().__init__(message)


class Transport(Protocol):
    def submit(self, requests: Sequence[Request]) -> list[Future[Response]]:
        """Starts sending them all at once. Each future gives the Response or raises TransportError."""
        ...
