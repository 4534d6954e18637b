"""Shared by the tests of connections: one message, documents of a few lines, and answers of the partner."""

from __future__ import annotations

import json
import textwrap
from datetime import UTC, datetime

from integrations.connections.document import connection_of
from integrations.connections.evaluation.connection import Connection
from integrations.connections.evaluation.conversation import Conversation, names_of
from integrations.transports.base import Response

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECRETS = {"KEY": "key-of-the-desk", "OTHER": "another-secret"}
MESSAGE = {
    "id": "0199f3c0-0000-7000-8000-000000000001",
    "operation": "Assign",
    "system_id": "DESK",
    "sequence": 1,
    "created_at": "2026-11-24T09:30:00Z",
    "origin": None,
    "change": {
        "number": "CHG0000012",
        "title": "Replace core switch",
        "description": "<b>Füße</b> & 'Hände'",
        "priority": "High",
        "version": 3,
        "planned_start": "2026-11-24T09:30:00.123456Z",
        "planned_end": None,
        "risk": None,
        "external_references": [],
    },
    "changed_fields": {"owning_group": {"old": "Network", "new": "Desk"}},
    "external_reference": None,
    "comment": None,
    "attachment": None,
}
REFERENCE = {"external_id": "12", "external_url": "https://desk.example.com/12", "external_status": "new"}
ATTACHMENT = {"id": 3, "file_name": "Größe.pdf", "content_type": "application/pdf", "size": 9, "url": "https://x/3"}
COMMENT = {"id": 7, "body": "Parts ordered", "author": "J. Doe", "created_at": "2026-11-24T09:30:00Z"}
TABLES = """
tables:
  priority: {Critical: 90, High: 70, default: 50}
  status: {Assign: open, default: refuse}
  strict: {Assign: open}
  kinds: {key: 5}
"""


def document(steps: str, more: str = TABLES, operation: str = "Assign") -> str:
    """A document with these steps of one operation, written as a list."""
    listed = textwrap.indent(textwrap.dedent(steps).strip(), "    ")
    return f"base_url: https://desk.example.com/api\n{textwrap.dedent(more)}\noutgoing:\n  {operation}:\n{listed}\n"


def connection(steps: str, more: str = TABLES) -> Connection:
    return connection_of(document(steps, more))


def conversation(steps: str, more: str = TABLES, done: dict | None = None, **message: object) -> Conversation:
    names = names_of({**MESSAGE, **message}, NOW)
    return Conversation(connection(steps, more), "Assign", names, SECRETS, done)


def answer(status: int = 200, body: object = "", **headers: str) -> Response:
    if isinstance(body, bytes | str):
        content = body.encode() if isinstance(body, str) else body
        return Response(status, headers, content)
    return Response(status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode())
