"""One id leads from a request to all that it causes: the log, the operations, the partner, and back."""

from __future__ import annotations

import logging
import re

import pytest
from django.db import transaction
from django.test import Client

from changes.models import BulkJob, Change
from integrations.connections import polling
from integrations.models import ConnectionPoll, IncomingOperation, OutgoingOperation
from integrations.outgoing import delivery
from tests.changes.bulk.conftest import done
from tests.factories import ChangeFactory
from tests.integrations.connections.conftest import connect, document_of
from tests.integrations.connections.desk import TicketDesk
from tests.integrations.connections.test_polling import POLL, news
from tests.pages import posted, text, web

from ..partner import answer

pytestmark = pytest.mark.django_db(transaction=True)

OURS = re.compile(r"[0-9a-f]{32}")
GIVEN = "proxy-7c1f.0042"


@pytest.fixture
def lines(caplog) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="casexchange")
    caplog.set_level(logging.INFO, logger="casexchange.attempts.delivered")
    return caplog


def of(lines: pytest.LogCaptureFixture, logger: str) -> list[logging.LogRecord]:
    return [line for line in lines.records if line.name == logger]


# What a caller sends as X-Request-ID, and whether it is taken.
IDS = [
    (GIVEN, True),
    ("0190f0f0f0f07000b00000000000000a", True),
    ("a" * 64, True),
    ("a" * 65, False),
    ("short", False),
    ("", False),
    ("-begins-with-a-hyphen", False),
    ("two words or more", False),
    ("a" * 8 + "\x0b2026-01-01 ERROR", False),
    ("[operation_id=1]", False),
    ("größer-als-sonst", False),
]


def test_an_id_is_taken_only_if_it_can_upset_no_log_and_is_answered(alice):
    for given, is_taken in IDS:
        response = web(alice).get("/changes/", headers={"x-request-id": given})
        answered = response["X-Request-ID"]
        assert (answered == given) == is_taken, given
        assert is_taken or OURS.fullmatch(answered), given
    first, second = (Client().get("/accounts/login/")["X-Request-ID"] for _ in range(2))
    assert first != second
    assert OURS.fullmatch(first)


def test_a_save_on_a_page_leads_to_the_operation_the_attempts_and_the_partner(alice, acme, partner, lines):
    change = ChangeFactory(requested_by=alice)
    data = posted(change, owning_group=acme.external_groups.get().group.pk)
    response = web(alice).post(f"/changes/{change.number}/edit/", data, headers={"x-request-id": GIVEN})
    assert response.status_code == 302, text(response)
    operation = OutgoingOperation.objects.get()
    assert (response["X-Request-ID"], operation.request_id) == (GIVEN, GIVEN)
    (line,) = of(lines, "casexchange.requests")
    assert line.operations == [str(operation.pk)]
    assert line.getMessage().startswith("POST changes:edit 302 in ")
    assert line.getMessage().endswith(f", {change.number}, recorded 1: {operation.pk}")

    partner.script = [answer(503), answer(200)]
    delivery.drain()
    OutgoingOperation.objects.update(next_try_at=operation.created_at)
    delivery.drain()
    assert [headers["X-Request-ID"] for headers, _, _ in partner.received] == [GIVEN, GIVEN]
    failed, delivered = of(lines, "casexchange.attempts") + of(lines, "casexchange.attempts.delivered")
    told = [(line.request_id, line.operation_id, line.attempt, line.result) for line in (failed, delivered)]
    key = str(operation.pk)
    assert told == [(GIVEN, key, 1, "retry"), (GIVEN, key, 2, "delivered")]
    assert failed.getMessage().startswith("Assign 1 to ACME: retry 503, status in ")

    page = web(alice).get(f"/exchange/{operation.pk}/")
    assert f"Request id {GIVEN}" in text(page)


def test_a_partners_id_is_kept_and_answered_and_goes_on_with_what_it_causes(acme, beta, partner_api, alice):
    body = {
        "system_id": "ACME",
        "operation": "Create",
        "external_id": "A-1",
        "properties": {"title": "Printer", "owning_group": "BETA Servers"},
    }
    for given, status in (({"x-request-id": GIVEN}, 201), ({"x-request-id": "partner-2-refused"}, 400)):
        response = partner_api(acme).post("/api/v1/operations/", body, format="json", headers=given)
        body = {**body, "external_id": 7}
        assert (response.status_code, response["X-Request-ID"]) == (status, given["x-request-id"]), response.json()
    applied, refused = IncomingOperation.objects.order_by("received_at", "id")
    assert (applied.request_id, refused.request_id) == (GIVEN, "partner-2-refused")
    assert {*applied.caused.values_list("system__system_id", "request_id")} == {("BETA", GIVEN)}
    assert f"Request id {GIVEN}" in text(web(alice).get(f"/exchange/{applied.pk}/"))


def test_what_a_bulk_job_sends_has_the_id_of_the_request_that_started_it(carol, acme):
    changes = [ChangeFactory(owning_group=acme.external_groups.get().group) for _ in range(2)]
    OutgoingOperation.objects.all().delete()
    done(web(carol), "comment", changes, body="Hello", visibility="public")
    started = BulkJob.objects.get().request_id
    assert OURS.fullmatch(started)
    assert [*OutgoingOperation.objects.values_list("request_id", flat=True)] == [started, started]


def test_a_poll_is_a_cause_of_its_own_and_tells_the_partner_so(acme, beta):
    desk = TicketDesk()
    try:
        connect(acme, document_of(desk, more=POLL), API_KEY="a-secret-key-9")
        news(desk, "T-1", title="Printer")
        ConnectionPoll.objects.update(claimed_until=None)
        polling.poll_due()
    finally:
        desk.close()
    taken = IncomingOperation.objects.get()
    assert OURS.fullmatch(taken.request_id)
    assert {call.headers["x-request-id"] for call in desk.received} == {taken.request_id}


def test_what_was_rolled_back_is_not_named(alice, acme, lines):
    """As a page that meets a refusal after its save."""
    from changes import work

    request = work.RequestWork("a-request-of-a-test")
    with work.working_on(request), pytest.raises(ZeroDivisionError), transaction.atomic():
        ChangeFactory(owning_group=acme.external_groups.get().group)
        raise ZeroDivisionError
    assert (request.operations, Change.objects.count()) == ([], 0)


def test_an_operation_without_a_request_has_none(acme, partner, alice):
    ChangeFactory(owning_group=acme.external_groups.get().group)
    operation = OutgoingOperation.objects.get()
    delivery.drain()
    assert operation.request_id == ""
    assert "X-Request-ID" not in partner.received[0][0]
    assert "Request id" not in text(web(alice).get(f"/exchange/{operation.pk}/"))


def test_an_error_page_shows_it(alice, monkeypatch):
    client = web(alice)
    client.raise_request_exception = False
    for address, status in (("/changes/CHG9999999/", 404), ("/nothing/", 404), ("/calendar/", 500)):
        if status == 500:
            monkeypatch.setattr("changes.pages.calendar.views.CalendarPage.get", lambda *args, **kwargs: 1 / 0)
        response = client.get(address, headers={"x-request-id": GIVEN})
        assert (response.status_code, response["X-Request-ID"]) == (status, GIVEN)
        assert f"Request id: {GIVEN}" in text(response), address


def test_no_line_has_what_somebody_looked_for_or_a_link_that_resets_a_password(alice, lines):
    client = web(alice)
    client.get("/changes/?q=Mister+Miller")
    client.get("/accounts/password/reset/1-set-password/?token=s3cret")
    client.get("/healthz")
    client.get("/static/changes/app.css")
    told = [line.getMessage() + str(vars(line)) for line in of(lines, "casexchange.requests")]
    assert len(told) == 2
    assert not [line for line in told for word in ("Miller", "s3cret", "1-set-password", "alice") if word in line]
