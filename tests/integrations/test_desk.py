"""The parts of the desk that the exchange adds: health, "Needs a person", traffic, and the automatic refresh."""

import html
import re
import uuid
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.choices import Phase
from integrations.models import DeliveryControl, Exchange, ExternalSystem, IncomingOperation, OutgoingOperation
from integrations.pages import desk_parts
from tests.factories import ChangeFactory, ExternalGroupFactory, ExternalSystemFactory, SupportGroupFactory
from tests.pages import text, web
from tests.rows import each_row

HTMX = {"HX-Request": "true"}
NOTHING = "Nothing is stuck that you can mend."


def needs(user) -> str:
    """The text of the person's desk under "Needs attention"."""
    return needs_on(web(user).get("/"))


def needs_on(page) -> str:
    return text(page).partition("Needs attention")[2].partition("External systems")[0]


def systems(user) -> str:
    return text(web(user).get("/")).partition("External systems")[2].partition("As of")[0]


def give(system, **fields):
    """A new change that is given to a system. Returns it with its Assign."""
    change = ChangeFactory(owning_group=system.external_groups.first().group, **fields)
    return change, change.outgoing_operations.get()


def alter(operation, **values):
    type(operation).objects.filter(pk=operation.pk).update(**values)


def ago(**units):
    return timezone.now() - timedelta(**units)


def came(system, status="Failed", **fields):
    """A log entry of an incoming operation."""
    values = {"operation": "Update", "payload": {}, "body_sha256": "", "http_status": 409, **fields}
    return IncomingOperation.objects.create(system=system, user=system.authorized_user, status=status, **values)


# --- What needs a person ---


def test_a_refused_operation_needs_a_person(alice, acme):
    assert NOTHING in needs(alice)
    change, operation = give(acme)
    assert NOTHING in needs(alice)
    alter(operation, status="Refused", last_error="refused with 422: no such group")
    said = needs(alice)
    assert "Refused by the partner" in said
    assert "Assign 1 to ACME" in said
    assert f"{change.number} Replace core switch: Refused with 422: no such group." in said
    assert f"/exchange/{operation.pk}/" in web(alice).get("/").content.decode()


def test_an_operation_that_waits_for_long_needs_a_person_and_those_behind_it_do_not(alice, acme):
    change, operation = give(acme)
    change.comments.create(author=alice, body="Behind it", visibility="public")
    OutgoingOperation.objects.update(created_at=ago(minutes=20))
    said = needs(alice)
    assert "Waiting for a long time" in said
    assert "Assign 1 to ACME" in said
    assert "Update 2" not in said
    alter(operation, created_at=ago(minutes=10))
    assert NOTHING in needs(alice)


def test_a_failed_incoming_operation_needs_a_person_until_it_comes_again(alice, acme):
    change, _ = give(acme)
    came(acme, change=change, idempotency_key="one", error="Planned end must be after planned start.")
    said = needs(alice)
    assert "Update from ACME" in said
    assert "Alle verweigerten eingehenden Operationen" in text(web(alice).get("/", headers={"Accept-Language": "de"}))
    assert f"{change.number} Replace core switch: Planned end must be after planned start." in said
    came(acme, "Applied", change=change, idempotency_key="one")
    assert NOTHING in needs(alice)


@pytest.mark.any_database
def test_a_pause_that_only_a_person_ends_needs_one(alice, audrey, acme, beta):
    DeliveryControl.objects.filter(system=beta).update(breaker="Open", breaker_reason="iDRAC firmware")
    assert "Sending is paused" not in needs(alice), "somebody knows of it, and nothing waits"
    ExternalSystem.objects.filter(pk=acme.pk).update(paused_at=timezone.now(), pause_status=401)
    said = needs(alice)
    assert "Sending is paused 1 ACME for less than a minute" in said and "No operation waits yet." in said
    ExternalSystem.objects.filter(pk=acme.pk).update(paused_at=None)
    give(beta)
    assert "Sending is paused 1 BETA" in needs(alice)
    assert "Somebody paused sending to BETA: iDRAC firmware. Nothing is sent" in needs(alice)
    ExternalSystem.objects.filter(pk=beta.pk).update(enabled=False)
    ExternalSystem.objects.filter(pk=acme.pk).update(paused_at=timezone.now(), pause_status=401)
    give(acme)
    for person in (alice, audrey):
        said = needs(person)
        assert "Sending is paused 1 ACME for less than a minute" in said and "1 operation waits." in said
        assert "Nothing is stuck" not in said
    german = text(web(alice).get("/", headers={"Accept-Language": "de"}))
    assert "Das Senden ist angehalten 1 ACME seit weniger als einer Minute" in german


def test_what_is_due_and_taken_by_no_worker_needs_a_person(alice, acme):
    give(acme)
    assert "not sent" not in needs(alice)
    due = timezone.now() - timedelta(minutes=3)
    alter(OutgoingOperation.objects.get(), created_at=due, next_try_at=due)
    said = needs(alice)
    assert "Operations are due and not sent 1 ACME for 3 minutes" in said
    assert "no worker has taken them. 1 operation waits." in said and "Nothing is stuck" not in said


@pytest.mark.any_database
def test_nobody_is_told_that_nothing_failed_who_would_not_see_it(alice, audrey, ingrid, acme):
    give(acme)
    alter(OutgoingOperation.objects.get(), status="Delivered", settled_at=timezone.now())
    assert "Nothing is stuck: no operation was refused, failed, or has waited for long." in needs(ingrid)
    came(acme)  # about no change
    assert "Nothing is stuck" not in needs(ingrid)
    assert NOTHING in needs(alice) and NOTHING in needs(audrey)


def test_what_failed_long_ago_is_history(alice, acme):
    alter(came(acme, error="No such change."), received_at=ago(days=4))
    assert NOTHING in needs(alice)


def reject(change, system):
    exchange = Exchange.objects.get(change=change, system=system)
    exchange.state = exchange.state.after_reject()
    exchange.save()


def test_a_rejected_change_needs_a_person_until_another_group_has_it(alice, acme):
    change, _ = give(acme)
    reject(change, acme)
    assert f"ACME rejected it, but {change.owning_group} still owns it." in needs(alice)
    change.refresh_from_db()
    change.owning_group = SupportGroupFactory(name="Network")
    change.save()
    assert NOTHING in needs(alice)


@pytest.mark.any_database
def test_a_rejected_change_that_is_abandoned_needs_nobody(alice, acme):
    change, _ = give(acme)
    reject(change, acme)
    change.refresh_from_db()
    change.completion_code = "Rejected"
    change.move_to(Phase.ABANDON)
    change.save()
    assert NOTHING in needs(alice)


def test_the_oldest_of_all_systems_come_first_and_all_are_counted(alice, acme, beta):
    operations = [give(system)[1] for system in (acme, beta) for _ in range(4)]
    for hours, operation in enumerate(operations, 1):
        alter(operation, status="Refused", created_at=ago(hours=hours), last_error="422")
    part = web(alice).get("/").content.decode().partition("Refused by the partner")[2]
    shown = re.findall(r'id="operation-([0-9a-f-]{36})"', part)
    assert shown == [str(operation.pk) for operation in operations[::-1]][: desk_parts.SHOWN]
    assert '<span class="tally">8</span>' in part


# --- Health ---


@pytest.mark.any_database
def test_health_is_said_in_words_with_what_waits_and_the_last_success(alice, acme, beta):
    assert re.search(r"ACME Flowing Waiting 0 Oldest – Last delivery none yet", systems(alice))
    _, delivered = give(acme)
    alter(delivered, status="Delivered", is_next=False, settled_at=ago(hours=2))
    _, waiting = give(acme)
    alter(waiting, created_at=ago(minutes=7), next_try_at=ago(minutes=6))
    said = systems(alice)
    assert "ACME Slow since" in said
    assert re.search(r"Waiting 1 for ACME Oldest 7.minutes ago Last delivery 2.hours ago", said)


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("system", "control", "words"),
    [
        ({"enabled": False}, {}, "Disabled"),
        ({"paused_at": ago(hours=1), "pause_status": 410}, {}, "Paused since"),
        (
            {},
            {"breaker": "Open", "breaker_opened_at": ago(hours=1), "breaker_until": ago(hours=-1)},
            "Circuit breaker open since",
        ),
        (
            {},
            {"breaker": "Open", "breaker_opened_at": ago(hours=1), "breaker_reason": "Migration"},
            "Paused by hand since",
        ),
    ],
)
def test_a_system_that_does_not_flow_says_since_when(alice, acme, system, control, words):
    ExternalSystem.objects.filter(pk=acme.pk).update(**system)
    if control:
        DeliveryControl.objects.filter(system=acme).update(**control)
    assert f"ACME {words}" in systems(alice)


@pytest.mark.any_database
def test_without_a_system_the_desk_says_that_nothing_is_exchanged(alice, ingrid):
    said = "No external system is registered, so no change is exchanged."
    assert said in text(web(alice).get("/"))
    assert "Connect a partner" not in text(web(alice).get("/"))
    assert "Connect a partner" in text(web(ingrid).get("/"))


# --- It updates by itself ---


@pytest.mark.any_database
def test_htmx_gets_the_part_that_changes_alone(alice, acme):
    response = web(alice).get("/", headers=HTMX)
    content = response.content.decode()
    assert content.lstrip().startswith('<div id="desk-now"')
    assert "Needs attention" in content
    assert "Open changes of my groups" not in content
    assert "HX-Request" in response["Vary"]


@pytest.mark.any_database
def test_updating_can_be_stopped(alice):
    assert 'hx-trigger="every 10s, renew"' in web(alice).get("/").content.decode()
    stopped = web(alice).get("/?updates=stopped").content.decode()
    assert "hx-trigger" not in stopped
    assert "Update every 10 seconds" in stopped


@pytest.mark.any_database
def test_htmx_of_a_session_that_ran_out_is_refused(db):
    assert web().get("/", headers=HTMX).status_code == 401


# --- Traffic ---


def at(moment, key):
    """This id of an operation as if it had been created at this moment."""
    return uuid.UUID(int=desk_parts.first_key(moment).int | key.int % 2**62)


def hours(user, zone="UTC") -> list[tuple[str, str, str]]:
    client = web(user)
    client.cookies["timezone"] = zone
    content = client.get("/").content.decode()
    part = content.partition("Operations of the last 24 hours by the hour")[2].partition("</table>")[0]
    part = re.sub(r"</?a[^>]*>", "", part)
    return re.findall(r'<th scope="row">([^<]+)</th>\s*<td>(\d+)\+?</td>\s*<td>(\d+)\+?</td>', part)


def test_operations_are_counted_by_the_hour_in_both_directions(alice, acme, time_machine):
    time_machine.move_to("2026-11-24T12:30:00Z", tick=False)
    now = timezone.now()
    for _ in range(3):
        give(acme)
    ages = (timedelta(hours=5), timedelta(hours=30), timedelta())
    for pk, age in zip(OutgoingOperation.objects.order_by("id").values_list("pk", flat=True), ages, strict=True):
        OutgoingOperation.objects.filter(pk=pk).update(id=at(now - age, pk))
    received = came(acme, "Applied").pk
    IncomingOperation.objects.filter(pk=received).update(id=at(now, received))
    found = hours(alice)
    assert len(found) == 24
    assert found[-1][1:] == ("1", "1")
    assert found[-6][1:] == ("1", "0")
    assert sum(int(out) for _, out, _ in found) == 2


# The last row: both operations lie in the hour that comes twice, at its first and its second time.
CHART = [
    ("2026-11-24T12:00:00Z", timedelta(hours=5), "UTC"),
    ("2026-11-24T12:30:00Z", timedelta(hours=5), "Asia/Kolkata"),
    ("2026-11-24T12:59:00Z", timedelta(hours=5), "UTC"),
    ("2026-11-24T12:59:59.5Z", timedelta(hours=5), "America/New_York"),
    ("2026-10-25T01:59:30Z", timedelta(hours=1), "Europe/Berlin"),
]


@pytest.mark.any_database
@each_row(("moment", "age", "zone"), CHART)
def test_a_number_of_the_chart_leads_to_its_operations(alice, acme, time_machine, moment, age, zone):
    time_machine.move_to(moment, tick=False)
    now = timezone.now()
    for _ in range(3):
        give(acme)
    first, *others = OutgoingOperation.objects.order_by("id").values_list("pk", flat=True)
    for pk, recorded in [(first, now - age), *((pk, now) for pk in others)]:
        OutgoingOperation.objects.filter(pk=pk).update(id=at(recorded, pk), created_at=recorded)
    received = came(acme, "Applied").pk
    IncomingOperation.objects.filter(pk=received).update(id=at(now, received), received_at=now)
    client = web(alice)
    client.cookies["timezone"] = zone
    links = re.findall(r'<td><a href="(/exchange/\?[^"]*)">(\d+)</a>', html.unescape(client.get("/").content.decode()))
    assert sorted(number for _address, number in links) == ["1", "1", "2"]
    assert len({label for label, _out, _in in hours(alice, zone)}) == 24
    for address, number in links:
        for where in (zone, "Asia/Tokyo"):
            client.cookies["timezone"] = where
            rows = client.get(address).content.decode().partition("<tbody")[2].count("<tr")
            assert rows == int(number), (address, where)


@pytest.mark.any_database
def test_a_day_without_operations_says_so(alice, time_machine):
    time_machine.move_to("2026-11-24T12:59:00Z", tick=False)
    assert "No operation since 2026-11-23 13:00." in text(web(alice).get("/"))
    assert all(found[1:] == ("0", "0") for found in hours(alice))


@pytest.mark.any_database
def test_hours_that_are_over_are_not_counted_again(alice, acme):
    hours(alice)
    with CaptureQueriesContext(connection) as captured:
        hours(alice)
    (counting,) = [
        query["sql"]
        for query in captured
        if "integrations_incomingoperation" in query["sql"] and "COUNT" in query["sql"]
    ]
    assert counting.count("SELECT COUNT") <= 2 * 3
    cache.clear()


# --- Queries ---


def queries(user, **extra) -> int:
    client = web(user)
    client.get("/")
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/", **extra).status_code == 200
    return len(captured)


def test_the_number_of_queries_does_not_depend_on_systems_and_operations(carol, acme):
    group = SupportGroupFactory(name="Network")
    group.members.add(carol)
    for system in (acme, *(ExternalSystemFactory() for _ in range(4))):
        if system != acme:
            ExternalGroupFactory(system=system)
        for status in ("Refused", "Waiting", "Waiting"):
            alter(give(system)[1], status=status, created_at=ago(hours=1))
        came(system, error="No such change.")
    reject(give(acme)[0], acme)
    ChangeFactory(owning_group=group)
    few = queries(carol), queries(carol, headers=HTMX)
    for _ in range(10):
        alter(give(acme)[1], status="Refused", created_at=ago(hours=1))
        alter(give(acme)[1], created_at=ago(hours=1))
        came(acme, error="No such change.")
        reject(give(acme)[0], acme)
        ChangeFactory(owning_group=group)
    assert (queries(carol), queries(carol, headers=HTMX)) == few
    assert few[0] <= 15
    assert few[1] <= 9
