"""The status of the exchange: the command exchange_status."""

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.models import Comment
from integrations.models import DeliveryControl, ExternalSystem, OutgoingOperation
from integrations.outgoing import outbox
from integrations.standing.status import with_traffic
from tests.factories import ExternalGroupFactory, ExternalSystemFactory

from .conftest import control, fail, give, settle


def command(*arguments):
    output = StringIO()
    call_command("exchange_status", *arguments, stdout=output)
    return output.getvalue()


def in_json(system_id):
    return next(row for row in json.loads(command("--json"))["systems"] if row["system_id"] == system_id)


def moment(written):
    """Parses a time of the JSON. It must be RFC 3339 in UTC."""
    assert written.endswith("Z")
    return datetime.fromisoformat(written).astimezone(UTC)


def test_the_json_has_these_keys_for_each_system(acme, beta):
    answer = json.loads(command("--json"))
    assert set(answer) == {"at", "restored_copy", "uncollected", "systems"}
    moment(answer["at"])
    assert answer["systems"] == [
        {
            "system_id": name,
            "state": "Flowing",
            "condition": "flowing",
            "detail": f"Operations are sent to {name}.",
            "delivery": "push",
            "enabled": True,
            "paused_at": None,
            "waiting": 0,
            "oldest_waiting_at": None,
            "oldest_waiting_seconds": None,
            "in_flight": 0,
            "max_in_flight": acme.max_in_flight,
            "refused": 0,
            "breaker": {
                "state": "Closed",
                "since": None,
                "until": None,
                "cause": None,
                "reason": "",
                "consecutive_failures": 0,
            },
            "delivered_last_minute": 0,
            "delivered_per_minute": 0.0,
            "rate_limit": None,
            "last_delivered_at": None,
            "last_asked_at": None,
            "ending_tokens": [],
        }
        for name in ("ACME", "BETA")
    ]


def test_what_waits_what_is_in_flight_and_what_was_refused_are_told_apart(alice, acme, beta):
    give(acme, 1)
    settle(outbox.Outcome.REFUSED, error="refused with 422")
    change, *_ = give(acme, 2)
    assert len(outbox.claim(1)) == 1
    Comment(change=change, author=alice, body="Behind it").save()
    told = in_json("ACME")
    assert (told["waiting"], told["in_flight"], told["refused"]) == (2, 1, 1)
    assert (in_json("BETA")["waiting"], in_json("BETA")["in_flight"], in_json("BETA")["refused"]) == (0, 0, 0)


def test_the_oldest_is_the_oldest_of_those_that_wait(acme):
    give(acme, 3)
    refused, old, _ = OutgoingOperation.objects.order_by("created_at", "id")
    now = timezone.now()
    OutgoingOperation.objects.filter(pk=refused.pk).update(status="Refused", created_at=now - timedelta(days=9))
    OutgoingOperation.objects.filter(pk=old.pk).update(created_at=now - timedelta(hours=3, minutes=5))
    told = in_json("ACME")
    assert moment(told["oldest_waiting_at"]) == now - timedelta(hours=3, minutes=5)
    assert 3 * 3600 + 300 <= told["oldest_waiting_seconds"] < 3 * 3600 + 360
    assert "3 h 5 min" in command()


def test_the_rate_is_of_the_last_minute_and_of_the_last_five(acme):
    give(acme, 8)
    settle(outbox.Outcome.DELIVERED, 8)
    now = timezone.now()
    ages = [3, 10, 20, 90, 180, 240, 400, 86_400]
    for operation, age in zip(OutgoingOperation.objects.all(), ages, strict=True):
        OutgoingOperation.objects.filter(pk=operation.pk).update(settled_at=now - timedelta(seconds=age))
    told = in_json("ACME")
    assert (told["delivered_last_minute"], told["delivered_per_minute"]) == (3, 1.2)
    assert moment(told["last_delivered_at"]) == now - timedelta(seconds=3)


@pytest.mark.any_database
def test_the_limits_are_told(acme):
    acme.max_in_flight, acme.rate_limit = 4, 90
    acme.save()
    told = in_json("ACME")
    assert (told["max_in_flight"], told["rate_limit"]) == (4, 90)
    row = next(line for line in command().splitlines() if line.startswith("ACME"))
    assert "0/4" in row
    assert row.split()[-2] == "90"


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("values", "short", "detail"),
    [
        ({"enabled": False}, "Disabled", "ACME is disabled"),
        ({"paused_at": timezone.now(), "pause_status": 410}, "Paused", "no more requests"),
        ({"delivery": "pull"}, "Not tried yet", "ACME has not asked for its operations yet"),
    ],
)
def test_the_state_is_said_in_words(acme, values, short, detail):
    ExternalSystem.objects.filter(pk=acme.pk).update(**values)
    told = in_json("ACME")
    assert told["state"] == short
    assert detail in told["detail"]
    assert short in command()


@pytest.mark.any_database
def test_a_breaker_that_opened_says_why_and_until_when(acme, settings):
    fail(acme, settings)
    told = in_json("ACME")
    assert told["state"] == "Circuit breaker open"
    breaker = told["breaker"]
    assert (breaker["state"], breaker["consecutive_failures"]) == ("Open", 3)
    assert (breaker["cause"], breaker["reason"]) == ("in_a_row", "3 tries in a row failed")
    assert moment(breaker["until"]) - moment(breaker["since"]) == timedelta(seconds=settings.BREAKER_OPEN_SECONDS)
    until = control(acme).breaker_until
    assert (
        f"ACME: 3 tries in a row failed. Nothing is sent to ACME until one operation gets through as a probe. "
        f"Next try {until:%Y-%m-%d %H:%M:%S}." in command()
    )


@pytest.mark.any_database
def test_the_text_is_a_table_with_a_row_for_each_system(acme, beta):
    heads, rule, *rows = command().splitlines()[2:]
    assert heads.split("  ")[0] == "System"
    assert set(rule) == {"-", " "}
    assert [row.split()[0] for row in rows] == ["ACME", "BETA"]
    assert all(row.endswith("never") for row in rows)


@pytest.mark.any_database
def test_without_a_system_there_is_no_table(db):
    assert command().endswith("No external system is registered.\n")
    assert json.loads(command("--json"))["systems"] == []


def test_it_takes_three_queries_whatever_the_number_of_systems_and_operations(acme):
    give(acme, 2)
    counts = []
    for number in range(2):
        with CaptureQueriesContext(connection) as queries:
            command("--json")
        counts.append(len(queries))
        for name in ("C", "D", "E"):
            system = ExternalSystemFactory(system_id=f"{name}{number}")
            ExternalGroupFactory(group__name=f"{name}{number}", system=system)
            give(system, 3)
    assert counts == [3, 3]  # the systems, their tokens that end soon, and whether this is a restored copy


def test_each_number_comes_from_a_partial_index_so_that_what_was_delivered_costs_nothing(acme):
    give(acme)
    recorded = OutgoingOperation.objects.get()
    delivered = {"status": "Delivered", "is_next": False, "settled_at": timezone.now() - timedelta(days=1)}
    common = {name: getattr(recorded, name) for name in ("exchange", "change", "system", "operation", "payload")}
    times = {"created_at": recorded.created_at, "next_try_at": recorded.created_at}
    OutgoingOperation.objects.bulk_create(
        OutgoingOperation(**common, **times, **delivered, sequence=number) for number in range(2, 1000)
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE integrations_outgoingoperation")
            # For so few rows the planner would choose a sequential scan.
            cursor.execute("SET LOCAL enable_seqscan = off")
    plan = with_traffic(ExternalSystem.objects.all(), timezone.now()).explain()
    # Two partial indexes can cost the planner the same, so any of them will do.
    partial = {index.name for index in OutgoingOperation._meta.indexes if index.condition}
    used = re.findall(r"outgoing_\w+", plan)
    # The first operations of a system that has taken nothing: a few from the beginning of the index of all.
    used.remove("outgoing_of_system")
    assert {*used} <= partial
    assert len(used) == 10


def test_a_system_that_was_made_without_its_control_is_shown_too(acme):
    DeliveryControl.objects.all().delete()
    assert in_json("ACME")["breaker"]["state"] == "Closed"
