"""Several callers at once, over HTTP: edits that name no version are done one after the other, and none is lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from knox.models import AuthToken

from changes.models import Change
from tests.factories import ChangeFactory, change_in

FIELDS = (
    "title",
    "description",
    "category",
    "service",
    "reason",
    "justification",
    "backout_plan",
    "implementation_plan",
)


@pytest.fixture
def send(transactional_db, live_server, carol):
    """`send(calls)` sends all calls at once, and returns the answers in the order of the calls."""
    _, token = AuthToken.objects.create(carol)

    def one(call):
        method, path, options = call
        headers = {"Authorization": f"Bearer {token}", **options.get("headers", {})}
        return requests.request(
            method, f"{live_server.url}/api/v1/{path}", headers=headers, timeout=30, json=options["json"]
        )

    def send(calls):
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, calls))

    return send


def test_edits_at_the_same_time_all_stay(send):
    change = ChangeFactory()
    answers = send([("PATCH", f"changes/{change.number}/", {"json": {field: f"New {field}"}}) for field in FIELDS])
    assert [answer.status_code for answer in answers] == [200] * len(FIELDS)
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 2 + len(FIELDS)))
    stored = Change.objects.get()
    assert {field: getattr(stored, field) for field in FIELDS} == {field: f"New {field}" for field in FIELDS}


def test_of_edits_of_one_version_exactly_one_is_made(send):
    change = ChangeFactory()
    options = [{"json": {"title": f"Title {i}"}, "headers": {"If-Match": '"1"'}} for i in range(6)]
    answers = send([("PATCH", f"changes/{change.number}/", option) for option in options])
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 5]
    stored = Change.objects.get()
    (made,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert (stored.title, stored.version) == (made["title"], 2)


def test_of_the_same_transition_twice_one_is_made(send):
    change = ChangeFactory()
    answers = send([("POST", f"changes/{change.number}/transitions/", {"json": {"phase": "Evaluate"}})] * 4)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert Change.objects.values("phase", "version").get() == {"phase": "Evaluate", "version": 2}


def test_of_the_same_decision_twice_one_is_made(send):
    change = change_in("ApprovePlan")
    answers = send([("POST", f"changes/{change.number}/approvals/", {"json": {"decision": "Approved"}})] * 4)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert change.approvals.count() == 1
