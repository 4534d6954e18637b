"""A small ticket system with an API of its own, over real HTTP. A test can make any of its answers fail."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Received:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Ticket:
    number: str
    status: str = "new"
    values: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)


# What a test puts in the place of an answer: a status, or a status, a body and if wished headers; "lost" does the work
# and hangs up.
Fault = int | str | tuple[int, Any] | tuple[int, Any, dict[str, str]]


class TicketDesk:
    """`received`: all calls. `faults`: for a call such as `POST /tickets`, what its next answers are instead.

    `tokens`: those that are valid now, if `needs_token`. Each call for one makes the next: `token-1`, `token-2`.
    `gate`: is asked before anything of a call is done, and may take its time. False hangs up instead.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.faults: dict[str, list[Fault]] = {}
        self.tickets: dict[str, Ticket] = {}
        self.news: list[dict[str, Any]] = []
        # What happens behind each answer of GET /news.
        self.between: list[Callable[[], object]] = []
        self.needs_token = False
        self.tokens: list[str] = []
        self.given = 0
        self.token_life: int | None = 3600
        self.silence = threading.Event()
        self.gate: Callable[[Received], bool] = lambda call: True
        self._lock = threading.Lock()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                desk._answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815

            def log_message(self, *args: Any) -> None:
                """Logs nothing: `received` has all calls."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.silence.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def calls(self) -> list[str]:
        return [str(call) for call in self.received]

    def of(self, call: str) -> list[Received]:
        return [each for each in self.received if str(each) == call]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        call = Received(handler.command, parts.path, parse_qs(parts.query), headers, body)
        with self._lock:
            self.received.append(call)
        if not self.gate(call):
            handler.close_connection = True
            handler.connection.close()
            return
        with self._lock:
            faults = self.faults.get(str(call)) or self.faults.get(handler.command) or []
            fault = faults.pop(0) if faults else None
            status, answer = (200, None) if isinstance(fault, int | tuple) else self._done(call)
        if fault == "hang":
            self.silence.wait(30)
        if fault in ("lost", "hang"):
            handler.close_connection = True
            handler.connection.close()
            return
        headers = {}
        if isinstance(fault, int):
            status, answer = fault, {"message": f"as scripted: {fault}"}
        elif isinstance(fault, tuple):
            status, answer, *more = fault
            headers = more[0] if more else {}
        content = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _done(self, call: Received) -> tuple[int, Any]:
        if call.path in ("/oauth/token", "/login"):
            self.given += 1
            token = f"token-{self.given}"
            self.tokens = [token]
            answer: dict[str, Any] = {"access_token": token, "session_token": token}
            return 200, answer | ({"expires_in": self.token_life} if self.token_life is not None else {})
        if self.needs_token and not any(token in call.headers.get("authorization", "") for token in self.tokens):
            return 401, {"message": "who are you?"}
        routes: list[tuple[str, Callable[[Received, str], tuple[int, Any]]]] = [
            (r"GET /tickets", self._find),
            (r"GET /news", self._news),
            (r"POST /tickets", self._create),
            (r"GET /tickets/([^/]+)", lambda _, key: (200, self._seen(key))),
            (r"PUT /tickets/([^/]+)", self._change),
            (r"POST /tickets/([^/]+)/comments", self._comment),
            (r"POST /tickets/([^/]+)/files", self._file),
            (r"POST /uploads", lambda sent, _: (200, {"token": f"upload-{len(sent.body)}"})),
        ]
        for pattern, work in routes:
            if found := re.fullmatch(pattern, str(call)):
                key = found[1] if found.groups() else ""
                return work(call, key) if not key or key in self.tickets else (404, {"message": "no such ticket"})
        return 404, {"message": "no such call"}

    def _seen(self, key: str) -> dict[str, Any]:
        ticket = self.tickets[key]
        return {"id": key, "number": ticket.number, "status": ticket.status, **ticket.values}

    def _find(self, call: Received, _: str) -> tuple[int, Any]:
        wanted = call.query.get("number", [""])[0]
        return 200, {"items": [self._seen(key) for key, ticket in self.tickets.items() if ticket.number == wanted]}

    def _news(self, call: Received, _: str) -> tuple[int, Any]:
        number = {name: int(values[0]) for name, values in call.query.items()}
        page, size = number.get("page", 0), number.get("size", 100)
        found = [each for each in self.news if each["id"] > number.get("after", 0)]
        if "since" in number:
            found = sorted((each for each in found if each["at"] >= number["since"]), key=lambda each: each["at"])
        answer = {"items": [dict(each) for each in found[page * size : (page + 1) * size]]}
        answer["number"] = sum(str(call) == "GET /news" for call in self.received)
        if self.between:
            self.between.pop(0)()
        return 200, answer

    def _create(self, call: Received, _: str) -> tuple[int, Any]:
        key = f"T{len(self.tickets) + 1}"
        values = call.json
        self.tickets[key] = Ticket(values.pop("number", ""), values=values)
        return 201, {"id": key}

    def _change(self, call: Received, key: str) -> tuple[int, Any]:
        ticket, values = self.tickets[key], call.json
        ticket.status = values.pop("status", ticket.status)
        ticket.values |= values
        return 200, self._seen(key)

    def _comment(self, call: Received, key: str) -> tuple[int, Any]:
        self.tickets[key].comments.append(call.json["text"])
        return 201, {"id": len(self.tickets[key].comments)}

    def _file(self, call: Received, key: str) -> tuple[int, Any]:
        self.tickets[key].files.append(call.body)
        return 201, {"id": len(self.tickets[key].files)}
