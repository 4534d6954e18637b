"""The ASGI entry point, for granian: `--interface asginl casexchange.asgi:application`. Slow callers hold no thread.

An event loop reads each body and writes each answer. Django runs in a few threads, by its WSGI handler, and only while
it has work to do: a connection that sends half a body, or does not read its answer, costs little memory until its time
is over, and nothing else. Behind a proxy that does this itself, a WSGI server with `casexchange.wsgi` will do as well.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Protocol

from django.conf import settings

from casexchange.wsgi import application as django_application  # sets up Django, which the next import needs

# isort: split
from casexchange.web.error_pages import refused_call
from casexchange.web.long_polling import LongPolls
from casexchange.web.requests import REQUEST_ID
from casexchange.web.watching import ADDRESSES
from changes.calls import CALLS, OF_ADAPTERS
from changes.waiting import CAN_WAIT, HAS_WAITED, Wait
from changes.work import HEADER, sane

logger = logging.getLogger(__name__)

# A body of this size is read before Django is asked: it fits in memory. A larger one only once Django wants it.
SMALL = 64 * 1024
PIECE = 64 * 1024
# WEB_TIMEOUT is for a small request, or for a piece of an answer. The whole gets one second more for so many bytes.
BYTES_PER_SECOND = 32 * 1024
# The header in which an SMAX adapter names the file that it uploads.
FILE_NAME = "fs_filename"
_WITHOUT_BODY = {"GET", "HEAD", "OPTIONS", "TRACE"}

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Content(Protocol):
    """The body of an answer."""

    def read(self, size: int = -1, /) -> bytes: ...

    def close(self) -> object: ...


class BodyWanted(BaseException):
    """Django began to read a body that has not been received. Not an Exception, so that no view can handle it."""


class Disconnected(Exception):  # noqa: N818 - names the event
    """The caller closed the connection before the body was complete, or while its call waited for news."""


class NotYet(Exception):  # noqa: N818 - says the state
    """The call wants to wait for news."""

    def __init__(self, wait: Wait) -> None:
        self.wait = wait


class _Unread:
    """The input of a request whose body has not been received."""

    def read(self, size: int = -1) -> bytes:
        raise BodyWanted

    readline = read


class _File:
    """An open file that Django wants to send. Django calls this `wsgi.file_wrapper`."""

    def __init__(self, file: IO[bytes], block_size: int = PIECE) -> None:
        self.read, self.close = file.read, file.close


class Application:
    """Answers HTTP requests by Django's WSGI handler."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(settings.WEB_THREADS, thread_name_prefix="django")
        self._polls = LongPolls(self._threads)
        # For each address of the monitoring, which must answer when the others are all held up by the database.
        self._watching = {path: ThreadPoolExecutor(1, thread_name_prefix=path) for path in ADDRESSES}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"There is no {scope['type']} here.")
        try:
            status, headers, answer = await self._answer(scope, receive)
        except TimeoutError:
            await _refuse(scope, send)
        except Disconnected:
            logger.info("%s %s: the caller left before it was answered", scope["method"], scope["path"])
        else:
            with closing(answer):
                await self._write(send, status, headers, answer)

    async def _answer(self, scope: Message, receive: Receive) -> tuple[int, Headers, Content]:
        environ = _environ(scope)
        if watching := self._watching.get(scope["path"]):
            given = {**environ, "wsgi.input": BytesIO()}
            return await asyncio.get_running_loop().run_in_executor(watching, _call, given)
        length = _length(environ)
        if length == 0:
            try:
                return await self._call({**environ, CAN_WAIT: True}, BytesIO())
            except NotYet as later:
                await self._wait(receive, later.wait)
            return await self._call({**environ, "casexchange.is_second_call": True, HAS_WAITED: True}, BytesIO())
        if length > SMALL:
            try:
                return await self._call(environ, _Unread())
            except BodyWanted:  # Django knows the caller by now, and has checked the length
                environ["casexchange.is_second_call"] = True
        with SpooledTemporaryFile(SMALL) as body:
            async with asyncio.timeout(settings.WEB_TIMEOUT + length / BYTES_PER_SECOND):
                await _read(receive, body)
            body.seek(0)
            return await self._call(environ, body)

    async def _call(self, environ: Message, body: Any) -> tuple[int, Headers, Content]:
        given = {**environ, "wsgi.input": body}
        return await asyncio.get_running_loop().run_in_executor(self._threads, _call, given)

    async def _wait(self, receive: Receive, wait: Wait) -> None:
        """Waits for news, at most as long as the caller wants. Raises Disconnected if the caller leaves meanwhile.

        News that is taken for a caller that has left would be lost for a while.
        """
        news, leaving = asyncio.ensure_future(self._polls.wait(wait)), asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((news, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not news.done():
                raise Disconnected
        finally:
            news.cancel()
            leaving.cancel()

    async def _write(self, send: Send, status: int, headers: Headers, answer: Content) -> None:
        """Sends the answer in pieces. Gives up, which closes the connection, when the reader's time is over."""
        loop = asyncio.get_running_loop()
        begun, sent, is_more = loop.time(), 0, True
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while is_more:
            is_in_memory = isinstance(answer, BytesIO)
            piece = (
                answer.read(PIECE) if is_in_memory else await loop.run_in_executor(self._threads, answer.read, PIECE)
            )
            is_more = len(piece) == PIECE
            slowest = begun + sent / BYTES_PER_SECOND  # the system's buffers take much at once: hence the two limits
            try:
                async with asyncio.timeout_at(min(slowest, loop.time()) + settings.WEB_TIMEOUT):
                    await send({"type": "http.response.body", "body": piece, "more_body": is_more})
            except TimeoutError:
                logger.info("an answer was given up after %s bytes: its reader stalled", sent)
                return
            sent += len(piece)


def _length(environ: Message) -> int:
    """The announced length of the body. 0 if it is not to be read: Django refuses a body without a length."""
    given = environ.get("CONTENT_LENGTH", "")
    return int(given) if given.isdecimal() and environ["REQUEST_METHOD"] not in _WITHOUT_BODY else 0


async def _left(receive: Receive) -> None:
    """Returns when the caller closes the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(receive: Receive, body: IO[bytes]) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body.write(message.get("body", b""))
        if not message.get("more_body"):
            return


def _environ(scope: Message) -> Message:
    (server, port), (client, _) = scope["server"], scope["client"]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": _File,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" in name and not (name.lower() == FILE_NAME and scope["path"].startswith(OF_ADAPTERS)):
            continue  # it would pass for the header with a hyphen, such as X-Forwarded-For
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}" if key in environ else value
    environ[REQUEST_ID] = sane(environ.get("HTTP_X_REQUEST_ID"), environ.get("HTTP_TRACEPARENT", ""))
    return environ


def _call(environ: Message) -> tuple[int, Headers, Content]:
    """Runs Django in this thread until the whole answer is there, or the file to send is open.

    Raises NotYet if the call wants to wait for news.
    """
    said: list[tuple[int, Headers]] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        said.append((int(status[:3]), raw))

    answer: Any = django_application(environ, start)
    if wait := getattr(answer, "wait", None):
        answer.close()
        raise NotYet(wait)
    status, headers = said[0]
    return status, headers, answer if isinstance(answer, _File) else _received(answer)


def _received(answer: Any) -> Content:
    """The whole content. A list of changes, streamed from the database, goes to a file if it is large."""
    with closing(answer):
        if not answer.streaming:
            return BytesIO(answer.content)
        kept: Any = SpooledTemporaryFile(1024 * 1024)  # noqa: SIM115 - closed when it has been sent
        kept.writelines(answer)
        kept.seek(0)
        return kept


async def _refuse(scope: Message, send: Send) -> None:
    detail = "The request did not arrive in time. Send it again, over a faster connection."
    answer = refused_call(scope["path"], HTTPStatus.REQUEST_TIMEOUT, "request_timeout", detail)
    if not scope["path"].startswith(CALLS):
        answer.headers["Content-Type"], answer.content = "text/plain; charset=utf-8", detail.encode()
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    request_id = _environ(scope)[REQUEST_ID]
    logger.info("a request did not arrive in time", extra={"request_id": request_id})
    headers += [(b"connection", b"close"), (HEADER.lower().encode(), request_id.encode())]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})


application = Application()
