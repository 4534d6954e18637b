"""The document for Request Tracker, as the reference has it: its calls come out as RT takes them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from integrations.connections.document import connection_of
from integrations.connections.evaluation.connection import Connection
from integrations.connections.evaluation.conversation import Conversation, names_of
from integrations.transports.statuses import Outcome
from tests.rows import each_row

from .evaluation import ATTACHMENT, COMMENT, MESSAGE, NOW, REFERENCE, answer

pytestmark = pytest.mark.any_database

REFERENCE_PAGE = Path(__file__).resolve().parents[3] / "docs" / "connections.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", REFERENCE_PAGE.read_text(), re.MULTILINE | re.DOTALL)
WHOLE = [text for text in EXAMPLES if text.startswith("base_url:")]
SECRETS = {"RT_TOKEN": "1-23-4567"}
BASE = "https://rt.example.com/REST/2.0"
FIND = f"{BASE}/tickets?query=Queue%20%3D%20%27Changes%27%20AND%20CF.%7BChange%20number%7D%20%3D%20%27CHG0000012%27"
NO_TICKETS, TICKETS = answer(200, {"items": []}), answer(200, {"items": [{"id": "12", "type": "ticket"}]})
OPEN = answer(200, {"id": 12, "Status": "open"})


@pytest.fixture(scope="module")
def rt() -> Connection:
    return connection_of(WHOLE[0])


def test_every_whole_example_of_the_reference_has_no_faults():
    assert WHOLE
    for text in WHOLE:
        connection_of(text)


REMEMBERED = {"external_reference": REFERENCE}
# Operation, what the message says besides, the answers, and the calls that are made.
CALLS = [
    (
        "Assign",
        {},
        [NO_TICKETS, answer(201, {"id": 12}), answer(200, ["Status changed"]), OPEN],
        [f"GET {FIND}", f"POST {BASE}/ticket", f"PUT {BASE}/ticket/12", f"GET {BASE}/ticket/12"],
    ),
    (
        "Assign",  # the answer to an earlier try was lost
        {},
        [TICKETS, answer(200, ["Status changed"]), OPEN],
        [f"GET {FIND}", f"PUT {BASE}/ticket/12", f"GET {BASE}/ticket/12"],
    ),
    (
        "Accept",
        REMEMBERED,
        [answer(200, []), answer(200, {"Status": "resolved"})],
        [f"PUT {BASE}/ticket/12", f"GET {BASE}/ticket/12"],
    ),
    (
        "Update",
        {**REMEMBERED, "comment": COMMENT},
        [answer(201, []), OPEN],
        [f"POST {BASE}/ticket/12/comment", f"GET {BASE}/ticket/12"],
    ),
    (
        "Update",
        {**REMEMBERED, "attachment": ATTACHMENT},
        [answer(201, []), OPEN],
        [f"POST {BASE}/ticket/12/comment", f"GET {BASE}/ticket/12"],
    ),
]


@each_row(("operation", "message", "answers", "calls"), CALLS)
def test_the_calls_of_an_operation(rt, operation, message, answers, calls):
    made = Conversation(rt, operation, names_of({**MESSAGE, **message, "operation": operation}, NOW), SECRETS)
    sent, left = [], [*answers]
    while call := made.next_call():
        sent.append(f"{call.method} {call.url}")
        verdict = made.answered(left.pop(0))
        assert verdict.outcome is None, verdict.error
    assert sent == calls
    status = json.loads(answers[-1].body)["Status"]
    url = "https://rt.example.com/Ticket/Display.html?id=12"
    assert verdict.result == {"external_status": status, "external_url": url}


def test_the_new_ticket(rt):
    made = Conversation(rt, "Assign", names_of(MESSAGE, NOW), SECRETS)
    made.next_call()
    made.answered(NO_TICKETS)
    assert json.loads(made.next_call().body) == {
        "Queue": "Changes",
        "Subject": "Replace core switch",
        "Priority": 70,
        "CustomFields": {"Change number": "CHG0000012"},
    }
    assert rt.auth.headers(SECRETS) == {"Authorization": "token 1-23-4567"}
    assert rt.secret_names == {"RT_TOKEN"}


def test_a_status_that_rt_did_not_take_is_refused(rt):
    names = names_of({**MESSAGE, **REMEMBERED, "operation": "Accept"}, NOW)
    made = Conversation(rt, "Accept", names, SECRETS)
    made.next_call()
    made.answered(answer(200, ["Status 'resolved' is not valid"]))
    made.next_call()
    verdict = made.answered(OPEN)
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.error == "outgoing.Accept[1] read: refuse_if is true for the partner's answer"
