"""Answers a message in the way that a behaviour says."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from .behaviour import DEAF, Behaviour, Mode
from .service import Receipt

HTML = "<!doctype html><title>It works!</title><h1>It works!</h1>"
PART = b"x" * 65536
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
INTERIM = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 102 Processing\r\n\r\n"
    b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: something\r\n\r\n"


async def answer(request: web.Request, receipt: Receipt) -> web.StreamResponse:
    behaviour = receipt.behaviour
    if behaviour.mode in DEAF | {Mode.HANG_UP}:
        return hang_up(request)
    if behaviour.mode in _ODD:
        try:
            return await _ODD[behaviour.mode](request, json.dumps(receipt.content).encode(), behaviour)
        except ConnectionError:
            return hang_up(request)  # the caller gave up waiting, which such an answer is meant to provoke
    if behaviour.mode == Mode.HANG:
        await asyncio.sleep(behaviour.seconds)
    return _whole(receipt, behaviour)


def _whole(receipt: Receipt, behaviour: Behaviour) -> web.Response:
    if behaviour.mode == Mode.ANSWER:
        taken = behaviour.status < 300
        content = behaviour.body if behaviour.body is not None else receipt.content if taken else {"detail": "As set."}
        headers = {} if behaviour.retry_after is None else {"Retry-After": str(behaviour.retry_after)}
        if behaviour.status in {204, 304}:
            return web.Response(status=behaviour.status, headers=headers)
        return web.json_response(content, status=behaviour.status, headers=headers)
    if behaviour.mode == Mode.REDIRECT:
        return web.Response(status=302, headers={"Location": behaviour.location})
    if behaviour.mode == Mode.NOT_JSON:
        return web.Response(text=HTML, content_type="text/html")
    if behaviour.mode == Mode.BROKEN_JSON:
        text = json.dumps(receipt.content)
        return web.Response(text=text[: len(text) // 2], content_type="application/json")
    return web.json_response(receipt.content, status=receipt.status)


# --- Connections ---


def hang_up(request: web.Request) -> web.Response:
    """Breaks the connection. The returned response is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


async def _reset(request: web.Request, content: bytes, behaviour: Behaviour) -> web.StreamResponse:
    connection = request.get_extra_info("socket")
    if connection is not None:
        # Closing a socket with a linger time of 0 sends a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return hang_up(request)


# --- Slow and long answers ---


async def _begin(request: web.Request, length: int) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = length
    await response.prepare(request)
    return response


async def _drip(request: web.Request, content: bytes, behaviour: Behaviour) -> web.StreamResponse:
    response = await _begin(request, len(content))
    for byte in content:
        await response.write(bytes([byte]))
        await asyncio.sleep(behaviour.seconds / len(content))
    await response.write_eof()
    return response


async def _stall(request: web.Request, content: bytes, behaviour: Behaviour) -> web.StreamResponse:
    response = await _begin(request, len(content))
    half = len(content) // 2
    await response.write(content[:half])
    await asyncio.sleep(behaviour.seconds)
    await response.write(content[half:])
    await response.write_eof()
    return response


async def _huge(request: web.Request, content: bytes, behaviour: Behaviour) -> web.StreamResponse:
    """Answers the record with a padding of `size` bytes, which are never in memory as a whole."""
    start = content[:-1] + b', "padding": "'
    response = await _begin(request, len(start) + behaviour.size + 2)
    await response.write(start)
    for _ in range(behaviour.size // len(PART)):
        await response.write(PART)
        # With TLS a write to a closed connection neither fails nor waits. Yielding lets the loop notice the close.
        await asyncio.sleep(0)
        if request.transport is None:
            raise ConnectionResetError
    await response.write(PART[: behaviour.size % len(PART)])
    await response.write(b'"}')
    await response.write_eof()
    return response


# --- Invalid HTTP: written directly to the connection, which cannot be used again ---


def _write(request: web.Request, content: bytes) -> None:
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError
    request.transport.write(content)


def _close(request: web.Request) -> web.StreamResponse:
    """Closes the connection once all is sent. The returned response is never sent."""
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=503)


async def _short(request: web.Request, content: bytes, behaviour: Behaviour) -> web.StreamResponse:
    _write(request, HEAD % (len(content) + 100) + content)
    return _close(request)


async def _long(request: web.Request, content: bytes, behaviour: Behaviour) -> web.StreamResponse:
    _write(request, HEAD % (len(content) // 2) + content)
    await asyncio.sleep(behaviour.seconds)
    return _close(request)


async def _interim(request: web.Request, content: bytes, behaviour: Behaviour) -> web.StreamResponse:
    end = time.monotonic() + behaviour.seconds
    _write(request, INTERIM)
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(0.1, left))
        _write(request, INTERIM)
    _write(request, HEAD % len(content) + content)
    return _close(request)


async def _switch(request: web.Request, content: bytes, behaviour: Behaviour) -> web.StreamResponse:
    _write(request, SWITCH)
    await asyncio.sleep(behaviour.seconds)
    return _close(request)


_ODD: dict[Mode, Callable[[web.Request, bytes, Behaviour], Awaitable[web.StreamResponse]]] = {
    Mode.RESET: _reset,
    Mode.DRIP: _drip,
    Mode.STALL: _stall,
    Mode.HUGE: _huge,
    Mode.SHORT: _short,
    Mode.LONG: _long,
    Mode.INTERIM: _interim,
    Mode.SWITCH: _switch,
}
