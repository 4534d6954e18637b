"""The exchange section on the page of a change."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.actor import acting
from changes.choices import Phase
from integrations.models import (
    Exchange,
    ExternalReference,
    OutgoingOperation,
)
from integrations.outgoing import outbox
from tests.factories import SupportGroupFactory, change_in
from tests.pages import text, web

from .conftest import assign, came, comment, deliver, page, refuse, settle, tried


def test_who_holds_it_and_what_is_on_its_way(alice, given):
    said = page(alice, given)
    assert "ACME Networks has owned this change since" in said
    assert "ACME Holds it ACME holds this change, through ACME Networks." in said
    assert "Assign 1 is on its way. It is due now, and sent as soon as a worker is free." in said


def test_a_delivered_assign_leaves_nothing_on_its_way_and_fills_the_external_assignment(alice, given):
    answer = {
        "external_id": "C-1001",
        "external_url": "https://desk.acme.example/C-1001",
        "external_status": "In progress",
    }
    deliver(assign(given), answer)
    response = web(alice).get(f"/changes/{given.number}/")
    said = text(response)
    assert "Nothing is on its way to ACME." in said
    assert "ACME last said In progress" in said
    assert "Last told ACME Assign 1" in said
    assert "External id C-1001" in said
    link = '<a href="https://desk.acme.example/C-1001" rel="noopener noreferrer"'
    assert link in response.content.decode()


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "ftp://acme.example/x", "//acme.example", "data:text/html,x", ""]
)
def test_only_a_web_address_of_a_partner_becomes_a_link(alice, given, acme, url):
    ExternalReference.objects.create(change=given, system=acme, external_id="C-<1>", external_url=url)
    content = web(alice).get(f"/changes/{given.number}/").content.decode()
    assert "C-&lt;1&gt;" in content
    assert 'rel="noopener noreferrer"' not in content
    assert not url or f'href="{url}' not in content


def test_a_delay_says_why_and_when_it_is_tried_again(alice, given):
    operation = assign(given)
    error = "Connection refused"
    settle(operation, tried(operation, error=error), outbox.Outcome.RETRY, error)
    said = page(alice, given)
    operation.refresh_from_db()
    assert "Assign 1 is delayed. To be sent again after 1 failed try. Connection refused." in said
    assert f"Next try {operation.next_try_at:%Y-%m-%d %H:%M} (in" in said


def test_a_refusal_says_what_waits_behind_it_and_that_a_person_is_needed(alice, given):
    refuse(assign(given))
    comment(given, alice, 2)
    said = page(alice, given)
    assert (
        "Assign 1 was refused. Refused with 422. It will not be retried automatically. 2 more wait behind it." in said
    )
    assert "It waits behind Assign 1, which must be delivered or skipped first." in said


def test_an_operation_in_flight_is_said_to_be_sent_now(alice, given):
    OutgoingOperation.objects.update(status="Sending")
    assert "Assign 1 is being sent. It is being sent now." in page(alice, given)


def test_a_disabled_system_says_that_operations_wait(alice, acme, given):
    acme.enabled = False
    acme.save()
    assert "Assign 1 waits. ACME is disabled: operations are recorded and wait until it is enabled." in page(
        alice, given
    )


def test_a_paused_system_says_why_and_that_operations_wait(alice, acme, given):
    operation = assign(given)
    error = "ACME does not accept our credentials (401)"
    settle(operation, tried(operation, http_status=401), outbox.Outcome.PAUSE, error)
    said = page(alice, given)
    assert "Sending is paused: ACME does not accept our credentials (401)." in said
    assert "Operations wait until an administrator resumes it." in said


def test_a_system_that_collects_says_so(alice, acme, given):
    acme.delivery = "pull"
    acme.save()
    assert "It waits for ACME to collect it." in page(alice, given)


def reject(change, system):
    exchange = Exchange.objects.get(change=change, system=system)
    exchange.state = exchange.state.after_reject()
    exchange.save()


def test_a_rejected_change_says_that_it_needs_another_group_until_it_has_one(alice, acme, given):
    deliver(assign(given))
    reject(given, acme)
    said = page(alice, given)
    assert "ACME Rejected ACME rejected this change." in said
    assert "ACME rejected this change, but ACME Networks still owns it" in said
    assert "Give the change to another group." in said
    given.owning_group = SupportGroupFactory(name="Network")
    given.save()
    said = page(alice, given)
    assert "ACME rejected this change." in said
    assert "Give the change to another group." not in said


def test_withdrawn_that_was_cleared_warns_that_the_partner_still_holds_it_for_cancelled(alice, given):
    given.completion_code = "Withdrawn"
    given.save()
    said = page(alice, given)
    assert "ACME was told that this change is cancelled." in said
    assert "still treats the change as cancelled" not in said
    given.completion_code = None
    given.save()
    assert "ACME got a Cancel, and still treats the change as cancelled." in page(alice, given)


def test_without_a_partner_the_page_says_how_one_comes_in(alice):
    said = page(alice, change_in(Phase.PLAN))
    assert "When you give it to an external group, its partner gets an Assign." in said


def test_operations_of_both_directions_are_listed_with_their_state(alice, acme, given):
    deliver(assign(given))
    came(acme, given, "Failed", error="Normal changes have no transition from Plan to Close.")
    came(acme, given, "Applied", operation="Cancel")
    came(acme, given, "Ignored")
    said = page(alice, given)
    assert "Assign 1 to ACME Delivered" in said
    assert "from ACME Refused" in said
    assert "Update of ACME failed here. Normal changes have no transition from Plan to Close." not in said  # no news
    assert "Normal changes have no transition from Plan to Close." in said
    assert "Cancel from ACME Applied" in said
    assert "from ACME Ignored" in said


def test_an_old_operation_that_blocks_is_shown_however_many_came_after(alice, given):
    refuse(assign(given))
    comment(given, alice, 60)
    said = page(alice, given)
    assert "Assign 1 was refused." in said
    assert "60 more wait behind it." in said


def test_the_exchange_makes_as_many_queries_for_many_operations_as_for_few(alice, acme, beta, given):
    client = web(alice)
    counts = []
    for _ in range(2):
        comment(given, alice, 5)
        came(acme, given)
        came(beta, given, "Failed")
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/changes/{given.number}/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_change_that_a_partner_edited_shows_it_in_the_activity(alice, acme, given):
    with acting(acme.authorized_user, "ACME"):
        given.planned_end = given.planned_end + timedelta(hours=1)
        given.save()
    assert re.search(r"ACME acting as acme-integration edited 1 field .{16} Planned end", page(alice, given))
