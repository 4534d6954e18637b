"""Test operations: the operations that they send, the permissions, and the result in words."""

import ipaddress
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from changes.models import Change
from integrations.models import DeliveryControl, ExternalGroup, ExternalSystem, OutgoingOperation
from integrations.outgoing import breaker, delivery, outbox
from integrations.transports.http import HttpTransport
from tests.factories import ExternalGroupFactory
from tests.html_forms import messages, post_form
from tests.pages import asked_for, text, version_in, web
from tests.processes import free_port

from .partner import answer, hang_up

STATUS = "/exchange/status/"
TEST = f"{STATUS}ACME/test/"

TITLE = "Test of the exchange with ACME: please ignore"


def send(ingrid):
    """Sends a test from its page. Returns the address of the result page."""
    response = post_form(web(ingrid), TEST, having="group")
    assert response.status_code == 302
    return response["Location"]


def told(person, address):
    return text(web(person).get(address))


def poll(person, address, version=""):
    return web(person).get(address, headers=asked_for(version))


def operations():
    return list(OutgoingOperation.objects.order_by("sequence"))


def late(seconds):
    """Makes the test look as if it had been recorded this long ago, without a worker running."""
    OutgoingOperation.objects.update(next_try_at=timezone.now() - timedelta(seconds=seconds))


# --- What is sent ---


def test_the_partner_gets_a_real_assign_and_a_cancel_and_here_the_change_is_abandoned(ingrid, acme, partner):
    partner.script = [answer(201, {"external_id": "ACME-77"})]
    address = send(ingrid)
    change = Change.objects.get()
    assert (change.title, change.phase, change.completion_code) == (TITLE, "Abandon", "Withdrawn")
    assert change.requested_by == ingrid
    assert address == f"{TEST}{change.number}/"
    delivery.drain()
    assert partner.operations == ["Assign", "Cancel"]
    assign, cancel = (message for _, message, _ in partner.received)
    assert (assign["change"]["title"], assign["change"]["phase"]) == (TITLE, "Log")
    assert assign["change"]["owning_group"] == "ACME Networks"
    assert cancel["change"]["completion_code"] == "Withdrawn"
    assert all("webhook-signature" in {name.lower() for name in headers} for headers, _, _ in partner.received)
    said = told(ingrid, address)
    assert "It works: ACME has taken the test." in said
    assert "Its record at ACME is ACME-77." in said
    assert '{"external_id": "ACME-77"}' in said


def test_the_change_keeps_who_tested_and_so_does_the_history_of_the_system(ingrid, acme):
    send(ingrid)
    change = Change.objects.get()
    assert {record.history_user for record in change.history.all()} == {ingrid}
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (ingrid, str(acme.pk))
    assert entry.change_message == f"Sent a test operation: {change.number}."


def test_nothing_is_sent_by_looking(ingrid, acme):
    said = told(ingrid, TEST)
    assert "What ACME will see" in said
    assert TITLE in said
    assert "Nothing is to be done: it is cancelled at once" in said
    assert not Change.objects.exists()


def test_the_group_is_chosen_from_those_of_the_system(ingrid, acme, beta):
    ExternalGroupFactory(group__name="ACME Storage", system=acme)
    storage = ExternalGroup.objects.get(group__name="ACME Storage").group
    post_form(web(ingrid), TEST, group=str(storage.pk))
    assert Change.objects.get().owning_group == storage
    foreign = ExternalGroup.objects.get(system=beta).group
    response = web(ingrid).post(TEST, {"group": foreign.pk})
    assert response.status_code == 200
    assert "Not sent. Fix these fields" in text(response)
    assert Change.objects.count() == 1


def test_without_an_external_group_it_is_said_how_to_make_one(ingrid, acme):
    ExternalGroup.objects.all().delete()
    response = web(ingrid).get(TEST)
    assert "ACME has no external group yet" in text(response)
    assert 'href="/admin/changes/supportgroup/add/"' in response.content.decode()
    assert web(ingrid).post(TEST, {"group": ""}).status_code == 200
    assert not Change.objects.exists()


def test_an_earlier_test_that_waits_is_named_before_another_is_sent(ingrid, acme):
    address = send(ingrid)
    response = web(ingrid).get(TEST)
    assert "An earlier test is still under way" in text(response)
    assert f'href="{address}"' in response.content.decode()


# --- Who may ---


@pytest.mark.parametrize("name", ["alice", "carol", "audrey"])
def test_others_send_none_are_told_who_may_and_read_what_became_of_one(alice, carol, audrey, ingrid, acme, name):
    person = {"alice": alice, "carol": carol, "audrey": audrey}[name]
    client = web(person)
    group = ExternalGroup.objects.get().group
    for response in (client.get(TEST), client.post(TEST, {"group": group.pk})):
        assert response.status_code == 403
        assert "The roles that may: Integration administrator." in text(response)
    assert not Change.objects.exists()
    assert TEST not in client.get(STATUS).content.decode()
    assert "The Assign is recorded." in told(person, send(ingrid))


def test_the_button_is_on_the_status_page_and_in_the_administration(ingrid, audrey, acme):
    for address in (STATUS, f"/admin/integrations/externalsystem/{acme.pk}/change/"):
        assert f'href="{TEST}"' in web(ingrid).get(address).content.decode()
        assert f'href="{TEST}"' not in web(audrey).get(address).content.decode()


def test_what_is_no_test_of_the_system_is_not_found(ingrid, acme, beta):
    number = Change.objects.create(title="Replace core switch", owning_group=beta.external_groups.get().group).number
    send(ingrid)
    own = Change.objects.get(title=TITLE).number
    for address in (f"{TEST}{number}/", f"{STATUS}BETA/test/{own}/", f"{STATUS}NOBODY/test/", f"{TEST}CHG9999999/"):
        assert web(ingrid).get(address).status_code == 404


# --- The result in words ---


def test_what_was_just_recorded_is_about_to_be_taken(ingrid, acme):
    said = told(ingrid, send(ingrid))
    assert "The Assign is recorded. A worker takes it in a moment." in said
    assert "The Cancel follows once Assign 1 is delivered." in said
    assert "Sent Not yet" in said


def test_when_nobody_takes_it_the_worker_is_missed(ingrid, acme, settings):
    settings.DISPATCH_INTERVAL = 5
    address = send(ingrid)
    late(32)
    said = told(ingrid, address)
    assert "Nobody has taken the Assign for 30 seconds: no worker seems to run." in said
    assert "Have an operator start the worker and the scheduler (beat)." in said


@pytest.mark.parametrize(
    ("status", "title", "mend", "link"),
    [
        (401, "ACME does not accept our credentials (401). Sending is paused.", "Compare the signing secret", "start"),
        (403, "ACME forbids our requests (403). Sending is paused.", "Ask ACME to allow this server", "start"),
        (410, "ACME accepts no more requests at this address (410).", "Ask ACME for its new address", "start"),
        (404, "Nothing accepts operations at the address of ACME (404).", "Compare the endpoint", "change"),
        (302, "ACME sends us to another address (302)", "Enter the final address", "change"),
        (422, "ACME refuses the Assign (422).", "The answer says why. Show it to ACME", None),
        (503, "ACME cannot take the Assign now (503).", "The problem is at the desk of ACME.", None),
        (429, "ACME cannot take the Assign now (429).", "It will be retried automatically:", None),
    ],
)
def test_an_answer_that_is_no_yes_says_what_to_mend(ingrid, acme, partner, status, title, mend, link):
    partner.default = answer(status, {"detail": "It is so because of this."})
    address = send(ingrid)
    delivery.drain()
    response = web(ingrid).get(address)
    said = text(response)
    assert title in said
    assert mend in said
    assert "It is so because of this." in said
    assert f"Answer {status} Duration 0." in said
    if link:
        assert f'href="/admin/integrations/externalsystem/{acme.pk}/{link}/"' in response.content.decode()


def test_a_partner_that_says_nothing_may_be_behind_a_firewall(ingrid, acme, partner, settings):
    settings.DELIVERY_TIMEOUT = 0.2
    partner.default = partner.hang
    address = send(ingrid)
    delivery.drain()
    said = told(ingrid, address)
    assert "ACME did not answer in time." in said
    assert "whether a firewall between here and there drops the connection" in said
    assert "no complete answer within 0.2 s" in said
    assert "It will be retried automatically:" in said


def _unreachable(acme, url):
    acme.endpoint_url = url
    acme.save()


def test_where_nothing_listens_the_address_is_to_be_checked(ingrid, acme, partner):
    _unreachable(acme, f"http://127.0.0.1:{free_port()}/operations")
    address = send(ingrid)
    delivery.drain()
    assert OutgoingOperation.objects.first().last_failure == "connection_refused"
    assert "Nothing accepts connections at the address of ACME. Check the host and port" in told(ingrid, address)


def test_a_host_name_that_nobody_knows_is_named(ingrid, acme, partner):
    _unreachable(acme, "http://desk.invalid/operations")
    address = send(ingrid)
    delivery.drain()
    assert OutgoingOperation.objects.first().last_failure == "name_resolution"
    assert "The host name of ACME is not known. Check the spelling" in told(ingrid, address)


def test_a_secure_connection_to_what_has_none_is_named(ingrid, acme, partner):
    _unreachable(acme, partner.url.replace("http:", "https:"))
    address = send(ingrid)
    delivery.drain()
    assert OutgoingOperation.objects.first().last_failure == "tls"
    assert "A secure connection to ACME could not be made." in told(ingrid, address)


def test_a_connection_that_breaks_is_named(ingrid, acme, partner):
    partner.default = hang_up
    address = send(ingrid)
    delivery.drain()
    assert "The connection to ACME broke. Check the endpoint URL, and the network" in told(ingrid, address)


def test_a_network_that_is_not_allowed_is_named(ingrid, acme, partner, settings, monkeypatch):
    # A worker with a different configuration.
    transport = HttpTransport([ipaddress.ip_network("10.0.0.0/8")])
    monkeypatch.setattr(delivery, "_transport", lambda process_id: transport)
    address = send(ingrid)
    delivery.drain()
    transport.close()
    said = told(ingrid, address)
    assert "The address of ACME is in a network that this server may not reach." in said
    assert "adds its network to OUTGOING_ALLOWED_NETWORKS" in said


def test_a_secret_that_cannot_be_read_any_more_is_named(ingrid, acme, partner, settings):
    settings.SECRET_KEY, settings.FIELD_ENCRYPTION_KEYS = "another key than before, as long", []
    address = send(ingrid)
    delivery.drain()
    assert partner.received == []
    assert "The signing secret of ACME cannot be decrypted here. The server's key was changed." in told(ingrid, address)


def test_a_disabled_system_gets_it_once_it_is_enabled(ingrid, acme, partner):
    acme.enabled = False
    acme.save()
    assert "The test will still be recorded, and will wait." in told(ingrid, TEST)
    address = send(ingrid)
    delivery.drain()
    assert partner.received == []
    said = told(ingrid, address)
    assert "ACME is disabled: the Assign waits. Enable the system; then it is sent. Enable ACME" in said


def test_a_system_that_was_paused_before_says_so_and_leads_to_resuming_it(ingrid, acme):
    acme.paused_at = timezone.now()
    acme.save()
    said = told(ingrid, send(ingrid))
    assert "ACME refuses our requests. Sending is paused. Fix the cause. Then resume. Edit ACME Resume ACME" in said


def test_a_circuit_breaker_that_somebody_opened_says_whose_it_is(ingrid, acme, partner):
    breaker.open_by_hand(acme, ingrid, "its desk moves")
    address = send(ingrid)
    delivery.drain()
    said = told(ingrid, address)
    assert "Somebody paused sending to ACME: its desk moves (ingrid)." in said
    assert "The test is sent once somebody resumes it." in said
    assert partner.received == []


def test_a_circuit_breaker_that_opened_by_itself_says_when_it_goes_on(ingrid, acme, partner):
    now = timezone.now()
    opened = {"breaker": "Open", "breaker_opened_at": now, "breaker_until": now + timedelta(hours=1)}
    DeliveryControl.objects.update(**opened, breaker_cause="in_a_row", consecutive_failures=10)
    address = send(ingrid)
    delivery.drain()
    said = told(ingrid, address)
    assert "10 tries in a row failed. Nothing is sent to ACME until one operation gets through as a probe." in said
    assert "One operation probes before the others are sent." in said
    assert "It will be retried automatically:" in said


def test_a_partner_that_collects_lets_it_wait(ingrid, acme):
    ExternalSystem.objects.update(delivery="pull")
    assert "ACME collects its operations itself: the test waits until it does." in told(ingrid, TEST)
    assert "The Assign waits to be collected." in told(ingrid, send(ingrid))


def test_one_that_is_being_sent_and_one_whose_worker_died_are_told_apart(ingrid, acme):
    address = send(ingrid)
    assert len(outbox.claim(1)) == 1
    assert "The Assign is being sent now." in told(ingrid, address)
    OutgoingOperation.objects.filter(status="Sending").update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert "A worker took the Assign but did not finish." in told(ingrid, address)


def test_one_that_was_skipped_is_given_up(ingrid, acme):
    address = send(ingrid)
    outbox.skip_all(operations(), ingrid, "Dealt with by telephone")
    assert "The Cancel was given up: ACME never gets it." in told(ingrid, address)
    assert "hx-get" not in web(ingrid).get(address).content.decode().partition("<main")[2]


def test_one_that_was_refused_is_retried_from_its_page_and_works(ingrid, acme, partner):
    partner.script = [answer(422)]
    address = send(ingrid)
    delivery.drain()
    response = post_form(web(ingrid), address, having="next", follow=True)
    assert response.redirect_chain[-1][0] == address
    assert messages(response) == ["Assign 1 to ACME is sent as soon as it is its turn."]
    delivery.drain()
    assert "It works: ACME has taken the test." in told(ingrid, address)


def test_what_the_partner_answers_is_no_markup(ingrid, acme, partner):
    evil = "<script>alert(1)</script>"
    partner.default = answer(422, evil.encode())
    address = send(ingrid)
    delivery.drain()
    assert evil not in web(ingrid).get(address).content.decode()


# --- The page renews itself ---


def test_the_part_that_renews_itself_is_sent_only_when_there_is_news(ingrid, acme, partner):
    address = send(ingrid)
    first = poll(ingrid, address)
    assert "<html" not in first.content.decode()
    version = version_in(first)
    unchanged = poll(ingrid, address, version)
    assert (unchanged.status_code, unchanged.content) == (204, b"")
    delivery.drain()
    news = poll(ingrid, address, version)
    assert "It works" in news.content.decode()
    assert "hx-get" not in news.content.decode(), "nothing more is to come"


def test_so_is_that_of_the_status_page(ingrid, acme):
    first = poll(ingrid, STATUS)
    assert poll(ingrid, STATUS, version_in(first)).status_code == 204
    breaker.open_by_hand(acme, ingrid, "its desk moves")
    second = poll(ingrid, STATUS, version_in(first))
    assert "Paused by hand" in second.content.decode()
    assert poll(ingrid, STATUS, version_in(second)).status_code == 204, "whatever token its forms hold"


def test_the_page_takes_few_queries_however_often_it_was_tried(ingrid, acme, partner, django_assert_max_num_queries):
    partner.default = answer(503)
    address = send(ingrid)
    client = web(ingrid)
    client.get(address)
    for _ in range(5):
        OutgoingOperation.objects.update(next_try_at=timezone.now())
        DeliveryControl.objects.update(breaker="Closed", consecutive_failures=0)
        delivery.drain()
    with django_assert_max_num_queries(8):
        client.get(address)
