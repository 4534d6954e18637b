"""The log as text and as JSON: nothing that a caller sends can look like a line or a field of it."""

from __future__ import annotations

import json
import os

import pytest

from . import warm
from .processes import free_port

pytestmark = pytest.mark.any_database

LINES = r"""
import logging
from changes import work
log = logging.getLogger("casexchange.requests")
log.info("plain")
with work.working_on(work.RequestWork("request-1")):
    log.warning("first\n2026-01-01 ERROR second\u2028third \x1b[31m [operation_id=1]", extra={"request": "hidden"})
    log.info("own", extra={"operation_id": "7", "attempt": 2})
with work.working_on(work.TaskWork("deliver")):
    log.info("task", extra={"request_id": "", "operation_id": "8"})
with work.working_on(work.RequestWork("request-1")):
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("failed")
        log.info("refused", exc_info=True)
"""


def logged(form: str, tmp_path, code: str = LINES, **settings: str) -> list[str]:
    environment = {**os.environ, "VAR_DIR": str(tmp_path), "LOG_FORMAT": form, "LOG_LEVEL": "INFO", **settings}
    done = warm.manage(["shell", "--verbosity=0", "--command", code], environment, is_once=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_text_has_one_line_each_with_what_is_worked_on_at_its_end(tmp_path):
    lines = logged("text", tmp_path)
    assert lines[0].endswith(" INFO casexchange.requests: plain")
    assert lines[1].endswith(
        r"first\n2026-01-01 ERROR second\u2028third \x1b[31m [operation_id=1] [request_id=request-1]"
    )
    assert lines[2].endswith("own [request_id=request-1 operation_id=7 attempt=2]")
    assert lines[3].endswith("task [task=deliver operation_id=8]")
    assert lines[4].endswith("failed [request_id=request-1]")
    assert lines[5] == "Traceback (most recent call last):"
    assert lines[-1].endswith("refused [request_id=request-1]")
    assert "hidden" not in "".join(lines)


def test_json_has_an_object_in_each_line(tmp_path):
    lines = [json.loads(line) for line in logged("json", tmp_path)]
    assert [line["message"] for line in lines] == [
        "plain",
        "first\n2026-01-01 ERROR second\u2028third \x1b[31m [operation_id=1]",
        "own",
        "task",
        "failed",
        "refused",
    ]
    assert {*lines[0]} == {"time", "level", "logger", "message"}
    assert lines[0]["time"].endswith("Z")
    assert [line.get("request_id") for line in lines] == [
        None,
        "request-1",
        "request-1",
        None,
        "request-1",
        "request-1",
    ]
    assert (lines[2]["operation_id"], lines[2]["attempt"]) == ("7", 2)
    assert lines[3]["task"] == "deliver"
    assert "ZeroDivisionError" in lines[4]["exception"]
    assert "exception" not in lines[5]
    assert "hidden" not in str(lines)


def test_a_scanner_that_calls_by_another_name_costs_one_line(tmp_path):
    lines = logged(
        "text", tmp_path, 'from django.test import Client\nClient().get("/", headers={"host": "scan.example"})'
    )
    told = [line for line in lines if "DisallowedHost" in line]
    assert len(told) == 1 and " WARNING django.security.DisallowedHost: Invalid HTTP_HOST" in told[0]
    assert not [line for line in lines if line.startswith("Traceback") or " ERROR " in line]


GONE = r"""
from django.test import Client
client = Client(raise_request_exception=False)
client.cookies["sessionid"] = 32 * "a"
for address in ("/", "/changes/CHG0000001/", "/api/v1/changes/"):
    answer = client.get(address, headers={"x-request-id": "known-to-the-proxy", "authorization": "Bearer " + 64 * "a"})
    assert answer.status_code == 503, (address, answer.status_code)
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_without_a_database_a_request_costs_one_warning_with_its_id(tmp_path, form):
    """And the line that each request has."""
    (tmp_path / "static").mkdir()
    nowhere = f"postgres://nobody@127.0.0.1:{free_port()}/nothing"
    lines = logged(form, tmp_path, GONE, DATABASE_URL=nowhere, ALLOWED_HOSTS="testserver")
    warnings = [line for line in lines if " WARNING " in line or '"level": "warning"' in line]
    assert len(warnings) == 3, lines
    assert len([line for line in lines if "503 in" in line]) == 3
    assert len(lines) == 6, lines
    for line in lines:
        assert "known-to-the-proxy" in line
