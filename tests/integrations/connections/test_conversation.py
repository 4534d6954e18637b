"""What answers mean, and what steps remember."""

from __future__ import annotations

import pytest

from integrations.connections.document import connection_of
from integrations.connections.evaluation.conversation import Conversation, Verdict, names_of
from integrations.connections.templating.faults import EvaluationFailed
from integrations.transports.base import Response
from integrations.transports.statuses import Outcome
from tests.rows import each_row

from .evaluation import MESSAGE, NOW, REFERENCE, SECRETS, answer, connection, conversation, document

pytestmark = pytest.mark.any_database

DELIVERED, RETRY, REFUSED, PAUSE = None, Outcome.RETRY, Outcome.REFUSED, Outcome.PAUSE
LONG = Response(200, {}, b"{", is_complete=False)
BAD_HEADER = answer(200, "", **{"X-Bad": "1"})
# What the step says, the answer, and what it means. The rows are in the order of the page.
ANSWERS = [
    ("", answer(200), DELIVERED, ""),
    ("", answer(204), DELIVERED, ""),
    ("", answer(408), RETRY, "outgoing.Assign[0] send: the partner answered 408"),
    ("", answer(425), RETRY, "the partner answered 425"),
    ("", answer(429), RETRY, "the partner answered 429"),
    ("", answer(500), RETRY, "the partner answered 500"),
    ("", answer(503, "Bye"), RETRY, "the partner answered 503"),
    ("", answer(102), RETRY, "the partner answered 102"),
    ("", answer(401), PAUSE, "the partner answered 401"),
    ("", answer(410), PAUSE, "the partner answered 410"),
    ("", answer(403), REFUSED, "the partner answered 403, not a status from 200 to 299"),
    ("", answer(404, "No such\n ticket"), REFUSED, "answered 404, not a status from 200 to 299: No such ticket"),
    ("", answer(302, Location="/x"), REFUSED, "the partner answered 302"),
    ("expect: 201", answer(201), DELIVERED, ""),
    ("expect: [201, 404]", answer(404), DELIVERED, ""),
    ("expect: [201, 409]", answer(200, "x" * 400), REFUSED, "answered 200, not 201, 409: " + "x" * 300),
    ("expect: 201", answer(503), RETRY, "503"),
    ("expect: 201", answer(401), PAUSE, "401"),
    # Rules, and which of two comes first
    ("refuse_if: '{{ body.bad }}'", answer(200, {"bad": True}), REFUSED, "send: refuse_if is true"),
    ("refuse_if: '{{ body.bad }}'", answer(200, {"bad": False}), DELIVERED, ""),
    ("retry_if: '{{ body.busy }}'", answer(200, {"busy": 1}), RETRY, "send: retry_if is true"),
    ("retry_if: true\nrefuse_if: true", answer(200), REFUSED, "refuse_if is true"),
    ("refuse_if: true", answer(503), RETRY, "503"),
    ("refuse_if: true", answer(404), REFUSED, "404"),
    ("refuse_if: \"{{ status == 202 }}\"", answer(202), REFUSED, "refuse_if is true"),
    ("refuse_if: \"{{ headers['x-bad'] is defined }}\"", BAD_HEADER, REFUSED, "refuse_if is true"),
    ("retry_if: \"{{ 'busy' in body }}\"", answer(200, "I am busy"), RETRY, "retry_if is true"),
    # What cannot be evaluated refuses
    ("refuse_if: '{{ body.bad }}'", answer(200, {}), REFUSED, "send: refuse_if: `body.bad` is undefined"),
    ("refuse_if: '{{ body.bad }}'", answer(200, "<html>"), REFUSED, "`body.bad` is undefined"),
    ("refuse_if: '{{ body.bad }}'", answer(204), REFUSED, "`body.bad` is undefined"),
    ("result: {external_id: '{{ body.id }}'}", answer(200, {}), REFUSED, "result.external_id: `body.id` is undefined"),
    ("result: {external_id: '{{ body }}'}", answer(200, {}), REFUSED, "a list or a mapping is no text"),
    ("result: {external_id: '{{ body.id }}'}", answer(200, {"id": True}), REFUSED, "true or false is no text"),
    ("save: {a: '{{ body.a }}'}", answer(200, "[1]"), REFUSED, "send: save.a: `body.a` is undefined"),
    ("save: {a: '{{ body[0] }}'}", answer(200, "[1]"), DELIVERED, ""),
    ("save: {a: '{{ body }}'}", LONG, REFUSED, "`body` is undefined (the answer is too long to be read)"),
    ("save: {a: '{{ status }}'}", LONG, DELIVERED, ""),
    ("", LONG, DELIVERED, ""),
    ("save: {a: '{{ body }}'}", answer(200, "[" * 90 + "]" * 90), REFUSED, "the answer is nested too deeply"),
    ("save: {a: '{{ body }}'}", answer(200, "[" * 9000 + "]" * 9000), REFUSED, "the answer is nested too deeply"),
    # No error quotes a secret.
    ("", answer(400, "Bad key: key-of-the-desk"), REFUSED, "Bad key: •••"),
]  # fmt: skip


@each_row(("keys", "response", "outcome", "error"), ANSWERS)
def test_what_an_answer_means(keys, response, outcome, error):
    steps = "- name: send\n  post: /x\n" + "\n".join(f"  {line}" for line in keys.splitlines())
    made = conversation(steps)
    made.next_call()
    verdict = made.answered(response)
    assert verdict.outcome is outcome
    assert error in verdict.error
    assert bool(verdict.error) == (outcome is not None)
    assert verdict.error == "" or verdict.error.startswith("outgoing.Assign[0] send: ")
    assert (made.done == {}) == (outcome is not None)


def test_pause_on_can_be_said():
    made = conversation("- {name: send, get: /x, expect: [401]}", "pause_on: [403]")
    made.next_call()
    assert made.answered(answer(403)).outcome is PAUSE
    made.next_call()
    assert made.answered(answer(401)).outcome is DELIVERED


RESULTS = [
    ("{external_id: '{{ body.id }}'}", {"external_id": "12"}),
    ("{external_id: 'T{{ body.id }}', external_url: /}", {"external_id": "T12", "external_url": "/"}),
    ("{external_id: '{{ body.none }}', external_status: x}", {"external_status": "x"}),
    ("{external_id: '{{ omit }}'}", {}),
    ("{external_id: ''}", {}),
    ("{external_id: '{{ headers.location }}'}", {"external_id": "/t/12"}),
    ("{external_id: '{{ body.large }}'}", {"external_id": "123456789012345678901234567890"}),
]  # fmt: skip


@each_row(("result", "named"), RESULTS)
def test_the_result(result, named):
    made = conversation(f"- {{name: send, post: /x, result: {result}}}")
    made.next_call()
    body = {"id": 12, "s": "new", "none": None, "large": 123456789012345678901234567890}
    assert made.answered(answer(200, body, Location="/t/12")) == Verdict(None, result=named, is_remembered=True)


STEPS = """
- name: find
  get: /find
  when: "{{ not external_id }}"
  result: {external_id: "{{ body.id }}"}
- name: create
  post: /create
  when: "{{ not external_id }}"
  result: {external_id: "{{ body.id }}"}
  save: {token: "{{ body.token }}", all: "{{ body }}"}
- name: never
  post: /never
  when: false
- name: link
  put: "/{{ external_id }}"
  json: {token: "{{ steps.create.token }}", skipped: "{{ steps.never is defined }}"}
- name: read
  get: "/{{ external_id }}"
  result: {external_status: "{{ body.s }}"}
"""


def test_steps_know_what_earlier_ones_found_and_a_repeat_goes_on_behind_them():
    made = conversation(STEPS)
    assert made.next_call().step == "find"
    assert made.next_call().step == "find"
    assert made.answered(answer(200, {"id": None})) == Verdict(None)
    assert made.next_call().step == "create"
    body = {"id": 12, "token": "abc"}
    assert made.answered(answer(201, body)) == Verdict(None, result={"external_id": "12"}, is_remembered=True)
    done = {"create": {"result": {"external_id": "12"}, "saved": {"token": "abc", "all": body}}}
    assert made.done == done
    call = made.next_call()
    assert (call.step, call.url, call.body) == (
        "link",
        "https://desk.example.com/api/12",
        b'{"token":"abc","skipped":false}',
    )
    assert made.answered(answer(500)).outcome is RETRY
    assert made.done == done

    # The repeat, in another process: a get is asked again, a post that succeeded is not.
    again = conversation(STEPS, done=done)
    assert again.next_call().step == "find"
    again.answered(answer(200, {"id": None}))
    call = again.next_call()
    assert (call.step, call.url, call.body) == (
        "link",
        "https://desk.example.com/api/12",
        b'{"token":"abc","skipped":false}',
    )
    again.answered(answer(200))
    assert again.next_call().step == "read"
    assert again.answered(answer(200, {"s": "open"})).result == {"external_status": "open"}
    assert again.next_call() is None
    assert [*again.done] == ["create", "link"]


def test_with_a_reference_nothing_is_created():
    made = conversation(STEPS, external_reference=REFERENCE)
    with pytest.raises(EvaluationFailed, match=r"link: json.token: `steps.create` is undefined"):
        made.next_call()


ONCE = [("get", "", True), ("get", "once: true", False), ("post", "", False), ("post", "once: false", True)]


@each_row(("method", "once", "is_repeated"), ONCE)
def test_once(method, once, is_repeated):
    steps = f"- {{name: first, {method}: /x{', ' + once if once else ''}}}\n- {{name: second, get: /y}}"
    made = conversation(steps)
    made.next_call()
    assert made.answered(answer(200)).is_remembered is not is_repeated
    assert conversation(steps, done=made.done).next_call().step == ("first" if is_repeated else "second")


def test_an_operation_that_has_no_steps_is_not_named():
    made = connection("- {name: send, post: /x}")
    assert [*made.outgoing] == ["Assign"]
    empty = connection_of(document("[]"))
    assert Conversation(empty, "Assign", names_of(MESSAGE, NOW), SECRETS).next_call() is None
