"""The reference in docs/connections.md, and the command that checks a document."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from integrations.connections.document import auth_reading, incoming_reading, reading
from integrations.connections.document import parsing as document
from integrations.connections.document.source import Kinds
from integrations.connections.templating import templates
from tests.rows import each_row

from .test_request_tracker import REFERENCE_PAGE, WHOLE

pytestmark = pytest.mark.any_database


def keys_of(kinds: Kinds) -> list[str]:
    return [*kinds, *(key for optional, needed in kinds.values() for key in (*optional, *needed))]


PAGE = REFERENCE_PAGE.read_text()
NAMED = {
    "parts": document.KEYS,
    "requests": reading.REQUEST_KEYS,
    "expectations": reading.EXPECTATION_KEYS,
    "auth": keys_of(auth_reading.KINDS),
    "verify": keys_of(incoming_reading.VERIFY_KINDS),
    "poll": incoming_reading.POLL_KEYS,
    "operation": incoming_reading.OPERATION_KEYS,
    "filters": templates.FILTERS,
    "tests": templates.TESTS,
}


@each_row("part", [*NAMED])
def test_the_reference_names_every_key(part):
    missing = [key for key in NAMED[part] if not re.search(rf"`[^`]*\b{key}\b[^`]*`", PAGE)]
    assert missing == []


def test_the_command_says_what_a_good_document_has(tmp_path):
    file, out = tmp_path / "rt.yaml", StringIO()
    file.write_text(WHOLE[0])
    call_command("check_connection", str(file), stdout=out)
    assert out.getvalue().splitlines() == [
        "No faults.",
        "outgoing: Assign (find, create, status, read), Accept (status, read), Cancel (status, read),"
        " Update (comment, attach, read)",
        "poll: every 30 s",
        "inbox: none",
        "read: yes",
        "secrets: RT_TOKEN",
    ]


def test_the_command_says_every_fault_with_its_place(tmp_path):
    file, out = tmp_path / "rt.yaml", StringIO()
    file.write_text("base_url: nowhere\noutgoing:\n  Assign: [{name: a, get: /x, query: {q: '{{ chnge }}'}}]\n")
    with pytest.raises(CommandError, match="has 2 faults") as failed:
        call_command("check_connection", str(file), stdout=out)
    assert failed.value.returncode == 1
    assert out.getvalue().splitlines() == [
        f"{file}:1:11: base_url: Write a URL as in https://desk.example.com/api. It begins with https:// or http://.",
        f"{file}:3:46: outgoing.Assign[0] a: query.q: There is no name chnge here. Did you mean change?",
    ]


UNREADABLE = [(None, "cannot be read: No such file"), (b"\xff", "is not a UTF-8 text file")]


@each_row(("content", "message"), UNREADABLE)
def test_a_file_that_cannot_be_read(tmp_path, content, message):
    file = tmp_path / "x.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        call_command("check_connection", str(file))
