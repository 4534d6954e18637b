"""The files for auditors: what happened to the changes that the filters match."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from changes.actor import acting
from changes.choices import Phase
from changes.models import Approval, Comment
from integrations.models import ExternalReference, IncomingOperation, OutgoingOperation
from tests.factories import ChangeFactory, change_in
from tests.pages import text, web

pytestmark = pytest.mark.django_db
TABLES = ("history", "approvals", "comments", "references", "operations")
# Of each row of the operations, and what it tells of the attempts below.
TOLD = ("row", "direction", "operation", "status", "http_status", "seconds", "outcome", "error")
REFUSED = {"http_status": 422, "failure": "status", "error": "answered 422: =no", "answer_headers": "X-Secret: 1"}
ATTEMPTS = [
    ("attempt", "out", "Assign", "", "", "0.250", "timeout", "No answer"),
    ("attempt", "out", "Assign", "", "422", "0.250", "status", "answered 422: =no"),
    ("attempt", "out", "Assign", "", "200", "0.250", "succeeded", ""),
]


def exported(user, table, query="") -> list[dict[str, str]]:
    return rows_of(web(user).get(f"/changes/export/{table}.csv{query}"), table)


def rows_of(response, table) -> list[dict[str, str]]:
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="{table}-' in response["Content-Disposition"]
    assert response["Cache-Control"] == "private, no-store"
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))


@pytest.fixture
def change(alice, carol, acme):
    change = change_in(Phase.APPROVE_PLAN, title="Replace core switch", requested_by=alice)
    with acting(alice):
        change.title = "=1+1"
        change.owning_group = acme.external_groups.get().group
        change.save()
    Approval(change=change, author=carol, decision="Denied", comment="=No\nbackout").save()
    Comment(change=change, author=alice, body="@public").save()
    Comment(change=change, author=alice, body="Between us", visibility="private").save()
    with transaction.atomic():
        ExternalReference.objects.create(change=change, system=acme, external_id="C-1001", external_status="+Open")
    IncomingOperation.objects.create(
        change=change,
        system=acme,
        user=alice,
        operation="Update",
        status="Applied",
        http_status=200,
        body_sha256="0",
        payload={},
    )
    OutgoingOperation.objects.filter(operation="Assign").update(tries=2, last_error="-refused", last_http_status=422)
    assign = OutgoingOperation.objects.get(operation="Assign")
    for number, values in enumerate(({"failure": "timeout", "error": "No answer"}, REFUSED, {"http_status": 200})):
        at = assign.created_at + timedelta(seconds=number + 1)
        assign.attempts.create(claim=number, started_at=at, duration=0.25, answer="secret answer", **values)
    return change


def test_each_file_tells_what_happened_to_the_changes_that_match(change, audrey):
    ChangeFactory(title="Another")
    query = f"?q={change.number}"
    history = exported(audrey, "history", query)
    last = [row for row in history if row["version"] == str(change.version)]
    assert [(row["user"], row["field"], row["old"], row["new"]) for row in last] == [
        ("alice", "title", "Replace core switch", "'=1+1"),
        ("alice", "owning_group", "Network", "ACME Networks"),
    ]
    moves = [(row["old"], row["new"]) for row in history if row["field"] == "phase"]
    assert moves == [("", "Log"), ("Log", "Evaluate"), ("Evaluate", "Plan"), ("Plan", "ApprovePlan")]
    (approval,) = exported(audrey, "approvals", query)
    assert (approval["user"], approval["round"], approval["decision"]) == ("carol", "1", "Denied")
    assert approval["comment"] == "'=No\nbackout"
    comments = exported(audrey, "comments", query)
    assert [(row["visibility"], row["body"]) for row in comments] == [("public", "'@public"), ("private", "Between us")]
    (reference,) = exported(audrey, "references", query)
    assert (reference["system_id"], reference["external_id"]) == ("ACME", "C-1001")
    assert reference["external_status"] == "'+Open"
    operations = exported(audrey, "operations", query)
    assert [tuple(row[name] for name in TOLD) for row in operations] == [
        ("operation", "out", "Assign", "Waiting", "422", "", "", "'-refused"),
        *ATTEMPTS,
        ("operation", "out", "Update", "Waiting", "", "", "", ""),
        ("operation", "in", "Update", "Applied", "200", "", "", ""),
    ]
    for table in TABLES:
        assert {row["number"] for row in exported(audrey, table, query)} == {change.number}


@pytest.mark.parametrize("table", TABLES)
def test_it_has_the_same_words_in_every_language_and_reads_by_portions(change, audrey, table, monkeypatch):
    answers = [
        b"".join(web(audrey).get(f"/changes/export/{table}.csv", headers={"Accept-Language": name}).streaming_content)
        for name in ("en", "de")
    ]
    assert answers[0] == answers[1]
    counts = []
    for _turn in range(2):
        with CaptureQueriesContext(connection) as asked:
            exported(audrey, table)
        counts.append(len(asked))
        for _ in range(5):
            ChangeFactory(owning_group=change.owning_group)
    assert counts[0] == counts[1]
    everything = exported(audrey, table)
    monkeypatch.setattr("changes.pages.list.export.CHANGES_AT_ONCE", 2)
    monkeypatch.setattr("changes.pages.csv_file.AT_ONCE", 1)
    by_portions = exported(audrey, table)
    assert sorted(map(repr, by_portions)) == sorted(map(repr, everything))


def test_an_unknown_file_or_filter_is_said(change, audrey):
    answer = web(audrey).get("/changes/export/passwords.csv")
    assert answer.status_code == 404
    assert "There is no such file." in text(answer)
    assert web(audrey).get("/changes/export/history.csv?phase=Nowhere")["Location"] == "/changes/?phase=Nowhere"


# --- The exchange log itself ---


def log(user, direction, **filters) -> list[dict[str, str]]:
    query = {"direction": direction, **filters} if direction == "in" else filters
    return rows_of(web(user).get("/exchange/log.csv", query), f"exchange-log-{direction}")


def told(rows) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in TOLD) for row in rows]


def test_the_log_exports_each_operation_and_its_attempts_the_newest_first(change, acme, audrey, monkeypatch):
    rows = log(audrey, "out")
    assert told(rows) == [
        ("operation", "out", "Update", "Waiting", "", "", "", ""),
        ("operation", "out", "Assign", "Waiting", "422", "", "", "'-refused"),
        *ATTEMPTS,
    ]
    assert {(row["number"], row["system_id"]) for row in rows} == {(change.number, "ACME")}
    assert len({row["operation_id"] for row in rows[1:]}) == 1
    assert not any("secret" in value.lower() for row in rows for value in row.values())
    assert log(audrey, "out", operation="Assign") == rows[1:]
    assert log(audrey, "out", status="Refused") == []
    monkeypatch.setattr("integrations.pages.log.rows.AT_ONCE", 1)
    assert log(audrey, "out") == rows


def test_the_log_exports_refused_incoming_operations_also_without_a_change(change, acme, audrey):
    values = {"user": acme.authorized_user, "body_sha256": "0", "payload": {"body": "secret"}, "status": "Failed"}
    IncomingOperation.objects.create(system=acme, http_status=400, error="+No such field.", **values)
    IncomingOperation.objects.create(system=None, http_status=403, error="Not allowed.", operation="Assign", **values)
    name = acme.authorized_user.username
    refused = [
        ("", "", name, "Assign", "Failed", "403", "Not allowed."),
        ("", "ACME", name, "", "Failed", "400", "'+No such field."),
    ]
    names = ("number", "system_id", "user", "operation", "status", "http_status", "error")
    rows = log(audrey, "in")
    assert [tuple(row[name] for name in names) for row in rows] == [
        *refused,
        (change.number, "ACME", "alice", "Update", "Applied", "200", ""),
    ]
    assert log(audrey, "in", status="Failed") == rows[:2]
    assert not any("secret" in value for row in rows for value in row.values())


def test_the_export_has_the_filters_of_the_page_and_says_a_wrong_one(change, audrey):
    page = web(audrey).get("/exchange/?status=open&after=nowhere").content.decode()
    assert 'href="/exchange/log.csv?status=open"' in page
    assert web(audrey).get("/exchange/log.csv?status=Nowhere")["Location"] == "/exchange/?status=Nowhere"


# --- Of one change, from its page ---


def test_the_page_of_a_change_leads_to_its_own_files_which_are_those_of_the_list(audrey, change, acme):
    other = ChangeFactory(title="Another", owning_group=acme.external_groups.get().group)
    page = web(audrey).get(f"/changes/{change.number}/").content.decode()
    assert f'href="/changes/{change.number}/export.csv"' in page
    whole = exported_list(audrey, f"/changes/{change.number}/export.csv", change.number)
    assert whole == [
        row for row in exported_list(audrey, "/changes/export.csv", "changes") if row["title"] != "Another"
    ]
    for table in TABLES:
        address = f"/changes/{change.number}/export/{table}.csv"
        assert f'href="{address}"' in page
        of_all = exported(audrey, table)
        own = rows_of(web(audrey).get(address), f"{change.number}-{table}")
        assert own and own == [row for row in of_all if row["number"] == change.number], table
    assert other.number in {row["number"] for row in exported(audrey, "history")}


def exported_list(user, address, name) -> list[dict[str, str]]:
    return rows_of(web(user).get(address), name)


def test_a_file_of_a_change_that_is_not_there_or_of_no_kind_is_not_found(audrey, change):
    for address in (
        "/changes/CHG9999999/export.csv",
        "/changes/CHG9999999/export/history.csv",
        f"/changes/{change.number}/export/secrets.csv",
    ):
        response = web(audrey).get(address)
        assert response.status_code == 404, address


def test_the_files_of_one_change_cost_as_many_queries_for_many_changes(audrey, change, acme):
    client, counts = web(audrey), []
    for _ in range(2):
        with CaptureQueriesContext(connection) as asked:
            list(client.get(f"/changes/{change.number}/export/operations.csv").streaming_content)
        counts.append(len(asked))
        for _ in range(5):
            ChangeFactory(owning_group=acme.external_groups.get().group)
    assert counts[0] == counts[1]
