"""The RSGI entry point: `granian --interface rsgi casexchange.rsgi:application`. Slow callers hold no thread here.

An event loop reads each body and writes each answer. Django runs in a few threads, and only while it has work to do: a
connection that sends half a body, or does not read its answer, costs memory until its time is over, and nothing else.
Behind a proxy that does this itself, any WSGI server with `casexchange.wsgi` will do as well.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope

from casexchange.wsgi import application as django_application  # sets up Django, which the next import needs

# isort: split
from casexchange.error_pages import API, problem

logger = logging.getLogger(__name__)

# A body of this size is read before Django is asked: it fits in memory. A larger one only once Django wants it.
SMALL = 64 * 1024
CHUNK = 64 * 1024
# Seconds for reading a request or writing an answer, and the bytes for which it gets one second more.
PATIENCE = 30
BYTES_PER_SECOND = 32 * 1024
_WITHOUT_BODY = {"GET", "HEAD", "OPTIONS", "TRACE"}

Headers = list[tuple[str, str]]


class BodyWanted(BaseException):
    """Django began to read a body that has not been received. Not an Exception, so that no view can handle it."""


class _Unread:
    """The input of a request whose body has not been received."""

    def read(self, size: int = -1) -> bytes:
        raise BodyWanted

    readline = read


class _File:
    """An open file that Django wants to send. Django calls this `wsgi.file_wrapper`."""

    def __init__(self, file: IO[bytes], block_size: int = CHUNK) -> None:
        self.read, self.close = file.read, file.close


class Application:
    """Answers HTTP requests by Django's WSGI handler."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(settings.WEB_THREADS, thread_name_prefix="django")

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        with suppress(ProtocolClosed):  # the caller has gone
            try:
                status, headers, answer = await self._answer(scope, protocol)
            except TimeoutError:
                await _refuse(scope, protocol)
                return
            try:
                await self._write(protocol, status, headers, answer)
            finally:
                answer.close()

    async def _answer(self, scope: Scope, protocol: HTTPProtocol) -> tuple[int, Headers, IO[bytes]]:
        length = _length(scope)
        if length == 0:
            return await self._call(scope, BytesIO())
        if length > SMALL:
            try:
                return await self._call(scope, _Unread())
            except BodyWanted:  # Django knows the caller by now, and has checked the length
                pass
        with SpooledTemporaryFile(SMALL) as body:
            async with asyncio.timeout(PATIENCE + length / BYTES_PER_SECOND):
                async for chunk in protocol:
                    body.write(chunk)
            body.seek(0)
            return await self._call(scope, body, is_second=length > SMALL)

    async def _call(self, scope: Scope, body: Any, is_second: bool = False) -> tuple[int, Headers, IO[bytes]]:
        environ = {**_environ(scope), "wsgi.input": body, "casexchange.is_second_call": is_second}
        return await asyncio.get_running_loop().run_in_executor(self._threads, _call, environ)

    async def _write(self, protocol: HTTPProtocol, status: int, headers: Headers, answer: IO[bytes]) -> None:
        """Sends the answer in pieces. Gives up, which closes the connection, when the reader's time is over."""
        loop = asyncio.get_running_loop()
        read = answer.read if isinstance(answer, BytesIO) else None
        piece = read(CHUNK) if read else await loop.run_in_executor(self._threads, answer.read, CHUNK)
        if len(piece) < CHUNK:
            protocol.response_bytes(status, headers, piece)
            return
        transport = protocol.response_stream(status, headers)
        sent, begun = 0, loop.time()
        while piece:
            async with asyncio.timeout_at(begun + PATIENCE + sent / BYTES_PER_SECOND):
                await transport.send_bytes(piece)
            sent += len(piece)
            piece = read(CHUNK) if read else await loop.run_in_executor(self._threads, answer.read, CHUNK)


def _length(scope: Scope) -> int:
    """The announced length of the body. 0 if it is not to be read: Django refuses a body without a length."""
    given = scope.headers.get("content-length") or ""
    return int(given) if given.isdecimal() and scope.method not in _WITHOUT_BODY else 0


def _environ(scope: Scope) -> dict[str, Any]:
    server, _, port = scope.server.rpartition(":")
    environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope.path).decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": _File,
    }
    if scope.authority:
        environ["HTTP_HOST"] = scope.authority
    for name, value in scope.headers.items():
        if "_" in name:
            continue  # it would pass for the header with a hyphen, such as X-Forwarded-For
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}" if key in environ else value
    return environ


def _call(environ: dict[str, Any]) -> tuple[int, Headers, IO[bytes]]:
    """Runs Django in this thread until the whole answer is there, or the file to send is open."""
    said: list[tuple[int, Headers]] = []

    def start(status: str, headers: Headers, exc_info: Any = None) -> None:
        said.append((int(status[:3]), [(name.lower(), value) for name, value in headers]))

    answer: Any = django_application(environ, start)
    status, headers = said[0]
    return status, headers, answer if isinstance(answer, _File) else _received(answer)


def _received(answer: Iterable[bytes]) -> IO[bytes]:
    """The whole content. A list of changes, streamed from the database, goes to a file if it is large."""
    try:
        if not getattr(answer, "streaming", False):
            return BytesIO(b"".join(answer))
        kept: Any = SpooledTemporaryFile(1024 * 1024)  # noqa: SIM115 - closed when it has been sent
        kept.writelines(answer)
        kept.seek(0)
        return kept
    finally:
        answer.close()  # type: ignore[attr-defined]


async def _refuse(scope: Scope, protocol: HTTPProtocol) -> None:
    detail = "The request did not arrive in time. Send it again, over a faster connection."
    answer = problem(HTTPStatus.REQUEST_TIMEOUT, detail, [("request_timeout", detail)])
    if not scope.path.startswith(API):
        answer.headers["Content-Type"], answer.content = "text/plain; charset=utf-8", detail.encode()
    headers = [(name.lower(), value) for name, value in answer.headers.items()]
    protocol.response_bytes(answer.status_code, [*headers, ("connection", "close")], answer.content)


application = Application()
