"""The simulator's pages for people: an overview of the partners, and a page for each record."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from django.template import Context, Engine

from changes.choices import CompletionCode, Phase

from .behaviour import Mode, parse
from .desk import Event
from .doors import DOORS
from .service import SIMULATOR, Simulator

TEMPLATES = Path(__file__).parent / "templates"
DOCUMENTATION = web.AppKey("documentation", dict)
SHOWN = 12
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
CHOICES = {
    "phases": Phase.values,
    "completion_codes": CompletionCode.values,
    "modes": [
        (Mode.NORMAL, "Take it and answer with the record"),
        (Mode.ANSWER, "Answer a status"),
        (Mode.REDIRECT, "Redirect"),
        (Mode.DOWN, "Be down: drop the connection"),
        (Mode.REFUSE, "Refuse connections (with a port of its own)"),
        (Mode.EXPIRED, "Show an expired certificate (with a port of its own)"),
        (Mode.HANG, "Wait before answering"),
        (Mode.STALL, "Wait in the middle of the answer"),
        (Mode.DRIP, "Drip the answer byte by byte"),
        (Mode.HANG_UP, "Take it, but hang up without an answer"),
        (Mode.RESET, "Take it, but reset the connection"),
        (Mode.NOT_JSON, "Answer with HTML"),
        (Mode.BROKEN_JSON, "Answer with half of the JSON"),
        (Mode.HUGE, "Answer with ten megabytes"),
        (Mode.SHORT, "Answer less than announced"),
        (Mode.LONG, "Answer more than announced"),
        (Mode.INTERIM, "Send interim answers (100, 102, 103) first"),
        (Mode.SWITCH, "Answer 101 and nothing more"),
    ],
}
_engine = Engine(dirs=[str(TEMPLATES)])


async def overview(request: web.Request) -> web.Response:
    """All partners with their latest records and messages; with `?partner=ACME` only that one, with all of its."""
    only = request.query.get("partner")
    if only is not None and only not in request.app[SIMULATOR].partners:
        raise web.HTTPNotFound(text="There is no such partner here.")
    return _page(request, "overview.html", _overview(request.app, only), _notice(request))


async def record(request: web.Request) -> web.Response:
    simulator = request.app[SIMULATOR]
    found = simulator.desk.record(request.match_info["system_id"], request.match_info["external_id"])
    if found is None:
        raise web.HTTPNotFound(text="There is no such record here.")
    messages = [
        message
        for message in _messages(simulator, found.system_id)
        if message["external_id"] == found.external_id
        or (not message["external_id"] and message["change_number"] == found.change_number)
    ]
    context = {"record": found, "messages": _with_text(messages)}
    return _page(request, "record.html", context, _notice(request))


async def style(request: web.Request) -> web.FileResponse:
    return web.FileResponse(TEMPLATES / "style.css", headers={"X-Content-Type-Options": "nosniff"})


async def send(request: web.Request) -> web.Response:
    """Sends the operation of a form, and redirects to a page that shows its answer."""
    simulator = request.app[SIMULATOR]
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    system_id = form.get("system_id", "")
    if system_id not in simulator.partners:
        raise web.HTTPNotFound(text="There is no such partner here.")
    try:
        body = _operation(simulator, system_id, form)
    except ValueError as error:
        notice = {"kind": "bad", "text": f"Nothing was sent. {error}"}
        return _page(request, "overview.html", _overview(request.app), notice, status=400)
    raw = json.dumps(body).encode()
    event, _ = await simulator.send(system_id, raw, body, str(uuid.uuid4()))
    known = simulator.desk.record(system_id, event["external_id"])
    path = request.app.router["record"].url_for(system_id=system_id, external_id=event["external_id"]) if known else "/"
    raise web.HTTPSeeOther(f"{path}?sent={event['number']}")


def _operation(simulator: Simulator, system_id: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The message that a form describes. Raises ValueError, with a text that says what to correct."""
    body: dict[str, Any] = {"system_id": system_id, "operation": form.get("operation", "")}
    external_id = form.get("external_id", "").strip()
    if body["operation"] == "Create":
        external_id = external_id or simulator.desk.new_id(system_id)
        body["external_url"] = simulator.desk.url(system_id, external_id)
    known = simulator.desk.record(system_id, external_id)
    number = form.get("change_number", "").strip() or (known.change_number if known else "")
    fields = {"external_id": external_id, "change_number": number, "external_status": form.get("external_status", "")}
    body |= {name: value for name, value in fields.items() if value}
    if body["operation"] not in {"Create", "Update"}:
        return body
    names = ("title", "description", "owning_group", "phase", "completion_code")
    properties: dict[str, Any] = {name: form[name] for name in names if form.get(name)}
    if text := form.get("properties", "").strip():
        try:
            more = json.loads(text)
        except ValueError as error:
            raise ValueError(f"The properties are not JSON: {error}.") from error
        if not isinstance(more, dict):
            raise ValueError("Write the properties as a JSON object.")
        properties |= more
    if properties:
        body["properties"] = properties
    if form.get("comment"):
        body["comments"] = [{"body": form["comment"], "author": f"{system_id} service desk"}]
    return body


async def behave(request: web.Request) -> web.Response:
    simulator = request.app[SIMULATOR]
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str) and value}
    system_id = form.pop("system_id", "")
    if system_id not in simulator.partners:
        raise web.HTTPNotFound(text="There is no such partner here.")
    wanted: dict[str, Any] = {**form}
    try:
        for name, number in (("times", int), ("status", int), ("seconds", float)):
            if name in wanted:
                wanted[name] = number(wanted[name])
        simulator.behave(system_id, parse(wanted))
    except ValueError as error:
        notice = {"kind": "bad", "text": f"The behaviour was not changed. {error}"}
        return _page(request, "overview.html", _overview(request.app), notice, status=400)
    await request.app[DOORS].adapt()
    raise web.HTTPSeeOther("/")


# --- The context of the templates ---


def _messages(simulator: Simulator, system_id: str) -> list[Event]:
    """The messages of a partner in both directions, latest first."""
    sent = [event for event in simulator.desk.sent if event["system_id"] == system_id]
    return sorted([*simulator.desk.messages(system_id), *sent], key=lambda event: event["at"], reverse=True)


def _with_text(events: list[Event]) -> list[Event]:
    """The events, each with its JSON as a text in `shown`."""
    parts = [[event["body"]] if event["event"] == "received" else [event["body"], event["answer"]] for event in events]
    texts = ["\n".join(json.dumps(part, indent=2, ensure_ascii=False) for part in said) for said in parts]
    return [{**event, "shown": text} for event, text in zip(events, texts, strict=True)]


def _overview(app: web.Application, only: str | None = None) -> dict[str, Any]:
    simulator = app[SIMULATOR]
    partners = []
    shown = None if only else SHOWN
    for system_id, partner in simulator.partners.items():
        if only not in (None, system_id):
            continue
        records = simulator.desk.records(system_id)
        messages = _messages(simulator, system_id)
        partners.append(
            {
                "partner": partner,
                "behaviour": simulator.behaviour(system_id),
                "asked": simulator.asked.get(system_id, "has not asked yet"),
                "records": records[::-1][:shown],
                "record_count": len(records),
                "messages": _with_text(messages[:shown]),
                "message_count": len(messages),
            }
        )
    return {"partners": partners, "only": only, "documentation": app[DOCUMENTATION]}


def _notice(request: web.Request) -> dict[str, str] | None:
    """The result of the operation that a form has just sent; None if there was none."""
    number = request.query.get("sent", "")
    sent = request.app[SIMULATOR].desk.sent
    if not (number.isascii() and number.isdigit()) or not 1 <= int(number[:9]) <= len(sent):
        return None
    event = sent[int(number[:9]) - 1]
    done = 200 <= event["status"] < 300
    answered = f"was answered {event['status']}" if event["status"] else "was not answered"
    return {
        "kind": "good" if done else "bad",
        "text": f"{event['operation']} from {event['system_id']} {answered}.",
        "detail": json.dumps(event["answer"], indent=2, ensure_ascii=False),
    }


def _page(
    request: web.Request, template: str, context: dict[str, Any], notice: object = None, status: int = 200
) -> web.Response:
    text = _engine.get_template(template).render(Context({"choices": CHOICES, "notice": notice, **context}))
    # A message may contain half a surrogate pair, which UTF-8 cannot encode.
    content = text.encode(errors="backslashreplace")
    return web.Response(body=content, status=status, content_type="text/html", charset="utf-8", headers=HEADERS)


def add_pages(app: web.Application, documentation: dict[str, Any]) -> None:
    app[DOCUMENTATION] = documentation
    app.add_routes(
        [
            web.get("/", overview),
            web.get("/style.css", style),
            web.get("/records/{system_id}/{external_id}", record, name="record"),
            web.post("/send", send),
            web.post("/behaviour", behave),
        ]
    )
