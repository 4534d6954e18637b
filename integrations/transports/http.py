"""Calls over HTTP: one thread keeps many requests in flight and keeps connections to partners open.

Requests only go to public addresses and to the networks that the configuration allows. The address is checked when
connecting, after name resolution, so neither a DNS answer nor an unusual notation of an address can bypass the check.
Redirects are not followed, and proxies from the environment are not used.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from .base import File, NoAnswer, Request, Response, Tls, TransportError, Way

GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
# Networks that are not public, but some of which `is_global` accepts: they lead to IPv4 addresses (NAT64, 6to4, Teredo)
# or are reserved for protocols or documentation. From the IANA special-purpose address registries. 168.63.129.16 is the
# host of each virtual machine in Azure, which gives it its secrets.
NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in (
        *("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressNotAllowed(OSError):  # noqa: N818
    """The address may not be connected to, or only by https."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EACCES, reason)


def check_endpoint_url(url: str) -> None:
    """Raises ValueError, with a text for people, unless `url` can be POSTed to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"Not a URL: {error}.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("Write a URL that begins with http:// or https:// and names a host.")
    if parts.username is not None or parts.password is not None or parts.fragment or port == 0:
        raise ValueError("Leave user name, password, fragment and port 0 out of the URL.")
    if any(character.isspace() or ord(character) < 32 for character in url):
        raise ValueError("Leave spaces and control characters out of the URL.")


def check_address(address: str, allowed_networks: Sequence[Network], is_encrypted: bool) -> None:
    """Raises AddressNotAllowed unless this IP address is in an allowed network, or public and reached by https."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if any(ip in network for network in allowed_networks if network.version == ip.version):
        return
    if not _is_public(ip):
        raise AddressNotAllowed("the address is neither public nor in OUTGOING_ALLOWED_NETWORKS")
    if not is_encrypted:
        raise AddressNotAllowed("http:// is not encrypted, and goes to OUTGOING_ALLOWED_NETWORKS only: use https://")


def _is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if ip.version == 6 and ip not in GLOBAL_IPV6:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in NOT_PUBLIC)


class _Unusable(Exception):  # noqa: N818 - as AddressNotAllowed
    """A part of the request cannot be used."""

    def __init__(self, reason: str, kind: NoAnswer) -> None:
        self.kind = kind
        super().__init__(reason)


class _Kind(NamedTuple):
    """The kinds of requests that do not share connections."""

    is_encrypted: bool
    tls: Tls | None
    is_streamed: bool
    tells_way: bool = False


class _Telling(aiohttp.ClientResponse):
    """Notes how it came, while its connection is still there."""

    way: Way | None = None

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        self.way = _way_of(connection.transport)
        return await super().start(connection)


def _way_of(transport: asyncio.Transport) -> Way:
    address, *_ = transport.get_extra_info("peername") or [""]
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return Way(str(address))
    ends = (tls.getpeercert() or {}).get("notAfter")
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if ends else None
    return Way(str(address), tls.version() or "", until)


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=tls.authority or None)
    except (ssl.SSLError, ValueError) as error:
        raise _Unusable(f"the authority in ca cannot be used: {error}", NoAnswer.CERTIFICATE) from error
    try:
        if tls.certificate:
            # Python's ssl reads a certificate from a file only.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(f"{tls.certificate}\n{tls.key}\n")
                file.flush()
                context.load_cert_chain(file.name, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise _Unusable(f"the certificate or its key cannot be used: {error}", NoAnswer.CERTIFICATE) from error
    return context


def _no_password() -> str:
    """Without it, OpenSSL would ask for the password of an encrypted key at the terminal."""
    raise ValueError("the key is encrypted")


def _body(request: Request, files: ExitStack) -> tuple[Any, bool]:
    """The body as aiohttp takes it, and whether it is read from a file. `files` closes what was opened."""

    def opened(content: File) -> Any:
        try:
            return files.enter_context(content.open())
        except OSError as error:
            raise _Unusable(f"the file cannot be read: {error}", NoAnswer.FILE) from error

    if isinstance(request.body, bytes):
        return request.body or None, False  # without a body there is no type and, of a GET, no length
    if isinstance(request.body, File):
        return opened(request.body), True
    # Names in plain UTF-8: many programs do not decode the percent-encoded ones.
    form = aiohttp.FormData(quote_fields=False, charset="utf-8", default_to_multipart=True)
    for part in request.body:
        # aiohttp would take bytes for a file and name it.
        content = opened(part.content) if isinstance(part.content, File) else part.content.decode()
        form.add_field(part.name, content, content_type=part.content_type, filename=part.file_name)
    return form(), any(isinstance(part.content, File) for part in request.body)


class HttpTransport:
    """Sends from an event loop in its own thread, which runs until `close()` or the end of the process."""

    def __init__(self, allowed_networks: Sequence[Network]) -> None:
        self._allowed = allowed_networks
        self._loop = asyncio.new_event_loop()
        self._sessions: dict[_Kind, aiohttp.ClientSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        threading.Thread(target=self._loop.run_forever, name="http-transport", daemon=True).start()

    def submit(self, requests: Sequence[Request]) -> list[Future[Response]]:
        futures: list[Future[Response]] = [Future() for _ in requests]

        def start() -> None:
            for request, future in zip(requests, futures, strict=True):
                task = self._loop.create_task(self._answer(request, future))
                self._tasks.add(task)  # the loop holds only a weak reference: the task could be garbage-collected
                task.add_done_callback(self._tasks.discard)

        # One call for all requests: each call wakes the other thread.
        self._loop.call_soon_threadsafe(start)
        return futures

    async def _answer(self, request: Request, future: Future[Response]) -> None:
        try:
            future.set_result(await self._send(request))
        except BaseException as error:  # noqa: BLE001 - raised where the future is read
            future.set_exception(error)

    def close(self) -> None:
        """Closes the connections and ends the thread. Requests in flight are abandoned."""

        async def close() -> None:
            for session in self._sessions.values():
                await session.close()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _socket(self, address: Any, is_encrypted: bool) -> socket.socket:
        family, kind, protocol, _, target = address
        check_address(target[0], self._allowed, is_encrypted)
        return socket.socket(family=family, type=kind, proto=protocol)

    def _session_for(self, request: Request, is_streamed: bool) -> aiohttp.ClientSession:
        """The session for https, or that for http: what may be connected to depends on it."""
        kind = _Kind(urlsplit(request.url).scheme == "https", request.tls, is_streamed, request.tells_way)
        if kind not in self._sessions:
            # No limit on connections: waiting for one would use up a request's timeout. The caller limits the requests.
            connector = aiohttp.TCPConnector(
                limit=0,
                limit_per_host=0,
                socket_factory=partial(self._socket, is_encrypted=kind.is_encrypted),
                ssl=_context(request.tls) if request.tls else True,
                # aiohttp repeats a PUT on a connection that was kept open too long. A file was half read by then.
                force_close=is_streamed or request.tells_way,
            )
            self._sessions[kind] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                response_class=_Telling if request.tells_way else aiohttp.ClientResponse,
            )
        return self._sessions[kind]

    async def _send(self, request: Request) -> Response:
        most = request.answer_max_bytes
        try:
            with ExitStack() as files:
                body, is_streamed = _body(request, files)
                async with self._session_for(request, is_streamed).request(
                    request.method,
                    URL(request.url, encoded=True) if request.is_encoded else request.url,
                    data=body,
                    headers={"Accept-Encoding": "identity", **request.headers},
                    timeout=aiohttp.ClientTimeout(total=request.timeout, ceil_threshold=1e9),
                    allow_redirects=False,
                ) as answer:
                    read = bytearray()
                    while len(read) <= most:
                        part = await answer.content.read(most + 1 - len(read))
                        if not part:
                            break
                        read += part
                    complete = len(read) <= most
                    if not complete:
                        answer.close()  # otherwise the rest would be read before the connection is used again
                    way = answer.way if isinstance(answer, _Telling) else None
                    return Response(answer.status, dict(answer.headers), bytes(read[:most]), complete, way)
        except _Unusable as error:
            raise TransportError(str(error), error.kind) from error
        except TimeoutError as error:
            raise TransportError(f"no complete answer within {request.timeout:g} s", NoAnswer.TIMEOUT) from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise TransportError(f"the endpoint URL cannot be used: {error}", NoAnswer.ENDPOINT_URL) from error
        except (aiohttp.ClientError, OSError) as error:
            cause = getattr(error, "os_error", error)
            raise TransportError(str(cause) or type(cause).__name__, _kind_of(error, cause)) from error


def _kind_of(error: Exception, cause: Exception) -> NoAnswer:
    """The kind of an aiohttp `error`. `cause`: the operating system's error inside it, or `error` itself."""
    if isinstance(cause, AddressNotAllowed):
        return NoAnswer.ADDRESS_NOT_ALLOWED
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(cause, socket.gaierror):
        return NoAnswer.NAME_RESOLUTION
    # A partner that does not take our certificate says so where its answer would be.
    if isinstance(error, aiohttp.ClientSSLError) or any(
        isinstance(one, ssl.SSLError) for one in (cause, error.__cause__)
    ):
        return NoAnswer.TLS
    # If a host has several addresses and all refused, the error has an errno but is no ConnectionRefusedError.
    if isinstance(cause, ConnectionRefusedError) or getattr(cause, "errno", None) == errno.ECONNREFUSED:
        return NoAnswer.CONNECTION_REFUSED
    return NoAnswer.CONNECTION_BROKEN
