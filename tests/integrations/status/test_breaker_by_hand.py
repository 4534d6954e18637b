"""Opening and closing the circuit breaker by hand."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from integrations.choices import Breaker
from integrations.outgoing import outbox
from tests.html_forms import messages, post_form
from tests.pages import text, web

from .conftest import CLOSE, OPEN, STATUS, control, fail, give


def test_it_is_opened_with_a_reason_and_then_nothing_is_sent(ingrid, acme, beta):
    give(acme, 2)
    give(beta)
    client = web(ingrid)
    assert "Waiting now: 2." in text(client.get(OPEN))
    response = post_form(client, OPEN, reason="ACME moves its desk", follow=True)
    assert response.redirect_chain[-1][0] == STATUS
    assert messages(response) == ["Sending to ACME is paused: nothing is sent until somebody resumes it."]
    assert "Somebody paused sending to ACME: ACME moves its desk (ingrid)." in text(response)
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
    assert messages(response) == ["Sending to ACME goes on: what is due is sent now."]
    assert (control(acme).breaker, control(acme).consecutive_failures) == (Breaker.CLOSED, 0)
    assert [operation.tries for operation in outbox.claim(10)] == [0]
    assert LogEntry.objects.get().change_message == "Closed the circuit breaker."


def test_one_that_opened_by_itself_may_be_kept_open(ingrid, acme, settings):
    fail(acme, settings)
    client = web(ingrid)
    assert "Keep sending to ACME paused?" in text(client.get(OPEN))
    post_form(client, OPEN, reason="Down until Monday")
    assert (control(acme).breaker, control(acme).breaker_until) == (Breaker.OPEN, None)
    content = client.get(STATUS).content.decode()
    assert OPEN not in content
    assert CLOSE in content


@pytest.mark.parametrize("reason", ["", "   ", "\u200b", "\u2800", "x" * 141])
def test_opening_needs_a_reason_of_a_bearable_length(ingrid, acme, reason):
    response = web(ingrid).post(OPEN, {"reason": reason})
    assert response.status_code == 200
    assert "Not paused. Fix these fields" in text(response)
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
    may_not = "You may not set up systems, open or close circuit breakers, nor send test operations."
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
    assert messages(response) == ["Sending to ACME is not paused."]
    assert not LogEntry.objects.exists()


def test_a_system_that_does_not_exist_is_not_found(ingrid, acme):
    for action in ("open", "close"):
        assert web(ingrid).post(f"{STATUS}NOBODY/{action}/", {"reason": "x"}).status_code == 404
    assert control(acme).breaker == Breaker.CLOSED
