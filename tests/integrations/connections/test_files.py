"""A large file goes to the partner as it is, piece by piece, alone or as a part of a form, with its name in UTF-8."""

from __future__ import annotations

import hashlib
import os
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core.files.base import ContentFile

from changes.models import Attachment
from integrations.models import OutgoingOperation
from integrations.outgoing import delivery

from .conftest import connect

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

MIB = 1024 * 1024
CONTENT = os.urandom(MIB) * 20
NAME = "Pläne für Müller (2).pdf"
DOCUMENT = """\
base_url: URL
outgoing:
  Update:
    - {name: alone, put: /alone, file: true}
    - {name: part, post: /part, multipart: [{part: about, json: {ä: 1}}, {part: content, file: true}]}
"""


class Files(BaseHTTPRequestHandler):
    """Keeps of each body the hash of the file and what stands around it, and never the whole."""

    protocol_version = "HTTP/1.1"
    received: list[tuple[dict[str, str], bytes, str, bytes]]

    def do_PUT(self) -> None:
        self._take(b"", 0)

    def do_POST(self) -> None:
        """Two parts: all before the content of the second is kept, and the boundary at the end."""
        boundary = head = self.rfile.readline()
        while head.count(boundary) < 2 or not head.endswith(b"\r\n\r\n"):
            head += self.rfile.readline()
        self._take(head, len(boundary) + 4)  # a line end before it, and -- behind it

    def _take(self, head: bytes, end: int) -> None:
        left, digest = int(self.headers["Content-Length"]) - len(head) - end, hashlib.sha256()
        while left:
            digest.update(piece := self.rfile.read(min(left, 65536)))
            left -= len(piece)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.received.append((headers, head, digest.hexdigest(), self.rfile.read(end)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Logs nothing."""


@pytest.fixture
def server():
    Files.received = []
    server = HTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_file_of_20_mib_is_streamed(acme, server, give_change, alice):
    connect(acme, DOCUMENT.replace("URL", server))
    change = give_change()
    delivery.drain()
    attachment = Attachment(change=change, author=alice, file_name=NAME, content_type="application/pdf")
    attachment.file.save("file", ContentFile(CONTENT), save=False)
    attachment.size, attachment.sha256 = len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
    attachment.save()
    tracemalloc.start()
    try:
        delivery.drain()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert OutgoingOperation.objects.get(operation="Update").status == "Delivered"
    assert peak < 8 * MIB
    (alone, _, digest, _), (part, head, digest_of_part, tail) = Files.received
    assert digest == digest_of_part == attachment.sha256
    assert (alone["content-type"], alone["content-length"]) == ("application/octet-stream", str(len(CONTENT)))
    assert part["content-type"].startswith("multipart/form-data; boundary=")
    assert "transfer-encoding" not in alone | part
    assert f'name="content"; filename="{NAME}"'.encode() in head
    assert b"Content-Type: application/pdf" in head
    assert '{"ä":1}'.encode() in head
    assert tail.strip().endswith(b"--")
