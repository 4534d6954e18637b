"""A partner's HTTP server for the delivery tests: answers by script, keeps what it receives."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    """Answers with this status; a body that is not bytes goes out as JSON."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return write


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Closes the connection without an answer."""
    handler.close_connection = True
    handler.connection.close()


def short(handler: BaseHTTPRequestHandler) -> None:
    """Announces more than it sends, and closes."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # many clients connect at once


class Partner:
    """`script` is worked off one answer a request; then `default` answers the rest."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.default: Answer = answer(200)
        self.received: list[tuple[dict[str, str], Any, bytes]] = []
        self.clients: list[tuple[str, int]] = []
        self.silence = threading.Event()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                partner.clients.append(self.client_address)
                partner.received.append((dict(self.headers), json.loads(body), body))
                write = partner.script.pop(0) if partner.script else partner.default
                write(self)

            def log_message(self, *args: Any) -> None:
                """The tests read what was received; a log says nothing more."""

        self.server = Server(("127.0.0.1", 0), Handler)
        # Looks as often whether it shall end, which each test waits for.
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/operations"

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Says nothing until the test is over."""
        self.silence.wait(30)
        handler.close_connection = True

    @property
    def operations(self) -> list[str]:
        return [message["operation"] for _, message, _ in self.received]

    def close(self) -> None:
        self.silence.set()
        self.server.shutdown()
        self.server.server_close()
