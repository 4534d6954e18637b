"""The URLs of the simulator. All use JSON, except for the pages of `pages`.

| call | what |
|---|---|
| `POST /operations` | takes a message for the partner in its `system_id`, if it is signed with that partner's secret |
| `OPTIONS /operations` | answers a ping, which changes nothing |
| `GET /api/partners` | the partners, with their behaviour and their numbers of records and messages |
| `GET /api/received` | all received messages, in order. Filters: `system_id`, `change`, `operation`, `id` |
| `GET /api/sequence?system_id=&change=` | the taken messages about one change, without repeats, by first arrival |
| `GET /api/records` | the partners' own records. Filters: `system_id`, `change` |
| `GET /api/sent` | what the partners sent, and the answers. Filter: `system_id` |
| `POST /api/partners/{system_id}/send` | sends an operation to our API as this partner; see `send` |
| `GET`, `PUT`, `DELETE /api/partners/{system_id}/behaviour` | how this partner treats messages; see `behaviour` |

A partner that collects (`delivery`: `pull` or `smax`) asks for its messages; they are listed like the others. A
behaviour that refuses makes one that pulls refuse a message; `hang_up` makes a partner take it and say nothing; `down`
makes it not ask. What an SMAX adapter sends has no key and no files, and `raw` is not possible.

A partner with a port of its own (see `config`) takes `POST` and `OPTIONS /operations` there too.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from . import answers, behaviour
from .collecting import tasks_of
from .doors import DOORS, Doors
from .pages import add_pages
from .service import SIMULATOR, Simulator

REQUEST_MAX_BYTES = 64 * 1024 * 1024
BOUND_TO = web.AppKey("bound_to", str)
COLLECTORS = web.AppKey("collectors", list[asyncio.Task[None]])


async def receive(request: web.Request) -> web.StreamResponse:
    receipt = request.app[SIMULATOR].receive(await request.read(), request.headers)
    return await answers.answer(request, receipt)


async def receive_ping(request: web.Request) -> web.Response:
    """A ping is no message: nothing is stored, and no behaviour is used up."""
    return web.Response(status=204, headers={"Allow": "OPTIONS, POST"})


async def list_partners(request: web.Request) -> web.Response:
    simulator = request.app[SIMULATOR]
    return web.json_response(
        [
            {
                "system_id": system_id,
                "base_url": partner.base_url,
                "delivery": partner.delivery,
                "asked": simulator.asked.get(system_id, ""),
                "behaviour": simulator.behaviour(system_id).as_json(),
                "records": len(simulator.desk.records(system_id)),
                "received": len(simulator.desk.messages(system_id)),
            }
            for system_id, partner in simulator.partners.items()
        ]
    )


async def list_received(request: web.Request) -> web.Response:
    query = request.query
    found = request.app[SIMULATOR].desk.messages(query.get("system_id"), query.get("change"))
    for name in ("operation", "id"):
        if name in query:
            found = [message for message in found if message[name] == query[name]]
    return web.json_response(found)


async def show_sequence(request: web.Request) -> web.Response:
    query = request.query
    if not query.get("system_id") or not query.get("change"):
        raise web.HTTPBadRequest(text="Name a system_id and a change.")
    found = request.app[SIMULATOR].desk.sequence(query["system_id"], query["change"])
    return web.json_response([{name: item[name] for name in ("sequence", "operation", "id", "at")} for item in found])


async def list_records(request: web.Request) -> web.Response:
    found = request.app[SIMULATOR].desk.records(request.query.get("system_id"), request.query.get("change"))
    return web.json_response([asdict(record) for record in found])


async def list_sent(request: web.Request) -> web.Response:
    system_id = request.query.get("system_id")
    sent = request.app[SIMULATOR].desk.sent
    return web.json_response([event for event in sent if system_id in (None, event["system_id"])])


async def send(request: web.Request) -> web.Response:
    """Takes `{"body": {...}, "idempotency_key": "..."}`, and sends the body as it is.

    `"raw": "..."` instead of `body` sends a text that need not be JSON. Without `idempotency_key` a new key is made;
    null sends none. Answers with the `{"status", "headers", "body"}` of our API, or with 502 if it did not answer.
    """
    system_id = _partner(request)
    order = await _json(request)
    body, raw = order.get("body"), order.get("raw")
    key = order.get("idempotency_key", str(uuid.uuid4()))
    known = {*order} <= {"body", "raw", "idempotency_key"}
    if not known or ("body" in order) == ("raw" in order) or not isinstance(raw, str | None):
        raise web.HTTPBadRequest(text="Write body (JSON) or raw (a text), and optionally idempotency_key.")
    if not isinstance(key, str | None):
        raise web.HTTPBadRequest(text="idempotency_key: write a text, or null for none.")
    if raw is not None and system_id in request.app[SIMULATOR].smax_desks:
        raise web.HTTPBadRequest(text=f"{system_id} sends with an SMAX adapter: write body.")
    content = raw.encode(errors="surrogatepass") if raw is not None else json.dumps(body).encode()
    _, answer = await request.app[SIMULATOR].send(system_id, content, body if isinstance(body, dict) else {}, key)
    return web.json_response(asdict(answer), status=200 if answer.status else 502)


async def show_behaviour(request: web.Request) -> web.Response:
    return web.json_response(request.app[SIMULATOR].behaviour(_partner(request)).as_json())


async def set_behaviour(request: web.Request) -> web.Response:
    system_id = _partner(request)
    try:
        wanted = behaviour.parse(await _json(request))
        request.app[SIMULATOR].behave(system_id, wanted)
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    await request.app[DOORS].adapt()
    return web.json_response(wanted.as_json())


async def reset_behaviour(request: web.Request) -> web.Response:
    request.app[SIMULATOR].behave(_partner(request), behaviour.Behaviour())
    await request.app[DOORS].adapt()
    return web.Response(status=204)


def _partner(request: web.Request) -> str:
    system_id = request.match_info["system_id"]
    partners = request.app[SIMULATOR].partners
    if system_id not in partners:
        raise web.HTTPNotFound(text=f"There is no partner {system_id} here. Partners: {', '.join(partners)}.")
    return system_id


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        content = await request.json()
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"This is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise web.HTTPBadRequest(text="Write an object.")
    return content


def is_own_name(host: str, bound_to: str) -> bool:
    """Whether a `Host` header names this server: by an IP address, as localhost, or as it was told to listen.

    Any other name may be a stranger's, who lets it point to this address so that their page in a browser here can read
    the answers (DNS rebinding).
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        return bool(ip_address(name))
    except ValueError:
        return name in {"localhost", bound_to.lower()}


@web.middleware
async def own_pages_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses requests that a page of another host makes through a browser (CSRF, DNS rebinding)."""
    # Messages from our own server are signed, so they may come by any name.
    if request.path != "/operations" and not is_own_name(request.host, request.app[BOUND_TO]):
        text = "The simulator is not called by this name. Use its IP address, localhost, or the name after --host."
        raise web.HTTPMisdirectedRequest(text=text)
    origin = request.headers.get("Origin")
    if origin and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden(text="Only pages of the simulator itself may send here.")
    return await handler(request)


def create_app(simulator: Simulator, host: str) -> web.Application:
    """The simulator's application. `host`: where the ports of partners with their own port are opened."""
    app = web.Application(client_max_size=REQUEST_MAX_BYTES, middlewares=[own_pages_only])
    app[SIMULATOR], app[BOUND_TO] = simulator, host
    app[DOORS] = Doors(simulator, host, (receive, receive_ping), REQUEST_MAX_BYTES)
    app.add_routes(
        [
            web.post("/operations", receive),
            web.options("/operations", receive_ping),
            web.get("/api/partners", list_partners),
            web.get("/api/received", list_received),
            web.get("/api/sequence", show_sequence),
            web.get("/api/records", list_records),
            web.get("/api/sent", list_sent),
            web.post("/api/partners/{system_id}/send", send),
            web.get("/api/partners/{system_id}/behaviour", show_behaviour),
            web.put("/api/partners/{system_id}/behaviour", set_behaviour),
            web.delete("/api/partners/{system_id}/behaviour", reset_behaviour),
        ]
    )
    add_pages(app, {"Addresses": __doc__, "send": send.__doc__, "behaviour": behaviour.__doc__})

    async def open_doors(_: web.Application) -> None:
        await app[DOORS].adapt()

    async def collect(app: web.Application) -> None:
        app[COLLECTORS] = tasks_of(simulator)

    async def close(app: web.Application) -> None:
        for task in app[COLLECTORS]:
            task.cancel()
        await asyncio.gather(*app[COLLECTORS], return_exceptions=True)
        await app[DOORS].close()
        await simulator.close()

    app.on_startup.append(open_doors)
    app.on_startup.append(collect)
    app.on_cleanup.append(close)
    return app
