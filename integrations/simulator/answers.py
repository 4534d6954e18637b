"""Turns a receipt into what goes over the wire, in the ways that a behaviour names."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from .behaviour import Behaviour, Mode
from .service import Receipt

HTML = "<!doctype html><title>It works!</title><h1>It works!</h1>"


async def answer(request: web.Request, receipt: Receipt) -> web.StreamResponse:
    behaviour = receipt.behaviour
    if behaviour.mode in {Mode.DOWN, Mode.HANG_UP}:
        return hang_up(request)
    if behaviour.mode == Mode.HANG:
        await asyncio.sleep(behaviour.seconds)
    if behaviour.mode == Mode.DRIP:
        return await _drip(request, json.dumps(receipt.content).encode(), behaviour.seconds)
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
    if behaviour.mode == Mode.HUGE:
        return web.json_response({**receipt.content, "padding": "x" * behaviour.size})
    return web.json_response(receipt.content, status=receipt.status)


def hang_up(request: web.Request) -> web.Response:
    """Breaks the connection. The answer that is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


async def _drip(request: web.Request, content: bytes, seconds: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(content)
    try:
        await response.prepare(request)
        for byte in content:
            await response.write(bytes([byte]))
            await asyncio.sleep(seconds / len(content))
        await response.write_eof()
    except ConnectionError:
        pass  # the caller lost patience, which is what dripping is for
    return response
