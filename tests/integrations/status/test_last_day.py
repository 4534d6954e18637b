"""The last day of each system on the status page: deliveries and failures by hour, and how long deliveries take."""

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.models import DeliveryAttempt, DeliveryControl, OutgoingOperation
from integrations.standing import last_day
from tests.factories import ExternalGroupFactory
from tests.pages import text, web
from tests.rows import each_row

from .conftest import STATUS, give

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _amid_an_hour(time_machine):
    """What is counted by the hour stays in its hour."""
    time_machine.move_to(timezone.now().replace(minute=30), tick=True)


def delivered(system, ages, took=2.0):
    """Operations that were delivered so long ago, each `took` seconds after it was recorded."""
    changes = give(system, len(ages))
    for change, age in zip(changes, ages, strict=True):
        settled = timezone.now() - age
        change.outgoing_operations.update(
            status="Delivered", is_next=False, settled_at=settled, created_at=settled - timedelta(seconds=took)
        )


def failed(system, ages, failure="timeout"):
    (change,) = give(system)
    operation = change.outgoing_operations.get()
    for age in ages:
        DeliveryAttempt.objects.create(
            operation=operation, claim=1, started_at=timezone.now() - age, duration=0.1, failure=failure
        )


def row_of(person, system_id):
    page = web(person).get(STATUS)
    found = re.search(rf"<strong>{system_id}</strong>.*?</tr>", page.content.decode(), re.DOTALL)
    return found[0], re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0]))


def test_a_system_shows_what_it_took_and_what_failed(alice, acme, beta):
    delivered(acme, [HOUR] * 3 + [5 * HOUR, 30 * HOUR])
    failed(acme, [HOUR, 2 * HOUR, 40 * HOUR])
    failed(acme, [HOUR], failure="unusable_answer")  # it was delivered
    source, said = row_of(alice, "ACME")
    assert "4 delivered" in said
    assert "2 failed (33.3 %)" in said
    assert "p50 2.00 s , p95 2.00 s" in said
    assert 'aria-label="ACME, the last 24 hours by hour: delivered 4, failed tries 2"' in source
    assert (source.count('class="delivered"'), source.count('class="failed"')) == (2, 2)
    assert "Nothing sent" in row_of(alice, "BETA")[1]


def test_half_and_most_are_of_the_latest_deliveries(alice, acme, monkeypatch):
    monkeypatch.setattr(last_day, "SAMPLED", 10)
    delivered(acme, [6 * HOUR] * 5, took=3600)  # longer ago than the latest ten
    delivered(acme, [HOUR] * 9, took=1)
    delivered(acme, [HOUR / 2], took=9)
    assert "p50 1.00 s , p95 9.00 s" in row_of(alice, "ACME")[1]


@each_row(
    ("delivery", "has_asked", "why", "pings"),
    [
        ("push", False, "ACME has not taken an operation yet. A test operation shows whether it can.", True),
        ("pull", False, "ACME has not asked for its operations yet.", False),
        ("pull", True, "ACME asks for its operations, but has not had one yet.", False),
        ("smax", True, "ACME asks for its operations, but has not had one yet.", False),
    ],
)
def test_a_system_that_was_never_tried_says_so_and_leads_to_a_try(alice, ingrid, acme, delivery, has_asked, why, pings):
    acme.delivery = delivery
    acme.save()
    asked = timezone.now() if has_asked else None
    DeliveryControl.objects.filter(system=acme).update(first_delivered_at=None, asked_at=asked)
    for person, may in ((alice, False), (ingrid, True)):
        for address in ("/", STATUS):
            page = web(person).get(address)
            assert "Not tried yet" in text(page)
            assert why in text(page)
            content = page.content.decode()
            assert ("/exchange/status/ACME/test/" in content) is may, address
            assert ("/exchange/systems/ACME/ping/" in content) is (may and (pings or address == STATUS)), address
        desk = text(web(person).get("/"))
        assert "Not tried yet: no external system has taken an operation." in desk
        assert "Nothing is stuck" not in desk
    DeliveryControl.objects.filter(system=acme).update(first_delivered_at=timezone.now(), asked_at=timezone.now())
    assert "Nothing is stuck" in text(web(ingrid).get("/"))
    assert "/exchange/status/ACME/test/" not in web(ingrid).get("/").content.decode()


@pytest.mark.parametrize("more", [1, 12])
def test_it_takes_four_queries_for_any_number_of_systems(alice, acme, more):
    systems = [ExternalGroupFactory(system__system_id=f"S{number}").system for number in range(more)]
    for system in systems:
        delivered(system, [HOUR])
    client = web(alice)
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            client.get(STATUS)
        counts.append(len(queries))
    cache.clear()
    cache.set("restored_copy", [None])
    with CaptureQueriesContext(connection) as queries:
        client.get(STATUS)
    assert len(queries) == counts[1] + 4  # otherwise the numbers of half a minute ago are shown
    assert OutgoingOperation.objects.count() == more
