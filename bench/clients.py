"""HTTP clients that call a server as fast as it answers, with one call at a time on each asyncio connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import cast
from urllib.parse import urlsplit

from .http_messages import Messages

# Returns the bytes of the next request of a connection.
NextRequest = Callable[[], bytes]


@dataclass(frozen=True)
class Load:
    """`rate`: answers per second after the warm-up. `answered`: all answers, including those of the warm-up."""

    answered: int
    rate: float


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run, next_request: NextRequest) -> None:
        self._run = run
        self._next = next_request
        self._messages = Messages()
        self._transport: asyncio.Transport
        self._due = 0.0  # when it may call next

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._call()

    def _call(self) -> None:
        self._due = max(time.monotonic(), self._due) + self._run.pause
        self._transport.write(self._next())

    def data_received(self, data: bytes) -> None:
        try:
            answers = self._messages.feed(data)
        except ValueError as error:
            self._run.fail(str(error))
            self._transport.close()
            return
        for head, body in answers:
            self._run.answered(head, body)
            if self._run.is_over:
                self._transport.close()
            elif (early := self._due - time.monotonic()) > 0:
                asyncio.get_running_loop().call_later(early, self._call_later)
            else:
                self._call()

    def _call_later(self) -> None:
        if self._run.is_over:
            self._transport.close()
        else:
            self._call()

    def connection_lost(self, error: Exception | None) -> None:
        self._run.closed()


class _Run:
    """All connections of one measurement. `pause`: seconds from one call of a connection to its next, at least."""

    def __init__(self, connections: int, status: bytes, warm_up: float, seconds: float, pause: float) -> None:
        self.pause = pause
        self._open = connections
        self._expected = b"HTTP/1.1 " + status
        now = time.monotonic()
        self._begin, self._end = now + warm_up, now + warm_up + seconds
        self._seconds = seconds
        self._all = self._measured = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_over = False

    def answered(self, head: bytes, body: bytes) -> None:
        if not head.startswith(self._expected):
            self.fail(f"{head.decode()}\n\n{body[:1000].decode(errors='replace')}")
            return
        self._all += 1
        now = time.monotonic()
        if now >= self._end:
            self.is_over = True
        elif now >= self._begin:
            self._measured += 1

    def fail(self, reason: str) -> None:
        self.is_over = True
        if not self._done.done():
            self._done.set_exception(RuntimeError(f"The server did not answer as expected:\n{reason}"))

    def closed(self) -> None:
        self._open -= 1
        if not self.is_over:
            self.fail("It closed a connection.")
        elif self._open == 0 and not self._done.done():
            self._done.set_result(None)

    async def load(self) -> Load:
        await self._done
        return Load(self._all, self._measured / self._seconds)


def load(
    urls: Sequence[str],
    requests: Sequence[NextRequest],
    status: int,
    warm_up: float,
    seconds: float,
    per_second: float | None = None,
) -> Load:
    """Calls the servers for `warm_up` and then `seconds` seconds, on one connection for each of `requests`.

    The connections go to the `urls` in turn. `per_second`: the most calls of all connections together; without it each
    connection calls as fast as it is answered. Raises RuntimeError if an answer has another status, or if a server
    closes a connection.
    """
    pause = len(requests) / per_second if per_second else 0.0
    return asyncio.run(_load(urls, requests, status, warm_up, seconds, pause))


async def _load(
    urls: Sequence[str], requests: Sequence[NextRequest], status: int, warm_up: float, seconds: float, pause: float
) -> Load:
    run = _Run(len(requests), str(status).encode(), warm_up, seconds, pause)
    loop = asyncio.get_running_loop()
    for url, next_request in zip(cycle(urls), requests, strict=False):
        address = urlsplit(url)

        def connection(next_request: NextRequest = next_request) -> _Connection:
            return _Connection(run, next_request)

        await loop.create_connection(connection, address.hostname or "", address.port or 80)
        # With pauses, the connections do not all call at the same moment.
        await asyncio.sleep(pause / len(requests))
    return await run.load()


def post(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of one request."""
    return _head("POST", path, {**headers, "Content-Length": str(len(body))}) + body


def get(path: str, headers: dict[str, str]) -> bytes:
    """The bytes of one request without a body."""
    return _head("GET", path, headers)


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
