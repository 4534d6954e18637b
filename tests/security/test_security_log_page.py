"""The page of the security log: who may read it, its filters, its paging, its export."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.actor import acting
from changes.models import SecurityEvent
from changes.security_log import chain, kinds
from changes.security_log.recording import Subject, record
from tests.factories import UserFactory
from tests.pages import asked_for, text, web
from tests.rows import each_row

PAGE = "/security-log/"


@pytest.fixture
def log(audrey, alice):
    """Four events at four times, by different people."""
    chain.seal()
    bob = Subject("auth.user", "7", "bob")
    deeds = [
        ("2026-03-01T10:00", alice, "role_given", bob, {"role": "Auditor"}),
        ("2026-03-02T10:00", None, "role_taken", bob, {"role": "Auditor"}),
        ("2026-03-03T10:00", alice, "system_changed", Subject("integrations.externalsystem", "1", "ACME"), {}),
        ("2026-03-04T10:00", alice, "refused", Subject("address", "", "GET /admin/"), {}),
    ]
    for at, actor, kind, about, details in deeds:
        with time_machine.travel(datetime.fromisoformat(at).replace(tzinfo=UTC), tick=False):
            if actor is None:
                record(kind, about, details)
            else:
                with acting(actor):
                    record(kind, about, details)
    return audrey


GIVEN, TAKEN = (
    "alice gave the role Auditor to bob.",
    "A command or a worker took the role Auditor from bob.",
)
CHANGED, REFUSED = "alice changed the system ACME.", "alice was refused: GET /admin/."
EACH = [GIVEN, TAKEN, CHANGED, REFUSED]


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("person", "status"),
    [("alice", 403), ("carol", 403), ("ingrid", 200), ("audrey", 200), ("root", 200)],
)
def test_auditors_integration_administrators_and_superusers_read_it(request, db, settings, person, status):
    settings.REQUIRE_SECOND_FACTOR_FOR = frozenset()
    if person == "root":
        user = UserFactory(username="root", is_superuser=True, is_staff=True)
    else:
        user = request.getfixturevalue(person)
    client = web(user)
    for address in (PAGE, f"{PAGE}export.csv"):
        assert client.get(address).status_code == status
        assert client.post(address).status_code == (405 if status == 200 else 403)
    assert (f'href="{PAGE}"' in client.get("/").content.decode()) == (status == 200)


@pytest.mark.any_database
def test_who_is_not_signed_in_signs_in_first(db):
    assert web().get(PAGE)["Location"].startswith("/accounts/login/")


@each_row(
    "query, expected",
    [
        ("", EACH),
        ("kind=role_given", [GIVEN]),
        ("kind=topic:account", [GIVEN, TAKEN]),
        ("kind=topic:partner", [CHANGED]),
        ("kind=topic:operation", []),
        ("person=ALICE", [GIVEN, CHANGED, REFUSED]),
        ("person=bob", [GIVEN, TAKEN]),
        ("person=system", [TAKEN]),
        ("text=acme", [CHANGED]),
        ("text=auditor", [GIVEN, TAKEN]),
        ("text=/admin/", [REFUSED]),
        ("since=2026-03-02T10:00&until=2026-03-03T10:00&zone=UTC", [TAKEN, CHANGED]),
        ("since=2026-03-02T10:01&until=2026-03-03T09:59&zone=UTC", []),
        ("since=2026-03-02T12:00&zone=Asia/Tokyo", [TAKEN, CHANGED, REFUSED]),
        ("address=203.0.113.9", []),
        ("person=alice&kind=topic:refusal", [REFUSED]),
    ],
)
def test_a_filter_shows_what_matches_the_newest_first(log, query, expected):
    said = text(web(log).get(f"{PAGE}?{query}"))
    found = sorted((sentence for sentence in EACH if sentence in said), key=said.index)
    assert found == expected[::-1]
    if not expected:
        assert "No event matches" in said


@pytest.mark.any_database
@each_row("query", ["kind=nonsense", "since=never&zone=UTC", "kind=topic:nonsense"])
def test_a_filter_that_does_not_exist_is_said_so(log, query):
    client = web(log)
    assert "Invalid filter" in text(client.get(f"{PAGE}?{query}"))
    assert client.get(f"{PAGE}export.csv?{query}")["Location"].startswith(f"{PAGE}?")


@pytest.mark.any_database
def test_a_request_by_htmx_gets_the_rows_alone(log):
    part = web(log).get(f"{PAGE}?person=alice", headers=asked_for()).content.decode()
    assert GIVEN in part
    assert "<h1" not in part


def test_pages_follow_each_other_without_gaps_and_take_as_many_queries_with_more_rows(log):
    client = web(log)

    def queries(address: str) -> int:
        client.get(address)
        with CaptureQueriesContext(connection) as captured:
            client.get(address)
        return len(captured)

    few = queries(PAGE)
    for number in range(120):
        record("role_given", Subject("auth.user", "1", f"person-{number}"), {"role": "Auditor"})
    chain.seal()
    assert queries(PAGE) == few <= 8
    address, seen = PAGE, []
    while address:
        page = client.get(address).content.decode()
        seen += [int(number) for number in re.findall(r'data-label="Entry">(\d+)<', page)]
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = following[1].replace("&amp;", "&") if following else ""
    assert seen == list(range(SecurityEvent.objects.count(), 0, -1))


def test_the_export_has_what_is_filtered_in_english_and_runs_no_formula(log):
    record("account_created", Subject("auth.user", "9", "=HYPERLINK(1)"))
    client = web(log)
    answer = client.get(f"{PAGE}export.csv?kind=topic:account", headers={"Accept-Language": "de"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [row["kind"] for row in rows if row["object_text"] != "audrey"][:3] == [
        "account_created",
        "role_taken",
        "role_given",
    ]
    assert rows[0]["object_text"] == "'=HYPERLINK(1)"
    assert GIVEN in [row["sentence"] for row in rows]
    assert rows[0]["hash"] == SecurityEvent.objects.get(id=rows[0]["id"]).hash
    chain.seal()
    exported = SecurityEvent.objects.order_by("-id").first()
    assert (exported.kind, exported.actor_name) == ("log_exported", "audrey")
    assert exported.details == {"filters": {"kind": "topic:account"}}


@pytest.mark.any_database
def test_a_name_cannot_break_the_page(log):
    record("account_created", Subject("auth.user", "9", "<script>alert(1)</script> %(actor)s \u202e"))
    page = web(log).get(PAGE).content.decode()
    assert "<script>alert" not in page
    assert "%(actor)s" in page
    assert "\u202e" not in page


@pytest.mark.any_database
def test_every_kind_has_a_sentence_that_needs_only_what_is_recorded(db):
    placeholders = {"actor", "object", "address"}
    for kind in kinds.KINDS.values():
        used = {*re.findall(r"%\((\w+)\)s", str(kind.sentence))} - placeholders
        record(kind.name, Subject("auth.user", "1", "bob"), dict.fromkeys(used, "value"))
    chain.seal()
    assert {*SecurityEvent.objects.values_list("kind", flat=True)} >= {*kinds.KINDS}
