"""The files for auditors: what happened to the changes that the filters match."""

from __future__ import annotations

import csv
import io

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


def exported(user, table, query="") -> list[dict[str, str]]:
    response = web(user).get(f"/changes/export/{table}.csv{query}")
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
    assert [(row["direction"], row["operation"], row["status"], row["error"]) for row in operations] == [
        ("out", "Assign", "Waiting", "'-refused"),
        ("out", "Update", "Waiting", ""),
        ("in", "Update", "Applied", ""),
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
