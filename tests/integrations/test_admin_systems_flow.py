"""The administration of external systems: enabling, disabling and resuming, limits, circuit breaker, health."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from integrations.choices import Breaker, DeliveryStatus
from integrations.models import DeliveryControl, ExternalSystem, OutgoingOperation
from tests.html_forms import errors, messages, post_form
from tests.pages import text, web

LIST = "/admin/integrations/externalsystem/"


def page_of(system):
    return f"{LIST}{system.pk}/change/"


def start_of(system):
    return f"{LIST}{system.pk}/start/"


def stored(system):
    return ExternalSystem.objects.get(pk=system.pk)


# --- Enabled, disabled, paused ---


def test_a_system_is_disabled_and_what_is_recorded_for_it_waits(ingrid, acme, give):
    post_form(web(ingrid), page_of(acme), enabled=None)
    assert not stored(acme).enabled
    give(acme)
    assert {operation.status for operation in OutgoingOperation.objects.all()} == {DeliveryStatus.WAITING}


def test_enabling_it_with_nothing_waiting_is_done_at_once(ingrid, acme):
    acme.enabled = False
    acme.save()
    response = post_form(web(ingrid), page_of(acme), enabled="on", follow=True)
    assert stored(acme).enabled
    assert response.redirect_chain[-1][0] == LIST


def test_enabling_it_first_shows_what_waits_and_how_old_it_is(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    give(acme, 2)
    OutgoingOperation.objects.filter(sequence=1).update(created_at=timezone.now() - timedelta(days=3, minutes=1))
    response = post_form(web(ingrid), page_of(acme), enabled="on", description="Also edited", follow=True)
    assert response.redirect_chain[-1][0] == start_of(acme)
    assert not stored(acme).enabled, "nothing flows before the decision"
    assert stored(acme).description == "Also edited"
    shown = text(response)
    assert "4 operations wait" in shown
    assert "3 days" in shown
    assert "Assign: 2" in shown
    assert "Update: 2" in shown
    assert all("Enabled" not in entry.change_message for entry in LogEntry.objects.all())


def test_enabling_it_sends_what_waits(ingrid, acme, give, django_capture_on_commit_callbacks):
    acme.enabled = False
    acme.save()
    operations = give(acme)
    client = web(ingrid)
    with django_capture_on_commit_callbacks() as woken:
        response = post_form(client, start_of(acme), follow=True, having="shown_until", decision="send")
    assert stored(acme).enabled
    assert woken
    assert {operation.status for operation in operations} == {DeliveryStatus.WAITING}
    assert "Operations to send now: 2." in messages(response)[0]


def test_enabling_one_that_is_paused_by_hand_says_that_nothing_is_sent(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    DeliveryControl.objects.filter(system=acme).update(breaker=Breaker.OPEN, breaker_reason="iDRAC firmware (ingrid)")
    give(acme)
    client = web(ingrid)
    held = (
        "Somebody paused sending to ACME: iDRAC firmware (ingrid). Nothing is sent until an administrator resumes it."
    )
    assert f"Nothing is sent after that either: {held}" in text(client.get(start_of(acme)))
    response = post_form(client, start_of(acme), follow=True, having="shown_until", decision="send")
    assert messages(response) == [f"Enabled ACME. Operations that wait: 2. {held}"]


def test_enabling_it_may_skip_all_that_waits_with_one_reason(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    operations = give(acme, 2)
    client = web(ingrid)
    response = post_form(client, start_of(acme), follow=True, reason="Dealt with by telephone", decision="skip")
    assert stored(acme).enabled
    for operation in operations:
        assert (operation.status, operation.skipped_by, operation.skip_reason) == (
            DeliveryStatus.SKIPPED,
            ingrid,
            "Dealt with by telephone",
        )
    assert "skipped operations: 4" in messages(response)[0]
    assert "Dealt with by telephone" in LogEntry.objects.first().change_message


def test_skipping_needs_a_reason(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    operations = give(acme)
    for reason in ("  ", "\u200b", "\u3164\n\u2060"):
        response = post_form(web(ingrid), start_of(acme), reason=reason, decision="skip")
        assert response.status_code == 200
        assert "Give a reason" in text(response)
        assert not stored(acme).enabled
    assert {operation.status for operation in operations} == {DeliveryStatus.WAITING}


def test_what_is_recorded_after_the_page_was_shown_is_not_skipped(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    give(acme)
    client = web(ingrid)
    shown = client.get(start_of(acme))
    give(acme)
    post_form(client, start_of(acme), page=shown, reason="Old", decision="skip")
    statuses = [operation.status for operation in OutgoingOperation.objects.order_by("created_at", "id")]
    assert statuses == ["Skipped", "Skipped", "Waiting", "Waiting"]
    assert stored(acme).enabled


def test_a_paused_system_is_resumed(ingrid, acme, give):
    acme.paused_at, acme.pause_status = timezone.now(), 401
    acme.save()
    give(acme)
    client = web(ingrid)
    assert "ACME does not accept our credentials (401)" in text(client.get(page_of(acme)))
    assert start_of(acme) in client.get(page_of(acme)).content.decode()
    shown = text(client.get(start_of(acme)))
    assert "Resume ACME" in shown
    assert "2 operations wait" in shown
    post_form(client, start_of(acme), having="shown_until", decision="send")
    assert stored(acme).paused_at is None
    assert stored(acme).pause_status is None


def test_an_edit_does_not_undo_a_pause_that_a_worker_made_meanwhile(ingrid, acme):
    client = web(ingrid)
    page = client.get(page_of(acme))
    ExternalSystem.objects.filter(pk=acme.pk).update(paused_at=timezone.now(), pause_status=410)
    post_form(client, page_of(acme), page=page, description="Other")
    assert stored(acme).pause_status == 410


def test_a_system_that_flows_has_nothing_to_decide(ingrid, acme):
    response = web(ingrid).get(start_of(acme), follow=True)
    assert response.redirect_chain[-1][0] == page_of(acme)
    assert "flow to ACME already" in messages(response)[0]


@pytest.mark.parametrize("decision", ["", "destroy"])
def test_an_unknown_decision_changes_nothing(ingrid, acme, give, decision):
    acme.enabled = False
    acme.save()
    give(acme)
    response = web(ingrid).post(start_of(acme), {"decision": decision, "reason": "x"})
    assert response.status_code == 200
    assert not stored(acme).enabled


def test_a_forged_moment_skips_nothing(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    operations = give(acme)
    for moment in ("", "nonsense"):
        web(ingrid).post(start_of(acme), {"decision": "skip", "reason": "x", "shown_until": moment})
    assert not operations.filter(status=DeliveryStatus.SKIPPED).exists()


# --- Limits and the circuit breaker ---


def breaker_of(system):
    return f"{LIST}{system.pk}/breaker/"


def failed(system, count=10):
    """A system whose circuit breaker opened after failures in a row."""
    now = timezone.now()
    until = now + timedelta(seconds=30)
    values = {"breaker": Breaker.OPEN, "breaker_opened_at": now, "breaker_until": until}
    DeliveryControl.objects.filter(system=system).update(
        **values, breaker_cause="in_a_row", consecutive_failures=count, window_tries=count, window_failures=count
    )
    return until


def test_the_limits_are_edited(ingrid, acme):
    client = web(ingrid)
    assert post_form(client, page_of(acme), max_in_flight="4", rate_limit="90").status_code == 302
    assert (stored(acme).max_in_flight, stored(acme).rate_limit) == (4, 90)
    post_form(client, page_of(acme), rate_limit="")
    assert (stored(acme).max_in_flight, stored(acme).rate_limit) == (4, None)
    logged = " ".join(entry.change_message for entry in LogEntry.objects.all())
    assert "Most requests at a time" in logged
    assert "Rate limit" in logged


@pytest.mark.parametrize(
    ("typed", "field", "expected"),
    [
        ({"max_in_flight": ""}, "max_in_flight", "At least one request must be allowed at a time."),
        ({"max_in_flight": "0"}, "max_in_flight", "At least one request must be allowed at a time."),
        ({"max_in_flight": "501"}, "max_in_flight", "less than or equal to 500"),
        ({"max_in_flight": "many"}, "max_in_flight", "whole number"),
        ({"rate_limit": "0"}, "rate_limit", "Give at least 1 per minute, or leave the field empty for no limit."),
        ({"rate_limit": "-5"}, "rate_limit", "Give at least 1 per minute, or leave the field empty for no limit."),
        ({"rate_limit": "1.5"}, "rate_limit", "whole number"),
        ({"rate_limit": "1000001"}, "rate_limit", "less than or equal to 1000000"),
    ],
)
def test_a_limit_that_cannot_be_is_an_error_at_its_field(ingrid, acme, typed, field, expected):
    before = (acme.max_in_flight, acme.rate_limit)
    response = post_form(web(ingrid), page_of(acme), **typed)
    assert response.status_code == 200
    assert expected in " ".join(errors(response)[field])
    assert (stored(acme).max_in_flight, stored(acme).rate_limit) == before


def test_the_state_is_that_of_the_status_page_and_leads_there(audrey, acme, beta, give):
    give(acme)
    OutgoingOperation.objects.update(next_try_at=timezone.now() - timedelta(minutes=10))
    client = web(audrey)
    listed, page = client.get(LIST), client.get(page_of(acme))
    assert "ACME - Slow for 10 minutes push" in text(listed)
    assert "BETA - Flowing push" in text(listed)
    assert 'href="/exchange/status/"' in listed.content.decode()
    told = "Slow for 10 minutes Operations have been due for a while, and no worker has taken them."
    assert told in text(page)
    assert told in text(client.get("/exchange/status/"))
    assert 'href="/exchange/?system=ACME"' in page.content.decode()
