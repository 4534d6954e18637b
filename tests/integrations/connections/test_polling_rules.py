"""What a poll asks for, and what becomes of each entry; how a record is read."""

from __future__ import annotations

import pytest

from integrations.connections.document import connection_of
from integrations.connections.evaluation.connection import Connection
from integrations.connections.evaluation.polling_rules import (
    ItemReading,
    cursor_of,
    entries_of,
    external_id_of,
    is_skipped,
    items_of,
    list_call,
    list_verdict,
    operation_of,
)
from integrations.connections.evaluation.read_rules import reading
from integrations.connections.templating.faults import EvaluationFailed
from integrations.transports.base import Response
from integrations.transports.statuses import Outcome
from tests.rows import each_row

from .evaluation import NOW, REFERENCE, SECRETS, answer

pytestmark = pytest.mark.any_database

REDMINE = """
base_url: https://redmine.example.com
tables: {status: {1: New, 2: In progress, default: refuse}}
poll:
  every: 30
  overlap: 60
  list:
    get: /issues.json
    headers: {X-Key: "{{ secret.KEY }}"}
    query:
      updated_on: "{{ '>=' ~ cursor if cursor else omit }}"
      offset: "{{ page|int * 25 }}"
      limit: 25
      sort: updated_on
    items: "{{ body.issues }}"
    page_size: 25
    refuse_if: "{{ body.issues is undefined }}"
  cursor: "{{ item.updated_on }}"
  external_id: "{{ item.id }}"
  read:
    - name: issue
      get: "/issues/{{ item.id }}.json"
      query: {include: journals, since: "{{ cursor }}", known: "{{ known }}"}
      save: {journals: "{{ body.issue.journals }}"}
  entries: "{{ steps.issue.journals }}"
  skip_if: "{{ entry.private_notes or entry.user.id == 7 }}"
  operation:
    key: "{{ entry.id }}"
    operation: "{{ 'Update' if known else 'Create' }}"
    external_id: "{{ item.id }}"
    external_url: "https://redmine.example.com/issues/{{ external_id }}"
    external_status: "{{ item.status.id|table('status') }}"
    properties: {title: "{{ omit if known else item.subject }}"}
    comments: [{body: "{{ entry.notes }}", author: "{{ entry.user.name }}"}]
read:
  steps:
    - {name: issue, get: "/issues/{{ external_id }}.json", expect: [200, 404]}
  status: "{{ body.issue.status.name }}"
  gone: "{{ status == 404 }}"
"""  # fmt: skip
ITEM = {"id": 12, "subject": "Switch", "updated_on": "2026-11-24T09:30:00Z", "status": {"id": 2}}
ENTRY = {"id": 5, "notes": "{{ secret.KEY }}", "private_notes": False, "user": {"id": 3, "name": "J. Doe"}}


@pytest.fixture(scope="module")
def redmine() -> Connection:
    return connection_of(REDMINE)


# The cursor, the page, whether the overlap is used, and the query.
LISTS = [
    (None, 0, True, "offset=0&limit=25"),
    (None, 2, False, "offset=50&limit=25"),
    ("2026-11-24T09:30:00Z", 0, True, "updated_on=%3E%3D2026-11-24T09%3A29%3A00Z&offset=0&limit=25"),
    ("2026-11-24T09:30:00Z", 0, False, "updated_on=%3E%3D2026-11-24T09%3A30%3A00Z&offset=0&limit=25"),
    ("2026-11-24 09:30:00", 0, True, "updated_on=%3E%3D2026-11-24%2009%3A29%3A00&offset=0&limit=25"),
    ("2026-11-24T09:30:00+01:00", 0, True, "updated_on=%3E%3D2026-11-24T09%3A29%3A00%2B01%3A00&offset=0&limit=25"),
    ("2026-11-24", 0, True, "updated_on=%3E%3D2026-11-23&offset=0&limit=25"),
    (1000, 0, True, "updated_on=%3E%3D940&offset=0&limit=25"),
]  # fmt: skip


@each_row(("cursor", "page", "use_overlap", "query"), LISTS)
def test_the_call_for_a_list(cursor, page, use_overlap, query):
    call = list_call(connection_of(REDMINE), SECRETS, cursor, page, NOW, use_overlap)
    assert call.url == f"https://redmine.example.com/issues.json?{query}&sort=updated_on"
    assert call.headers == {"X-Key": "key-of-the-desk"}
    assert call.shown().headers == {"X-Key": "•••"}


def test_an_overlap_needs_a_cursor_that_is_a_time(redmine):
    with pytest.raises(EvaluationFailed, match=r"poll.overlap: the cursor is no time"):
        list_call(redmine, SECRETS, "abc", 0, NOW, True)


VERDICTS = [
    (answer(200, {"issues": []}), None, ""),
    (answer(503), Outcome.RETRY, "poll.list: the partner answered 503"),
    (answer(401), Outcome.PAUSE, "poll.list: the partner answered 401"),
    (answer(403, "no"), Outcome.REFUSED, "poll.list: the partner answered 403, not a status from 200 to 299: no"),
    (answer(200, {}), Outcome.REFUSED, "poll.list.refuse_if is true"),
    (Response(200, {}, b"{", is_complete=False), Outcome.REFUSED, "poll.list: the answer is too long to be read"),
]


@each_row(("response", "outcome", "error"), VERDICTS)
def test_what_the_answer_with_a_list_means(redmine, response, outcome, error):
    verdict = list_verdict(redmine, response)
    assert verdict.outcome is outcome
    assert verdict.error.startswith(error)


def test_items():
    redmine = connection_of(REDMINE)
    assert items_of(redmine, answer(200, {"issues": [ITEM]}), None, 0) == [ITEM]
    with pytest.raises(EvaluationFailed, match=r"poll.list.items: the value is no list"):
        items_of(redmine, answer(200, {"issues": {}}), None, 0)
    with pytest.raises(EvaluationFailed, match=r"poll.list.items: `body.issues` is undefined"):
        items_of(redmine, answer(200, "<html>"), None, 0)


def test_an_item_is_read_and_its_entries_become_operations(redmine):
    assert (redmine.poll.every, redmine.poll.overlap, redmine.poll.page_size, redmine.poll.has_read) == (
        30,
        60,
        25,
        True,
    )
    assert cursor_of(redmine, ITEM, NOW) == "2026-11-24T09:30:00Z"
    read = ItemReading(redmine, ITEM, "2026-11-24T00:00:00Z", True, SECRETS)
    call = read.next_call()
    query = "include=journals&since=2026-11-24T00%3A00%3A00Z&known=true"
    assert call.url == f"https://redmine.example.com/issues/12.json?{query}"
    own = {**ENTRY, "user": {"id": 7, "name": "us"}}
    assert read.answered(answer(200, {"issue": {"journals": [own, ENTRY]}})).outcome is None
    assert read.next_call() is None
    assert external_id_of(redmine, ITEM, read.steps) == "12"
    entries = entries_of(redmine, ITEM, read.steps)
    assert entries == [own, ENTRY]
    assert [is_skipped(redmine, ITEM, entry, read.steps, True) for entry in entries] == [True, False]
    body = {
        "operation": "Update",
        "external_id": "12",
        "external_url": "https://redmine.example.com/issues/12",
        "external_status": "In progress",
        "comments": [{"body": "{{ secret.KEY }}", "author": "J. Doe"}],
    }
    assert operation_of(redmine, ITEM, ENTRY, read.steps, True, "12") == ("5", body)
    created = {**body, "operation": "Create", "properties": {"title": "Switch"}}
    assert operation_of(redmine, ITEM, ENTRY, read.steps, False, "12") == ("5", created)


def test_without_entries_the_item_is_the_entry_and_without_a_key_there_is_none():
    made = connection_of(
        "base_url: https://x\npoll: {every: 10, list: {get: /x, items: '{{ body }}'}, cursor: '{{ item.id }}',"
        " external_id: '{{ item.id }}', operation: {operation: Update, origin: '{{ omit }}'}}"
    )
    assert entries_of(made, ITEM) == [ITEM]
    assert not is_skipped(made, ITEM, ITEM, {}, False)
    assert operation_of(made, ITEM, ITEM, {}, False, "12") == (None, {"operation": "Update"})
    assert cursor_of(made, {"id": 3}, NOW) == 3
    for value in (None, "", []):
        with pytest.raises(EvaluationFailed, match=r"poll.external_id: the value is"):
            external_id_of(made, {"id": value})


FAILING = [
    ({**ENTRY, "user": {}}, ITEM, "poll.operation.comments[0].author: `entry.user.name` is undefined"),
    (ENTRY, {**ITEM, "status": {"id": 9}}, "poll.operation.external_status: the table status has no value for '9'"),
    (
        {**ENTRY, "id": []},
        ITEM,
        "poll.operation.key: a list or a mapping is no text: choose one of its values, or use |join or |tojson",
    ),
]


@each_row(("entry", "item", "message"), FAILING)
def test_an_entry_that_has_no_operation(redmine, entry, item, message):
    with pytest.raises(EvaluationFailed) as failed:
        operation_of(redmine, item, entry, {"issue": {"journals": []}}, True, "12")
    assert str(failed.value) == message


READ = [
    (answer(200, {"issue": {"status": {"name": "New"}}}), (None, False, "New")),
    (answer(404), (None, True, None)),
    (answer(500), (Outcome.RETRY, None, None)),
]


@each_row(("response", "expected"), READ)
def test_a_record_is_read(redmine, response, expected):
    names = {**REFERENCE, "system": "REDMINE", "now": "2026-11-24T12:00:00Z"}
    read = reading(redmine, names, SECRETS)
    assert read.next_call().url == "https://redmine.example.com/issues/12.json"
    outcome = read.answered(response).outcome
    assert outcome is expected[0]
    if outcome is None:
        assert read.next_call() is None
        assert (read.gone, read.status) == expected[1:]
