"""How the exchange with each system stands: the command, the page, and the circuit breaker by hand."""

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.models import Comment
from integrations.choices import Breaker
from integrations.models import DeliveryAttempt, DeliveryControl, ExternalSystem, OutgoingOperation
from integrations.outgoing import outbox
from integrations.standing.status import with_traffic
from tests.factories import ChangeFactory, ExternalGroupFactory, ExternalSystemFactory
from tests.html_forms import messages, post_form
from tests.pages import text, web

STATUS = "/exchange/status/"
OPEN, CLOSE = f"{STATUS}ACME/open/", f"{STATUS}ACME/close/"


@pytest.fixture
def people(alice, carol, ingrid, audrey):
    return {"alice": alice, "carol": carol, "ingrid": ingrid, "audrey": audrey}


def give(system, count=1):
    """Gives new changes to a system: an Assign for each."""
    group = system.external_groups.first().group
    return [ChangeFactory(owning_group=group) for _ in range(count)]


def settle(outcome, count=1, error=""):
    """A worker claims what is due, and this becomes of it."""
    results = []
    for operation in outbox.claim(count):
        attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.1)
        results.append(outbox.Result(operation, attempt, outcome, error))
    assert len(results) == count
    outbox.settle(results)


def fail(system, settings, count=3):
    """So often in a row that the circuit breaker opens."""
    settings.BREAKER_FAILURES = count
    give(system, count)
    settle(outbox.Outcome.RETRY, count, "answered 503")


def control(system):
    return DeliveryControl.objects.get(system=system)


def command(*arguments):
    output = StringIO()
    call_command("exchange_status", *arguments, stdout=output)
    return output.getvalue()


def in_json(system_id):
    return next(row for row in json.loads(command("--json"))["systems"] if row["system_id"] == system_id)


def moment(written):
    """A time of the JSON, which must be RFC 3339 in UTC."""
    assert written.endswith("Z")
    return datetime.fromisoformat(written).astimezone(UTC)


# --- The command ---


def test_the_json_has_these_keys_for_each_system(acme, beta):
    answer = json.loads(command("--json"))
    assert set(answer) == {"at", "systems"}
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
    ages = [3, 20, 30, 90, 200, 290, 400, 86_400]
    for operation, age in zip(OutgoingOperation.objects.all(), ages, strict=True):
        OutgoingOperation.objects.filter(pk=operation.pk).update(settled_at=now - timedelta(seconds=age))
    told = in_json("ACME")
    assert (told["delivered_last_minute"], told["delivered_per_minute"]) == (3, 1.2)
    assert moment(told["last_delivered_at"]) == now - timedelta(seconds=3)


def test_the_limits_are_told(acme):
    acme.max_in_flight, acme.rate_limit = 4, 90
    acme.save()
    told = in_json("ACME")
    assert (told["max_in_flight"], told["rate_limit"]) == (4, 90)
    row = next(line for line in command().splitlines() if line.startswith("ACME"))
    assert "0/4" in row
    assert row.split()[-2] == "90"


@pytest.mark.parametrize(
    ("values", "short", "detail"),
    [
        ({"enabled": False}, "Disabled", "ACME is disabled"),
        ({"paused_at": timezone.now(), "pause_status": 410}, "Paused", "no more calls"),
        ({"delivery": "pull"}, "Collects", "ACME collects its operations itself"),
    ],
)
def test_the_state_is_said_in_words(acme, values, short, detail):
    ExternalSystem.objects.filter(pk=acme.pk).update(**values)
    told = in_json("ACME")
    assert told["state"] == short
    assert detail in told["detail"]
    assert short in command()


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


def test_the_text_is_a_table_with_a_row_for_each_system(acme, beta):
    heads, rule, *rows = command().splitlines()[2:]
    assert heads.split("  ")[0] == "System"
    assert set(rule) == {"-", " "}
    assert [row.split()[0] for row in rows] == ["ACME", "BETA"]
    assert all(row.endswith("never") for row in rows)


def test_without_a_system_there_is_no_table(db):
    assert command().endswith("No external system is registered.\n")
    assert json.loads(command("--json"))["systems"] == []


def test_it_takes_one_query_whatever_the_number_of_systems_and_operations(acme):
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
    assert counts == [1, 1]


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
            # So few rows it would rather read one after the other.
            cursor.execute("SET LOCAL enable_seqscan = off")
    plan = with_traffic(ExternalSystem.objects.all(), timezone.now()).explain()
    used = re.findall(r"outgoing_\w+", plan)
    possible = {
        "outgoing_open_of_system",
        "outgoing_next",
        "outgoing_refused",
        "outgoing_sending",
        "outgoing_delivered",
    }
    assert {*used} <= possible
    assert len(used) == 8


def test_a_system_that_was_made_without_its_control_is_shown_too(acme):
    DeliveryControl.objects.all().delete()
    assert in_json("ACME")["breaker"]["state"] == "Closed"


# --- The page ---


def test_all_staff_see_the_page_and_only_administrators_may_do_something_there(people, acme, settings):
    fail(acme, settings)
    for name, person in people.items():
        response = web(person).get(STATUS)
        assert response.status_code == 200
        content = response.content.decode()
        may = name == "ingrid"
        assert (OPEN in content) is may
        assert (CLOSE in content) is may
        assert (f"/admin/integrations/externalsystem/{acme.pk}/change/" in content) is may


def test_strangers_and_partners_do_not_see_the_page(acme):
    assert web().get(STATUS).status_code == 302
    for address in (STATUS, OPEN, CLOSE):
        assert web(acme.authorized_user).get(address).status_code == 403


def test_the_page_says_the_numbers_in_words(alice, acme, beta):
    acme.max_in_flight, acme.rate_limit, acme.description = 4, 600, "ACME's desk"
    acme.save()
    give(acme, 5)
    settle(outbox.Outcome.DELIVERED, 2)
    settle(outbox.Outcome.REFUSED, 1, "refused with 422")
    outbox.claim(1)
    said = text(web(alice).get(STATUS))
    assert "ACME ACME's desk Flowing 1 oldest just now 1 of 4 1 last just now 2 in the last minute 0.4" in said
    assert "limit 600 a minute" in said
    assert f"BETA Flowing 0 0 of {beta.max_in_flight} 0 none yet 0 in the last minute 0 a minute" in said
    assert "over five minutes Closed" in said


def test_the_health_is_told_in_one_word_with_its_time_and_its_reason(alice, acme, beta):
    now = timezone.now()

    def said():
        return text(web(alice).get(STATUS))

    give(acme)
    OutgoingOperation.objects.update(next_try_at=now - timedelta(minutes=3))
    late = "Slow since 3 minutes ago Operations have been due for a while, and no worker has taken them."
    assert late in said()
    OutgoingOperation.objects.update(next_try_at=now + timedelta(minutes=3), tries=2)
    DeliveryControl.objects.filter(system=acme).update(consecutive_failures=2)
    assert "Failing The latest 2 tries failed; they are repeated." in said()
    opened = {"breaker": Breaker.OPEN, "breaker_opened_at": now - timedelta(minutes=5), "breaker_reason": "it failed"}
    DeliveryControl.objects.filter(system=acme).update(**opened, breaker_until=now + timedelta(minutes=5))
    assert (
        "Circuit breaker open since 5 minutes ago It failed. Nothing is sent to ACME until one operation gets through"
        in said()
    )
    DeliveryControl.objects.filter(system=acme).update(breaker_until=None)
    by_hand = (
        "Circuit breaker opened by hand since 5 minutes ago Somebody opened the circuit breaker of ACME: It failed."
    )
    assert by_hand in said()
    DeliveryControl.objects.filter(system=acme).update(breaker=Breaker.CLOSED)
    ExternalSystem.objects.filter(pk=acme.pk).update(paused_at=now - timedelta(hours=2), pause_status=410)
    assert "Paused since 2 hours ago Sending is paused: ACME wants no more calls at this address (410)." in said()
    ExternalSystem.objects.filter(pk=acme.pk).update(enabled=False)
    assert "Disabled ACME is disabled" in said()


def test_one_that_collects_is_slow_once_it_has_not_for_an_hour(alice, acme):
    give(acme)
    ExternalSystem.objects.update(delivery="pull")
    assert "Collects ACME collects its operations itself." in text(web(alice).get(STATUS))
    OutgoingOperation.objects.update(created_at=timezone.now() - timedelta(hours=2))
    said = text(web(alice).get(STATUS))
    assert "Not collected since 2 hours ago ACME has not collected its operations for a while." in said


def test_the_numbers_lead_to_the_operations(alice, acme):
    give(acme, 2)
    settle(outbox.Outcome.REFUSED, 1, "refused with 422")
    client = web(alice)
    content = client.get(STATUS).content.decode()
    for status in ("Waiting", "Refused"):
        assert f'href="/exchange/?system=ACME&amp;status={status}"' in content
        log = client.get(f"/exchange/?system=ACME&status={status}").content.decode()
        assert len({*re.findall(r"/exchange/[0-9a-f-]{36}/", log)}) == 1


def test_the_exchange_log_and_the_status_lead_to_each_other(alice, acme):
    client = web(alice)
    assert f'href="{STATUS}"' in client.get("/exchange/").content.decode()
    assert f'href="{STATUS}"' in client.get("/exchange/?direction=in").content.decode()
    assert 'href="/exchange/"' in client.get(STATUS).content.decode()


def test_without_a_system_the_page_says_what_fills_it(alice, ingrid):
    assert "No external system is registered" in text(web(alice).get(STATUS))
    assert "Add an external system" not in text(web(alice).get(STATUS))
    assert "Add an external system" in text(web(ingrid).get(STATUS))


def test_a_system_that_collects_has_no_breaker(ingrid, acme):
    ExternalSystem.objects.update(delivery="pull")
    response = web(ingrid).get(STATUS)
    assert "ACME collects its operations itself." in text(response)
    assert OPEN not in response.content.decode()


def test_the_page_takes_the_same_number_of_queries_for_few_and_for_many(ingrid, acme):
    client = web(ingrid)
    counts = []
    for number in range(2):
        with CaptureQueriesContext(connection) as queries:
            client.get(STATUS)
        counts.append(len(queries))
        for name in ("C", "D", "E"):
            ExternalSystemFactory(system_id=f"{name}{number}")
    assert counts[0] == counts[1]


def test_what_people_typed_is_no_markup(ingrid, acme):
    evil = "<script>alert(1)</script>"
    ExternalSystem.objects.update(description=evil)
    post_form(web(ingrid), OPEN, reason=evil)
    assert evil not in web(ingrid).get(STATUS).content.decode()


# --- The circuit breaker by hand ---


def test_it_is_opened_with_a_reason_and_then_nothing_is_sent(ingrid, acme, beta):
    give(acme, 2)
    give(beta)
    client = web(ingrid)
    assert "Waiting now: 2." in text(client.get(OPEN))
    response = post_form(client, OPEN, reason="ACME moves its desk", follow=True)
    assert response.redirect_chain[-1][0] == STATUS
    assert messages(response) == ["The circuit breaker of ACME is open: nothing is sent until it is closed."]
    assert "Somebody opened the circuit breaker of ACME: ACME moves its desk (ingrid)." in text(response)
    assert [operation.system for operation in outbox.claim(10)] == [beta]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (ingrid, str(acme.pk))
    assert entry.change_message == "Opened the circuit breaker. Reason: ACME moves its desk"


def test_it_is_closed_and_what_waited_is_sent_with_all_its_tries(
    ingrid, acme, settings, django_capture_on_commit_callbacks
):
    fail(acme, settings)
    give(acme)
    client = web(ingrid)
    with django_capture_on_commit_callbacks() as woken:
        response = client.post(CLOSE, follow=True)
    assert woken
    assert messages(response) == ["The circuit breaker of ACME is closed: what is due is sent now."]
    assert (control(acme).breaker, control(acme).consecutive_failures) == (Breaker.CLOSED, 0)
    assert [operation.tries for operation in outbox.claim(10)] == [0]
    assert LogEntry.objects.get().change_message == "Closed the circuit breaker."


def test_one_that_opened_by_itself_may_be_kept_open(ingrid, acme, settings):
    fail(acme, settings)
    client = web(ingrid)
    assert "Keep the circuit breaker of ACME open?" in text(client.get(OPEN))
    post_form(client, OPEN, reason="Down until Monday")
    assert (control(acme).breaker, control(acme).breaker_until) == (Breaker.OPEN, None)
    content = client.get(STATUS).content.decode()
    assert OPEN not in content
    assert CLOSE in content


@pytest.mark.parametrize("reason", ["", "   ", "x" * 141])
def test_opening_needs_a_reason_of_a_bearable_length(ingrid, acme, reason):
    response = web(ingrid).post(OPEN, {"reason": reason})
    assert response.status_code == 200
    assert "Not opened: mend this first" in text(response)
    assert control(acme).breaker == Breaker.CLOSED
    assert not LogEntry.objects.exists()


def test_the_longest_reason_of_the_longest_name_fits(ingrid, acme):
    ingrid.username = "i" * 150
    ingrid.save()
    post_form(web(ingrid), OPEN, reason="x" * 140)
    assert control(acme).breaker_reason == f"{'x' * 140} ({'i' * 150})"


@pytest.mark.parametrize("name", ["alice", "carol", "audrey"])
def test_others_are_told_who_may_and_nothing_is_changed(people, acme, settings, name):
    client = web(people[name])
    refused = client.post(OPEN, {"reason": "I want to"})
    assert refused.status_code == 403
    may_not = "You may not open or close circuit breakers, nor send test operations."
    assert f"{may_not} The roles that may: Integration administrator." in text(refused)
    assert client.get(OPEN).status_code == 403
    assert control(acme).breaker == Breaker.CLOSED
    fail(acme, settings)
    assert client.post(CLOSE).status_code == 403
    assert control(acme).breaker == Breaker.OPEN
    assert not LogEntry.objects.exists()


def test_looking_changes_nothing(ingrid, acme, settings):
    fail(acme, settings)
    client = web(ingrid)
    assert client.get(OPEN).status_code == 200
    assert client.get(CLOSE).status_code == 302
    assert control(acme).breaker_until is not None


def test_a_post_from_elsewhere_changes_nothing(ingrid, acme):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ingrid, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(OPEN, {"reason": "x"}).status_code == 403
    assert control(acme).breaker == Breaker.CLOSED


def test_closing_what_is_closed_says_so(ingrid, acme):
    response = web(ingrid).post(CLOSE, follow=True)
    assert messages(response) == ["The circuit breaker of ACME is closed already."]
    assert not LogEntry.objects.exists()


def test_a_system_that_does_not_exist_is_not_found(ingrid, acme):
    for action in ("open", "close"):
        assert web(ingrid).post(f"{STATUS}NOBODY/{action}/", {"reason": "x"}).status_code == 404
    assert control(acme).breaker == Breaker.CLOSED


# --- On the pages of the changes ---


def test_a_change_says_that_nothing_is_sent_and_when_it_is_tried_again(alice, acme, settings):
    fail(acme, settings, 3)
    (change,) = give(acme)
    said = text(web(alice).get(f"/changes/{change.number}/"))
    until = control(acme).breaker_until
    expected = (
        "Assign 1 waits. 3 tries in a row failed. Nothing is sent to ACME until one operation gets through as a probe. "
        f"Next try {until:%Y-%m-%d %H:%M} (in less than a minute)."
    )
    assert expected in said


def test_one_whose_own_pause_is_longer_says_its_own_time(alice, acme, settings):
    settings.DELIVERY_RETRY_SCHEDULE = [7200]
    fail(acme, settings)
    operation = OutgoingOperation.objects.first()
    said = text(web(alice).get(f"/exchange/{operation.pk}/"))
    assert f"Next try {operation.next_try_at:%Y-%m-%d %H:%M}" in said
    assert operation.next_try_at > control(acme).breaker_until


def test_once_its_time_has_come_the_next_one_that_is_due_probes(alice, acme, settings):
    fail(acme, settings)
    DeliveryControl.objects.update(breaker_until=timezone.now() - timedelta(seconds=1))
    first, second = give(acme, 2)
    OutgoingOperation.objects.exclude(change__in=[first, second]).update(
        next_try_at=timezone.now() + timedelta(hours=1)
    )
    client = web(alice)
    assert "The next operation for ACME that is due is sent as a probe" in text(client.get(STATUS))
    assert len(outbox.claim(10)) == 1
    said = text(client.get(STATUS))
    assert "Circuit breaker half-open since" in said
    assert "One operation is being sent to ACME as a probe; the others wait for it." in said
    waiting = OutgoingOperation.objects.get(change__in=[first, second], status="Waiting")
    said = text(client.get(f"/exchange/{waiting.pk}/"))
    assert "One operation is being sent to ACME as a probe; the others wait for it." in said


def test_a_change_with_nothing_on_its_way_says_it_too(alice, acme, ingrid):
    (change,) = give(acme)
    settle(outbox.Outcome.DELIVERED)
    post_form(web(ingrid), OPEN, reason="ACME moves its desk")
    said = text(web(alice).get(f"/changes/{change.number}/"))
    assert (
        "Circuit breaker opened by hand. Somebody opened the circuit breaker of ACME: ACME moves its desk (ingrid)."
        in said
    )


def test_an_operation_behind_another_says_that_and_no_time(alice, acme, settings):
    fail(acme, settings)
    (change,) = give(acme)
    Comment(change=change, author=alice, body="Hello").save()
    update = change.outgoing_operations.get(operation="Update")
    assert "It waits behind Assign 1, which must be delivered or skipped first." in text(
        web(alice).get(f"/exchange/{update.pk}/")
    )


def test_a_retry_while_it_is_open_says_what_it_waits_for(ingrid, acme, settings):
    fail(acme, settings)
    operation = OutgoingOperation.objects.first()
    response = web(ingrid).post(f"/exchange/{operation.pk}/retry/", follow=True)
    assert messages(response) == ["Assign 1 to ACME is sent once the circuit breaker of ACME lets it through."]
