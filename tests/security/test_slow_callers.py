"""Connections that send a part of a request, or do not read their answer: pages must answer meanwhile.

On the web server alone, as `make run` starts it, and behind nginx with the configuration in docs/proxy/.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.certificates import VALID, make_certificates
from tests.nginx import PROXY, start_nginx
from tests.processes import free_port, until

FORM = "application/x-www-form-urlencoded"
# What an outsider sends: the head of a request and the begin of its body, of which the rest never comes.
UNFINISHED = {
    "the form to sign in": ("POST", "/accounts/login/", FORM, 1000),
    "a form that is larger than memory should hold": ("POST", "/accounts/login/", FORM, 900_000),
    "an operation without a token": ("POST", "/api/v1/operations/", "application/json", 1000),
    "a large operation without a token": ("POST", "/api/v1/operations/", "application/json", 30_000_000),
    "a file without a session": ("POST", "/changes/CHG0000001/attachments/", "multipart/form-data; boundary=x", 90_000),
    "the body of a GET": ("GET", "/accounts/login/", FORM, 1000),
    "a head without an end": ("POST", "/accounts/login/", "", 0),
}
# Seconds that a page takes at least if it waits until those callers have had their time (WEB_TIMEOUT is 4 there).
HELD_UP = 3
# The proxy keeps unfinished heads for 10 seconds, and bodies for 15.
HELD_UP_BEHIND_THE_PROXY = 9
FILE_BYTES = 20 * 1024 * 1024
# The connection of a caller that does not read its answer.
STALLED = {"receive_buffer": 4096}


class Server:
    """The address of a server, and raw connections to it."""

    def __init__(self, url: str, host: str, trusted: Path | None = None) -> None:
        self.url, self.host = url, host
        self.plain_url, self.logs = "", list[Path]()
        self._verify = str(trusted) if trusted else True
        self._tls = None
        if trusted:
            self._tls = ssl.create_default_context(cafile=str(trusted))
            self._tls.check_hostname = False

    def connect(self, sent: bytes, receive_buffer: int | None = None) -> socket.socket:
        parts = urlsplit(self.url)
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect((parts.hostname, parts.port))
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_hostname="127.0.0.1")
        connection.sendall(sent)
        return connection

    def head(self, method: str, path: str, kind: str = "", length: int = 0, token: str = "") -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}"]
        if kind:
            lines += [f"Content-Type: {kind}", f"Content-Length: {length}"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        return "\r\n".join(lines).encode() + (
            b"\r\n\r\nx=" if kind else b"\r\n" if length == 0 and not token else b"\r\n\r\n"
        )

    def slowest_page(self, tries: int = 5) -> float:
        """Opens the sign-in page that often. Returns the seconds of the slowest."""
        took = []
        for _ in range(tries):
            begun = time.monotonic()
            answer = requests.get(
                f"{self.url}/accounts/login/", headers={"Host": self.host}, verify=self._verify, timeout=30
            )
            took.append(time.monotonic() - begun)
            assert answer.status_code == 200
        return max(took)


@pytest.fixture
def bare(running_exchange):
    return Server(running_exchange.base_url, urlsplit(running_exchange.base_url).netloc)


@pytest.fixture(scope="module")
def proxied(running_exchange, tmp_path_factory):
    """nginx with our configuration, and a log of all calls. Only its addresses and its certificate are replaced."""
    folder = tmp_path_factory.mktemp("nginx")
    make_certificates(folder)
    port, plain = free_port(), free_port()
    process = start_nginx(
        folder,
        PROXY / "nginx.conf",
        {
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "server 127.0.0.1:8000 ": f"server {urlsplit(running_exchange.base_url).netloc} ",
            "server_name desk.example.com;": "server_name 127.0.0.1;",
            "/etc/ssl/certs/desk.example.com.pem": str(folder / VALID),
            "/etc/ssl/private/desk.example.com.key": str(folder / VALID),
        },
    )
    server = Server(f"https://127.0.0.1:{port}", "127.0.0.1", folder / "authority.pem")
    server.plain_url, server.logs = f"http://127.0.0.1:{plain}", [folder / "access", folder / "log"]

    def answers() -> bool:
        process.check_running()
        try:
            return bool(server.slowest_page(1))
        except requests.ConnectionError:
            return False

    until("nginx answers", answers)
    yield server
    process.stop()


@contextmanager
def connections(server, *callers):
    """`callers`: for each kind what it sends, how many of them there are, and the options of their connections."""
    with ExitStack() as stack:
        for sent, count, options in callers:
            for _ in range(count):
                stack.enter_context(server.connect(sent, **options))
        time.sleep(0.5)  # the server has them all by now
        yield


@pytest.fixture(scope="module")
def large_file(running_exchange):
    """The path of a file of 20 MiB, and a token that may fetch it."""
    alice = running_exchange.api("alice")
    number = alice.post("/api/v1/changes/", json={"title": "Replace core switch"}).json()["number"]
    files = {"file": ("large.bin", b"x" * FILE_BYTES)}
    added = alice.post(f"/api/v1/changes/{number}/attachments/", files=files)
    assert added.status_code == 201, added.text
    path = f"/api/v1/attachments/{added.json()['id']}/content/"
    whole = alice.get(path)
    assert len(whole.content) == FILE_BYTES
    return path, alice.headers["Authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize("name", UNFINISHED)
def test_16_unfinished_requests_hold_up_no_page_of_the_bare_server(bare, name):
    with connections(bare, (bare.head(*UNFINISHED[name]), 16, {})):
        assert bare.slowest_page() < HELD_UP


def test_16_stalled_readers_hold_up_no_page_of_the_bare_server(bare, large_file):
    path, token = large_file
    with connections(bare, (bare.head("GET", path, token=token), 16, STALLED)):
        assert bare.slowest_page() < HELD_UP


def test_behind_the_proxy_200_unfinished_requests_and_50_stalled_readers_hold_up_no_page(proxied, large_file):
    path, token = large_file
    unfinished = [
        (proxied.head(*request), 200 // len(UNFINISHED) + (number < 200 % len(UNFINISHED)), {})
        for number, request in enumerate(UNFINISHED.values())
    ]
    with connections(proxied, *unfinished, (proxied.head("GET", path, token=token), 50, STALLED)):
        assert proxied.slowest_page() < HELD_UP_BEHIND_THE_PROXY


def test_the_proxy_keeps_no_password_of_an_address(proxied):
    def sent(url, path, password, **headers):
        # Too long a body, of which nothing is sent, is an error that nginx logs with the address.
        return requests.request(
            "GET",
            f"{url}{path}?login=x&password={password}",
            headers=headers,
            verify=proxied._verify,
            allow_redirects=False,
            timeout=30,
        ).status_code

    login, other = "/auth/authentication-endpoint/authenticate/login", "/accounts/login/"
    huge = {"Content-Length": str(10**9)}
    calls = [(proxied.plain_url, {}), (proxied.plain_url, huge), (proxied.url, {}), (proxied.url, huge)]
    for path, password, statuses in (
        (login, "never-kept", [403, 413, 401, 413]),
        (other, "kept", [308, 413, 200, 413]),
    ):
        assert [sent(url, path, f"{password}{number}", **headers) for number, (url, headers) in enumerate(calls)] == (
            statuses
        )
    # nginx writes a request down after it answered, and in the order in which requests ended.
    access, errors = proxied.logs
    until("all requests are logged", lambda: all(f"=kept{number}" in access.read_text() for number in range(4)))
    until("the errors are logged", lambda: all(f"=kept{number}" in errors.read_text() for number in (1, 3)))
    assert "never-kept" not in access.read_text() + errors.read_text()


def test_a_request_that_does_not_arrive_in_time_is_answered_and_closed(bare, running_exchange):
    patience = float(running_exchange.environment["WEB_TIMEOUT"])
    expected = {"/accounts/login/": b"did not arrive in time", "/api/v1/operations/": b'"status": 408'}
    with ExitStack() as stack:
        waiting = {path: stack.enter_context(bare.connect(bare.head("POST", path, FORM, 1000))) for path in expected}
        for path, connection in waiting.items():
            connection.settimeout(patience + 20)
            answer = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))  # until it is closed
            assert answer.startswith(b"HTTP/1.1 408 ") and expected[path] in answer, answer


def test_a_reader_that_stalls_is_given_up(bare, running_exchange, large_file):
    path, token = large_file
    with bare.connect(bare.head("GET", path, token=token), receive_buffer=4096) as connection:
        connection.settimeout(60)
        begin = connection.recv(1000)
        assert int(re.search(rb"content-length: (\d+)", begin)[1]) == FILE_BYTES
        time.sleep(float(running_exchange.environment["WEB_TIMEOUT"]) + 3)
        received = len(begin)
        while part := connection.recv(1 << 20):  # what was in the buffers of both sides
            received += len(part)
    assert received < FILE_BYTES


def test_a_body_is_not_read_before_the_caller_is_known(bare):
    """A large body without a right to send one is refused although none of it arrives."""
    for path, status in (("/api/v1/operations/", b"401"), ("/changes/CHG0000001/attachments/", b"413")):
        with bare.connect(bare.head("POST", path, "multipart/form-data; boundary=x", 20_000_000)) as connection:
            connection.settimeout(20)
            assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)
