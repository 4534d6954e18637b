"""Section 5 of the rules: the outcome of each try, with a partner over real HTTP."""

import ipaddress
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.utils import timezone

from integrations.outgoing import delivery, sending
from integrations.transports.base import Request
from integrations.transports.http import HttpTransport
from tests.security.security_log import told

from ..partner import answer, hang_up, short
from .conftest import due_now, first

pytestmark = pytest.mark.django_db

OUTCOMES = {
    "Delivered": [200, 201, 202, 204, 299],
    "Waiting": [408, 425, 429, 500, 502, 503, 504, 599],
    "Refused": [300, 301, 302, 303, 304, 307, 308, 400, 402, 404, 405, 409, 411, 413, 415, 422, 451, 499],
    "Paused": [401, 403, 410],
}


@pytest.mark.any_database
@pytest.mark.parametrize(("outcome", "status"), [(name, code) for name, codes in OUTCOMES.items() for code in codes])
def test_each_status_has_its_outcome(acme, partner, change, outcome, status):
    partner.default = answer(status, None, Location="http://127.0.0.1:9/elsewhere")
    before = timezone.now()
    delivery.drain()
    operation = first()
    acme.refresh_from_db()
    assert len(partner.received) == 1
    assert operation.status == (outcome if outcome != "Paused" else "Waiting")
    attempt = operation.attempts.get()
    assert (attempt.http_status, attempt.failure) == (status, "" if outcome == "Delivered" else "status")
    assert (operation.last_failure, operation.last_http_status) == (
        attempt.failure,
        status if attempt.failure else None,
    )
    assert (acme.paused_at is not None) == (outcome == "Paused")
    if outcome == "Waiting":
        assert (operation.tries, operation.next_try_at > before) == (1, True)
    if outcome == "Paused":
        assert operation.tries == 0
        assert acme.pause_status == status
        assert told()[-1] == f"The system ACME was paused, because it answered {status}."


@pytest.mark.parametrize("fault", [hang_up, short])
def test_a_broken_connection_is_retried(partner, change, fault):
    partner.script = [fault]
    delivery.drain()
    assert (first().status, first().tries) == ("Waiting", 1)
    assert first().attempts.get().error
    assert first().attempts.get().failure == first().last_failure == "connection_broken"
    due_now()
    delivery.drain()
    assert first().status == "Delivered"


def test_a_timeout_is_retried(partner, change, settings):
    settings.DELIVERY_TIMEOUT = 0.2
    partner.script = [partner.hang]
    delivery.drain()
    assert (first().status, first().tries) == ("Waiting", 1)
    assert "within 0.2 s" in first().last_error
    assert first().last_failure == "timeout"


def test_a_partner_that_is_not_there_is_retried(acme, change, partner):
    partner.close()
    delivery.drain()
    assert (first().status, first().tries) == ("Waiting", 1)


class TestPauses:
    def test_they_grow_with_jitter_and_the_last_refuses(self, partner, change, settings):
        settings.DELIVERY_RETRY_SCHEDULE = [10, 100, 1000]
        partner.default = answer(503)
        for pause in settings.DELIVERY_RETRY_SCHEDULE:
            before = timezone.now()
            delivery.drain()
            waited = (first().next_try_at - before).total_seconds()
            assert pause * 0.8 <= waited <= pause * 1.2 + 5
            assert first().status == "Waiting"
            due_now()
        delivery.drain()
        assert (first().status, first().tries, first().attempts.count()) == ("Refused", 4, 4)

    def test_they_are_jittered(self, partner, change, settings):
        settings.DELIVERY_RETRY_SCHEDULE = [1000] * 6
        partner.default = answer(503)
        pauses = set()
        for _ in range(6):
            before = timezone.now()
            delivery.drain()
            pauses.add(round((first().next_try_at - before).total_seconds()))
            due_now()
        assert len(pauses) > 1

    @pytest.mark.any_database
    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_retry_after_is_honoured(self, partner, change, settings, form):
        settings.DELIVERY_RETRY_SCHEDULE = [5]
        before = datetime.now(UTC).replace(microsecond=0)
        asked = timedelta(seconds=600)
        text = "600" if form == "seconds" else format_datetime(before + asked, usegmt=True)
        partner.default = answer(429, None, Retry_After=text)
        delivery.drain()
        assert before <= first().next_try_at - asked <= datetime.now(UTC)

    @pytest.mark.any_database
    @pytest.mark.parametrize(
        "text",
        [
            *("soon", "-5", "1e9", "", "Wed, 99 Foo 2026"),
            "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
            "Mon, 01 Jan 2027 00:00:00 +9999999999999",
        ],
    )
    def test_one_that_cannot_be_read_leaves_our_own_pause(self, partner, change, settings, text):
        settings.DELIVERY_RETRY_SCHEDULE = [5]
        partner.default = answer(503, None, Retry_After=text)
        before = timezone.now()
        delivery.drain()
        assert (first().next_try_at - before).total_seconds() < 15

    @pytest.mark.any_database
    def test_an_absurd_one_is_cut_to_a_day(self, partner, change):
        partner.default = answer(503, None, Retry_After="999999999")
        before = timezone.now()
        delivery.drain()
        assert (first().next_try_at - before).total_seconds() < 86_400 + 15


class TestAttempts:
    def test_each_try_is_kept(self, partner, change):
        partner.script = [answer(503, b"busy"), answer(200, b"{}")]
        delivery.drain()
        due_now()
        delivery.drain()
        tries = [(row.http_status, row.answer, row.error) for row in first().attempts.all()]
        assert tries == [(503, "busy", ""), (200, "{}", "")]
        assert all(row.duration >= 0 and row.started_at for row in first().attempts.all())

    def test_of_a_long_answer_the_start_is_kept(self, partner, change):
        partner.default = answer(400, b"x" * 100_000)
        delivery.drain()
        assert len(first().attempts.get().answer) == sending.ANSWER_KEPT


@pytest.mark.any_database
def test_waiting_for_a_connection_uses_up_no_time(acme, partner):
    """There are more requests than a connection pool would hold. The time limit of each begins when it is sent."""
    partner.default = lambda handler: (time.sleep(0.3), answer(200)(handler))
    transport = HttpTransport([ipaddress.ip_network("127.0.0.0/8")])
    sent = transport.submit([Request(partner.url, {}, b"{}", 30)] * 100)
    assert {future.result(60).status for future in sent} == {200}
    transport.close()
    assert len(set(partner.clients)) == 100
