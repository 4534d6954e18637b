"""What Prometheus reads: the state of the exchange, and what the processes count. tests/e2e/ has more processes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from integrations.models import ConnectionPoll, DeliveryControl, OutgoingOperation
from integrations.outgoing import delivery
from integrations.watch import figures
from integrations.workers import signs
from tests.factories import ExternalSystemFactory
from tests.mapped import mapped_system
from tests.pages import web

from ..partner import answer, hang_up
from .prometheus import TOKEN, grown, named, scraped

# --- The state of the exchange ---

# What is true of ACME, and the figures then. Two changes were given to it, each with a comment: four operations.
STATES = [
    ({}, {"waiting": 4, "sending": 0, "refused": 0}),
    ({"Sending": 1}, {"waiting": 3, "sending": 1, "refused": 0}),
    ({"Sending": 1, "Refused": 1}, {"waiting": 2, "sending": 1, "refused": 1}),
    ({"Delivered": 2, "Refused": 1}, {"waiting": 1, "sending": 0, "refused": 1}),
    ({"Delivered": 4}, {"waiting": 0, "sending": 0, "refused": 0}),
]


def test_operations_are_counted_by_system_and_state(watched, acme, beta, give):
    give(acme, 2)
    for states, expected in STATES:
        keys = [*OutgoingOperation.objects.order_by("id").values_list("pk", flat=True)]
        OutgoingOperation.objects.update(status="Waiting")
        for state, count in states.items():
            taken, keys = keys[:count], keys[count:]
            OutgoingOperation.objects.filter(pk__in=taken).update(status=state)
        found = scraped()
        assert {state: found[named("operations", system="ACME", state=state)] for state in expected} == expected
        assert found[named("operations", system="BETA", state="waiting")] == 0


def test_the_age_of_what_waits_the_breaker_and_the_condition(watched, acme, give):
    oldest = named("oldest_waiting_seconds", system="ACME")
    breaker = {state: named("breaker", system="ACME", state=state) for state in ("Closed", "Open", "HalfOpen")}
    before = scraped()
    assert before[oldest] == 0
    assert [before[name] for name in breaker.values()] == [1, 0, 0]
    give(acme)
    OutgoingOperation.objects.filter(sequence=1).update(created_at=timezone.now() - timedelta(seconds=100))
    DeliveryControl.objects.filter(system=acme).update(breaker="Open", breaker_opened_at=timezone.now())
    after = scraped()
    assert 99 < after[oldest] < 110
    assert [after[name] for name in breaker.values()] == [0, 1, 0]
    assert after[named("system_condition", system="ACME", condition="held")] == 1


# The row of a poll, by seconds from now, and the lag.
POLLS = [
    ({"due_at": 30}, 0),
    ({"due_at": -40}, 40),
    ({"due_at": 30, "failing_since": -600}, 600),
]


def test_a_poll_that_is_late_or_fails_has_a_lag(watched):
    system = mapped_system("OMEGA", "OMEGA Desk")
    ExternalSystemFactory(system_id="GAMMA", delivery="pull")
    for fields, lag in POLLS:
        times = {name: timezone.now() + timedelta(seconds=seconds) for name, seconds in fields.items()}
        values = {"failing_since": None, "failures": 3 if "failing_since" in fields else 0, **times}
        ConnectionPoll.objects.filter(system=system).update(**values)
        found = scraped()
        assert found[named("poll_lag_seconds", system="OMEGA")] == pytest.approx(lag, abs=10), fields
        assert found[named("poll_failures", system="OMEGA")] == values["failures"]
        assert named("poll_lag_seconds", system="GAMMA") not in found
    system.enabled = False
    system.save()
    assert named("poll_lag_seconds", system="OMEGA") not in scraped()


def test_signs_of_life_the_checks_and_the_queues(watched):
    signs._left.clear()
    signs.leave(signs.BEAT)
    found = scraped()
    assert 0 <= found[named("last_sign_of_life_seconds", role="beat")] < 30
    assert found[named("ready", check="beat")] == found[named("ready", check="database")] == 1
    assert found[named("ready", check="worker_delivery")] == 0
    assert found[named("broker_messages", queue="delivery")] >= 0


def test_all_systems_take_two_queries(watched, acme, beta, give, django_assert_num_queries):
    give(acme, 3)
    with django_assert_num_queries(2):  # the systems, and whether this is a restored copy
        figures._look()


# --- What is counted ---


def test_each_try_and_each_end_is_counted_by_system_and_result(watched, settings, acme, partner, give):
    settings.DELIVERY_RETRY_SCHEDULE = [600.0]
    give(acme, 3)  # one is sent of each change at first
    partner.script = [answer(200), answer(422), answer(503)]
    partner.default = answer(200)
    before = scraped()
    delivery.drain()
    after = scraped()
    tries = {
        result: grown(before, after, "attempt_seconds_count", system="ACME", result=result)
        for result in ("delivered", "refused", "retry", "pause")
    }
    # The comment behind the delivered one went as well.
    assert tries == {"delivered": 2, "refused": 1, "retry": 1, "pause": 0}
    ends = {
        result: grown(before, after, "delivery_seconds_count", system="ACME", result=result)
        for result in ("delivered", "refused", "retry")
    }
    assert ends == {"delivered": 2, "refused": 1, "retry": 0}
    assert after[named("delivery_seconds_bucket", system="ACME", result="delivered", le="60.0")] >= 2


def test_a_try_without_an_answer_is_counted(watched, settings, acme, partner, give):
    settings.DELIVERY_RETRY_SCHEDULE = [600.0]
    give(acme)
    partner.script = [hang_up]
    before = scraped()
    delivery.drain()
    assert grown(before, scraped(), "attempt_seconds_count", system="ACME", result="retry") == 1


# What ACME sends, with its Idempotency-Key, and what is counted.
_CREATE = {"system_id": "ACME", "operation": "Create", "external_id": "A-1", "properties": {"title": "Printer"}}
SENT = [
    (_CREATE, "1", "applied"),
    (_CREATE, "1", "repeated"),
    ({**_CREATE, "origin": {"system_id": "ACME", "operation_id": "{ours}"}}, "2", "ignored"),
    ({**_CREATE, "external_id": 7}, "3", "refused"),
    ({"system_id": "NOBODY"}, "4", "refused"),
    ({"system_id": "ACME", "operation": "Update", "external_id": "A-1"}, "5", "applied"),
]


def test_incoming_operations_are_counted_by_result(watched, acme, give, partner_api):
    ours = str(give(acme).first().pk)
    client = partner_api(acme)
    for body, key, result in SENT:
        if "origin" in body:
            body = {**body, "origin": {**body["origin"], "operation_id": ours}}
        before = scraped()
        response = client.post("/api/v1/operations/", body, format="json", headers={"idempotency-key": key})
        count = grown(before, scraped(), "incoming_operations_total", system="ACME", result=result)
        assert count == 1, (body, response.json())


@pytest.mark.any_database
def test_requests_are_counted_by_view_and_status(watched, alice):
    client = web(alice)
    before = scraped()
    client.get("/changes/")
    client.get("/changes/CHG9999999/")
    for made_up in ("/nothing/1", "/nothing/2"):
        client.get(made_up)
    Client().get("/healthz")
    after = scraped()
    rows = [("changes:list", "200", 1), ("changes:detail", "404", 1), ("none", "404", 2)]
    for view, status, count in rows:
        assert grown(before, after, "requests_total", view=view, status=status) == count, view
    assert grown(before, after, "request_seconds_count", view="changes:list") == 1
    views = {name for name in after if name.startswith("casexchange_requests_total")}
    assert not [name for name in views if "nothing" in name or "healthz" in name]


# --- Who may read them ---

# METRICS_TOKEN, what is sent, the status
CALLERS = [
    ("", "", 404),
    ("", "Bearer ", 404),
    (TOKEN, "", 401),
    (TOKEN, "Bearer wrong", 401),
    (TOKEN, f"Basic {TOKEN}", 401),
    (TOKEN, f"Bearer {TOKEN}", 200),
]


@pytest.mark.any_database
def test_the_figures_are_for_who_has_the_token(watched, settings, acme):
    for token, sent, status in CALLERS:
        settings.METRICS_TOKEN = token
        headers = {"authorization": sent} if sent else {}
        response = Client().get("/metrics", headers=headers)
        assert response.status_code == status, (token, sent)
        assert (b"ACME" in response.content) == (status == 200)
