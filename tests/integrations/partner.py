"""A partner's HTTP server for the delivery tests. It answers by a script, and stores the received messages."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    """Answers with this status. A body that is not bytes is sent as JSON."""

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
    """Announces more bytes than it sends, and closes the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # many clients connect at once


class Partner:
    """Each request takes the next answer of `script`. After the script, `default` answers."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.default: Answer = answer(200)
        self.received: list[tuple[dict[str, str], Any, bytes]] = []
        # What is no operation: the method, the headers and the body of each other request.
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
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

            def do_OPTIONS(self) -> None:
                partner.asked.append((self.command, dict(self.headers), b""))
                partner.default(self)

            def do_GET(self) -> None:
                self.do_OPTIONS()

            def log_message(self, *args: Any) -> None:
                """Logs nothing: the tests read the received messages."""

        self.server = Server(("127.0.0.1", 0), Handler)
        # The interval in seconds at which it checks for its shutdown: each test waits for that.
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/operations"

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Does not answer until the end of the test."""
        self.silence.wait(30)
        handler.close_connection = True

    @property
    def operations(self) -> list[str]:
        return [message["operation"] for _, message, _ in self.received]

    def close(self) -> None:
        self.silence.set()
        self.server.shutdown()
        self.server.server_close()
