"""The status of the exchange: its page, and what the page of a change says about it."""

import re
from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.models import Comment
from integrations.choices import Breaker
from integrations.models import DeliveryControl, ExternalSystem, OutgoingOperation
from integrations.outgoing import outbox
from tests.factories import ExternalSystemFactory
from tests.html_forms import messages, post_form
from tests.pages import text, web

from .conftest import CLOSE, OPEN, STATUS, control, fail, give, settle

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
    assert "ACME ACME's desk not encrypted Flowing 1 oldest just now 1 of 4 1 just now 2 in the last minute" in said
    assert "2 in the last minute on average 0.4 a minute limit 600 a minute" in said
    assert f"BETA not encrypted Flowing 0 0 of {beta.max_in_flight} 0 none yet 0 in the last minute" in said
    assert "on average 0 a minute Nothing sent Closed" in said


def test_the_health_is_told_in_one_word_with_its_time_and_its_reason(alice, acme, beta):
    now = timezone.now()

    def said():
        return text(web(alice).get(STATUS))

    give(acme)
    OutgoingOperation.objects.update(next_try_at=now - timedelta(minutes=3))
    late = "Slow for 3 minutes Operations have been due for a while, and no worker has taken them."
    assert late in said()
    OutgoingOperation.objects.update(next_try_at=now + timedelta(minutes=3), tries=2)
    DeliveryControl.objects.filter(system=acme).update(consecutive_failures=2)
    assert "Failing The latest 2 tries failed; they are repeated." in said()
    opened = {"breaker": Breaker.OPEN, "breaker_opened_at": now - timedelta(minutes=5), "breaker_reason": "it failed"}
    DeliveryControl.objects.filter(system=acme).update(**opened, breaker_until=now + timedelta(minutes=5))
    assert (
        "Circuit breaker open for 5 minutes It failed. Nothing is sent to ACME until one operation gets through"
        in said()
    )
    DeliveryControl.objects.filter(system=acme).update(breaker_until=None)
    by_hand = "Paused by hand for 5 minutes Somebody paused sending to ACME: it failed."
    assert by_hand in said()
    DeliveryControl.objects.filter(system=acme).update(breaker=Breaker.CLOSED)
    ExternalSystem.objects.filter(pk=acme.pk).update(paused_at=now - timedelta(hours=2), pause_status=410)
    assert "Paused for 2 hours Sending is paused: ACME accepts no more requests at this address (410)." in said()
    ExternalSystem.objects.filter(pk=acme.pk).update(enabled=False)
    assert "Disabled ACME is disabled" in said()


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
    assert "Connect a partner" not in text(web(alice).get(STATUS))
    assert "Connect a partner" in text(web(ingrid).get(STATUS))


def test_a_system_that_collects_has_no_breaker(ingrid, acme):
    ExternalSystem.objects.update(delivery="pull")
    response = web(ingrid).get(STATUS)
    assert "Not used: nothing is sent" in text(response)
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
    assert "Circuit breaker half-open for less than a minute" in said
    assert "One operation is being sent to ACME as a probe; the others wait for it." in said
    waiting = OutgoingOperation.objects.get(change__in=[first, second], status="Waiting")
    said = text(client.get(f"/exchange/{waiting.pk}/"))
    assert "One operation is being sent to ACME as a probe; the others wait for it." in said


def test_a_change_with_nothing_on_its_way_says_it_too(alice, acme, ingrid):
    (change,) = give(acme)
    settle(outbox.Outcome.DELIVERED)
    post_form(web(ingrid), OPEN, reason="ACME moves its desk")
    said = text(web(alice).get(f"/changes/{change.number}/"))
    assert "Paused by hand. Somebody paused sending to ACME: ACME moves its desk (ingrid)." in said


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
