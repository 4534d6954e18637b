"""The exchange log, and the page of one operation."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.choices import Phase
from changes.models import Comment
from integrations.models import (
    IncomingOperation,
    OutgoingOperation,
)
from tests.factories import change_in
from tests.pages import text, web
from tests.rows import each_row

from .conftest import assign, came, comment, deliver, refuse

# --- The log ---


@pytest.fixture
def busy(alice, acme, beta, given):
    """Operations of both systems and directions."""
    other = change_in(Phase.PLAN, owning_group=beta.external_groups.get().group)
    deliver(assign(given))
    refuse(assign(other))
    comment(given, alice)
    came(acme, given, "Failed", error="No <b>such</b> group")
    came(beta, other, "Applied", operation="Reject")
    return {"given": given, "other": other}


def listed(response):
    """The operation and the change of each row."""
    content = response.content.decode()
    rows = re.findall(r'data-label="Operation"><a [^>]+>([^<]+)</a>.*?(CHG\d+)</a>', content, re.DOTALL)
    return sorted(rows)


@each_row(
    ("query", "expected"),
    [
        ("", [("Assign 1", "given"), ("Assign 1", "other"), ("Update 2", "given")]),
        ("system=ACME", [("Assign 1", "given"), ("Update 2", "given")]),
        ("status=Refused", [("Assign 1", "other")]),
        ("status=open", [("Assign 1", "other"), ("Update 2", "given")]),
        ("operation=Assign", [("Assign 1", "given"), ("Assign 1", "other")]),
        ("system=ACME&status=Delivered", [("Assign 1", "given")]),
        ("system=BETA&operation=Cancel", []),
        ("direction=in", [("Reject", "other"), ("Update", "given")]),
        ("direction=in&status=Failed", [("Update", "given")]),
        ("direction=in&operation=Reject", [("Reject", "other")]),
        ("direction=in&system=ACME", [("Update", "given")]),
    ],
)
def test_the_log_is_filtered_by_the_address(audrey, busy, query, expected):
    response = web(audrey).get(f"/exchange/?{query}")
    assert listed(response) == sorted((operation, busy[name].number) for operation, name in expected)


def test_the_log_of_one_change(audrey, busy):
    response = web(audrey).get(f"/exchange/?change={busy['other'].number.lower()}")
    assert listed(response) == [("Assign 1", busy["other"].number)]


@pytest.mark.parametrize("query", ["system=NOBODY", "status=Lost", "operation=Create", "direction=in&operation=Accept"])
def test_a_filter_of_the_log_that_does_not_exist_is_said(audrey, busy, query):
    response = web(audrey).get(f"/exchange/?{query}")
    assert response.status_code == 200
    assert "A filter has a value that does not exist" in text(response)
    assert listed(response) == []


def test_an_empty_log_says_what_fills_it(audrey):
    assert "Nothing was sent yet" in text(web(audrey).get("/exchange/"))
    assert "Nothing was received yet" in text(web(audrey).get("/exchange/?direction=in"))
    assert "No operation matches" in text(web(audrey).get("/exchange/?status=Refused"))


@pytest.mark.parametrize("direction", ["out", "in"])
def test_the_log_pages_and_makes_few_queries_whatever_the_number_of_rows(ingrid, alice, acme, given, direction):
    client = web(ingrid)
    comment(given, alice)
    came(acme, given)
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            response = client.get(f"/exchange/?direction={direction}")
        counts.append(len(queries))
        comment(given, alice, 31)
        for _ in range(31):
            came(acme, given)
    assert counts[0] == counts[1]
    assert counts[0] <= 8
    assert response.content.decode().count('data-label="Operation"') == 30
    assert f'rel="next" href="/exchange/?direction={direction}&amp;after=' in response.content.decode()


# --- One operation ---


def test_the_page_of_an_outgoing_operation_shows_payload_and_attempts(audrey, busy):
    operation = assign(busy["other"])
    response = web(audrey).get(f"/exchange/{operation.pk}/")
    said = text(response)
    assert "Assign 1 to BETA Result Refused" in said
    assert "Refused with 422. It will not be retried automatically." in said
    assert "0.25 s 422" in said
    assert '{"detail": "no <b>markup</b>"}' in said
    assert "<b>markup" not in response.content.decode()
    assert f'"number": "{busy["other"].number}"' in said
    assert f'"id": "{operation.pk}"' in said
    assert "Retry now" not in said


def test_an_operation_that_was_caused_by_a_partner_leads_there(audrey, acme, beta, given):
    cause = came(beta, given)
    OutgoingOperation.objects.update(cause=cause)
    operation = assign(given)
    content = web(audrey).get(f"/exchange/{operation.pk}/").content.decode()
    assert f'<a href="/exchange/{cause.pk}/">Update from BETA</a>' in content
    content = web(audrey).get(f"/exchange/{cause.pk}/").content.decode()
    assert f'<a href="/exchange/{operation.pk}/">Assign 1 to ACME</a>' in content


def test_the_page_of_a_failed_incoming_operation_says_who_what_and_why(audrey, acme, given):
    operation = came(acme, given, "Failed", error="No <b>such</b> group", idempotency_key="key-1")
    response = web(audrey).get(f"/exchange/{operation.pk}/")
    said = text(response)
    assert "Update from ACME Refused" in said
    assert "No <b>such</b> group" in said
    assert "Nothing was saved." in said
    assert "ACME, acting as acme-integration" in said
    assert "Answered 409" in said
    assert "key-1" in said
    assert '"title": "<script>alert(1)</script>"' in said
    assert "<script>" not in response.content.decode()


def test_an_incoming_operation_that_could_not_be_read_has_a_page_too(audrey, acme):
    operation = came(acme, None, "Failed", operation="", error="Not JSON")
    IncomingOperation.objects.update(system=None, payload={})
    said = text(web(audrey).get(f"/exchange/{operation.pk}/"))
    assert "Unreadable operation from acme-integration" in said
    assert "Unreadable" in text(web(audrey).get("/exchange/?direction=in"))


def test_what_was_answered_is_shown(audrey, acme, given):
    operation = came(acme, given, result={"status": "Applied", "change": {"number": given.number}})
    said = text(web(audrey).get(f"/exchange/{operation.pk}/"))
    assert "Response" in said
    assert '"status": "Applied"' in said


@pytest.mark.parametrize("path", ["0199f3c0-0000-7000-8000-000000000000", "nonsense"])
def test_an_unknown_operation_answers_404(audrey, path):
    assert web(audrey).get(f"/exchange/{path}/").status_code == 404


def test_a_private_comment_is_in_no_payload_that_the_pages_show(audrey, alice, given):
    Comment(change=given, author=alice, body="Between us", visibility="private").save()
    client = web(audrey)
    for operation in given.outgoing_operations.all():
        assert "Between us" not in text(client.get(f"/exchange/{operation.pk}/"))
