"""Section 5 of the rules: what becomes of each try, with a partner over real HTTP."""

import ipaddress
import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.db import connection
from django.utils import timezone

from changes.models import Comment
from integrations.models import DeliveryAttempt, Exchange, ExternalReference, OutgoingOperation
from integrations.outgoing import delivery, outbox
from integrations.transports.signing import is_signed_by, new_secret
from tests.factories import ChangeFactory, SupportGroupFactory

from .partner import Partner, answer, hang_up, short

pytestmark = pytest.mark.django_db


@pytest.fixture
def change(acme, partner):
    """A change that ACME holds: its Assign is waiting."""
    return ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))


def comment(change, alice, body="Hello"):
    Comment(change=change, author=alice, body=body).save()


def due_now():
    OutgoingOperation.objects.filter(status="Waiting").update(next_try_at=timezone.now())


def first():
    return OutgoingOperation.objects.order_by("id").first()


def tried(operation, outcome, error=""):
    attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0)
    return outbox.Result(operation, attempt, outcome, error)


def statuses():
    return [row.status for row in OutgoingOperation.objects.order_by("id")]


OUTCOMES = {
    "Delivered": [200, 201, 202, 204, 299],
    "Waiting": [408, 425, 429, 500, 502, 503, 504, 599],
    "Refused": [300, 301, 302, 303, 304, 307, 308, 400, 402, 404, 405, 409, 411, 413, 415, 422, 451, 499],
    "Paused": [401, 403, 410],
}


@pytest.mark.parametrize(("outcome", "status"), [(name, code) for name, codes in OUTCOMES.items() for code in codes])
def test_each_status_has_its_outcome(acme, partner, change, outcome, status):
    partner.default = answer(status, None, Location="http://127.0.0.1:9/elsewhere")
    before = timezone.now()
    delivery.drain()
    operation = first()
    acme.refresh_from_db()
    assert len(partner.received) == 1
    assert operation.status == (outcome if outcome != "Paused" else "Waiting")
    attempt = operation.attempts.get()
    assert (attempt.http_status, attempt.failure) == (status, "" if outcome == "Delivered" else "status")
    assert (operation.last_failure, operation.last_http_status) == (
        attempt.failure,
        status if attempt.failure else None,
    )
    assert (acme.paused_at is not None) == (outcome == "Paused")
    if outcome == "Waiting":
        assert (operation.tries, operation.next_try_at > before) == (1, True)
    if outcome == "Paused":
        assert operation.tries == 0
        assert acme.pause_status == status


@pytest.mark.parametrize("fault", [hang_up, short])
def test_a_broken_connection_is_retried(partner, change, fault):
    partner.script = [fault]
    delivery.drain()
    assert (first().status, first().tries) == ("Waiting", 1)
    assert first().attempts.get().error
    assert first().attempts.get().failure == first().last_failure == "connection_broken"
    due_now()
    delivery.drain()
    assert first().status == "Delivered"


def test_a_timeout_is_retried(partner, change, settings):
    settings.DELIVERY_TIMEOUT = 0.2
    partner.script = [partner.hang]
    delivery.drain()
    assert (first().status, first().tries) == ("Waiting", 1)
    assert "within 0.2 s" in first().last_error
    assert first().last_failure == "timeout"


def test_a_partner_that_is_not_there_is_retried(acme, change, partner):
    partner.close()
    delivery.drain()
    assert (first().status, first().tries) == ("Waiting", 1)


class TestPauses:
    def test_they_grow_with_jitter_and_the_last_refuses(self, partner, change, settings):
        settings.DELIVERY_RETRY_SCHEDULE = [10, 100, 1000]
        partner.default = answer(503)
        for pause in settings.DELIVERY_RETRY_SCHEDULE:
            before = timezone.now()
            delivery.drain()
            waited = (first().next_try_at - before).total_seconds()
            assert pause * 0.8 <= waited <= pause * 1.2 + 5
            assert first().status == "Waiting"
            due_now()
        delivery.drain()
        assert (first().status, first().tries, first().attempts.count()) == ("Refused", 4, 4)

    def test_they_are_jittered(self, partner, change, settings):
        settings.DELIVERY_RETRY_SCHEDULE = [1000] * 6
        partner.default = answer(503)
        pauses = set()
        for _ in range(6):
            before = timezone.now()
            delivery.drain()
            pauses.add(round((first().next_try_at - before).total_seconds()))
            due_now()
        assert len(pauses) > 1

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_retry_after_is_honoured(self, partner, change, settings, form):
        settings.DELIVERY_RETRY_SCHEDULE = [5]
        until = datetime.now(UTC) + timedelta(seconds=600)
        text = "600" if form == "seconds" else format_datetime(until, usegmt=True)
        partner.default = answer(429, None, Retry_After=text)
        delivery.drain()
        assert abs((first().next_try_at - until).total_seconds()) < 10

    @pytest.mark.parametrize(
        "text",
        [
            *("soon", "-5", "1e9", "", "Wed, 99 Foo 2026"),
            "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
            "Mon, 01 Jan 2027 00:00:00 +9999999999999",
        ],
    )
    def test_one_that_cannot_be_read_leaves_our_own_pause(self, partner, change, settings, text):
        settings.DELIVERY_RETRY_SCHEDULE = [5]
        partner.default = answer(503, None, Retry_After=text)
        before = timezone.now()
        delivery.drain()
        assert (first().next_try_at - before).total_seconds() < 15

    def test_an_absurd_one_is_cut_to_a_day(self, partner, change):
        partner.default = answer(503, None, Retry_After="999999999")
        before = timezone.now()
        delivery.drain()
        assert (first().next_try_at - before).total_seconds() < 86_400 + 15


class TestOrder:
    def test_operations_of_one_change_and_system_go_one_by_one_in_order(self, partner, change, alice):
        for number in range(5):
            comment(change, alice, f"{number}")
        delivery.drain()
        assert [message["sequence"] for _, message, _ in partner.received] == [1, 2, 3, 4, 5, 6]
        assert set(statuses()) == {"Delivered"}

    @pytest.mark.parametrize("status", [503, 400])
    def test_those_behind_a_waiting_or_refused_one_wait_too(self, partner, change, alice, status):
        comment(change, alice)
        partner.script = [answer(status)]
        delivery.drain()
        other = ChangeFactory(owning_group=change.owning_group)
        delivery.drain()
        assert partner.operations == ["Assign", "Assign"]
        assert statuses() == ["Refused" if status == 400 else "Waiting", "Waiting", "Delivered"]
        assert OutgoingOperation.objects.get(change=other).status == "Delivered"

    def test_another_change_and_another_system_do_not_wait(self, acme, beta, partner, change, alice):
        other = Partner()
        beta.endpoint_url = other.url
        beta.save()
        ExternalReference.objects.create(change=change, system=beta, external_id="B-1")
        comment(change, alice)
        partner.script = [answer(400)]
        delivery.drain()
        other.close()
        assert [(row.system.system_id, row.status) for row in OutgoingOperation.objects.order_by("id")] == [
            ("ACME", "Refused"),
            ("ACME", "Waiting"),
            ("BETA", "Delivered"),
        ]

    def test_every_try_carries_the_same_id(self, partner, change):
        partner.script = [answer(503), hang_up]
        for _ in range(3):
            delivery.drain()
            due_now()
        ids = {message["id"] for _, message, _ in partner.received}
        assert (len(partner.received), ids) == (3, {str(first().pk)})
        assert {headers["webhook-id"] for headers, _, _ in partner.received} == ids


class TestByHand:
    def test_a_refused_one_can_be_retried_now(self, partner, change):
        partner.script = [answer(400)]
        delivery.drain()
        outbox.retry_now(first())
        delivery.drain()
        assert first().status == "Delivered"

    def test_a_waiting_one_can_be_retried_before_its_time(self, partner, change):
        partner.script = [answer(503)]
        delivery.drain()
        outbox.retry_now(first())
        delivery.drain()
        assert first().status == "Delivered"

    def test_skipping_needs_a_reason_and_frees_those_behind(self, partner, change, alice, ingrid):
        comment(change, alice)
        partner.script = [answer(400)]
        delivery.drain()
        with pytest.raises(ValueError, match="reason"):
            outbox.skip(first(), ingrid, "  ")
        assert statuses() == ["Refused", "Waiting"]
        outbox.skip(first(), ingrid, "Told them by phone")
        delivery.drain()
        assert statuses() == ["Skipped", "Delivered"]
        assert (first().skipped_by, first().skip_reason) == (ingrid, "Told them by phone")
        assert [message["sequence"] for _, message, _ in partner.received] == [1, 2]

    @pytest.mark.parametrize("status", ["Delivered", "Skipped", "Sending"])
    def test_what_is_settled_or_on_its_way_is_left_alone(self, change, ingrid, status):
        OutgoingOperation.objects.update(status=status)
        with pytest.raises(outbox.NotOpen):
            outbox.retry_now(first())
        with pytest.raises(outbox.NotOpen):
            outbox.skip(first(), ingrid, "Why not")
        assert statuses() == [status]

    def test_all_that_waits_behind_can_be_skipped_with_it(self, change, alice, ingrid):
        for _ in range(3):
            comment(change, alice)
        behind = outbox.waiting_behind(first())
        assert [row.sequence for row in behind] == [2, 3, 4]
        assert outbox.skip_all([first(), *behind], ingrid, "Never mind") == 4
        assert set(statuses()) == {"Skipped"}


class TestWaitingSystems:
    @pytest.mark.parametrize("how", ["disabled", "paused"])
    def test_all_waits_and_flows_in_order_once_it_is_enabled(self, acme, partner, change, alice, how):
        comment(change, alice)
        if how == "disabled":
            acme.enabled = False
            acme.save()
        else:
            partner.script = [answer(410)]
            delivery.drain()
            partner.received.clear()
        delivery.drain()
        assert (partner.received, set(statuses())) == ([], {"Waiting"})
        acme.refresh_from_db()
        acme.enabled = True
        acme.save()
        outbox.resume(acme)
        delivery.drain()
        assert partner.operations == ["Assign", "Update"]
        assert {row.tries for row in OutgoingOperation.objects.all()} == {0}

    def test_a_system_that_polls_is_not_pushed_to(self, acme, partner, change):
        acme.delivery = "pull"
        acme.save()
        delivery.drain()
        assert (partner.received, statuses()) == ([], ["Waiting"])


class TestAnswers:
    RECORD = {"external_id": "A-1", "external_url": "https://acme.example/A-1", "external_status": "New"}

    def test_it_fills_the_reference(self, acme, partner, change):
        partner.default = answer(200, self.RECORD)
        delivery.drain()
        reference = ExternalReference.objects.get()
        assert (reference.change, reference.system) == (change, acme)
        assert {name: getattr(reference, name) for name in self.RECORD} == self.RECORD

    def test_a_later_one_updates_it(self, partner, change, alice):
        comment(change, alice)
        partner.script = [answer(200, self.RECORD), answer(200, {"external_id": "A-1", "external_status": "Done"})]
        delivery.drain()
        assert ExternalReference.objects.get().external_status == "Done"
        assert partner.received[1][1]["external_reference"]["external_id"] == "A-1"

    UNUSABLE = [
        b"<html>fine</html>",
        b"{",
        b"[" * 100_000,
        b'"text"',
        b"\xff\xfe",
        {"external_id": [7]},
        {"external_id": "x" * 256},
        {"external_id": "\x00"},
        {"external_id": "TAKEN"},
        {"external_status": "In progress"},
        b"x" * 200_000,
    ]

    @pytest.mark.parametrize("body", UNUSABLE, ids=range(len(UNUSABLE)))
    def test_one_that_cannot_be_used_fails_no_delivery_and_is_kept(self, acme, partner, change, body):
        ExternalReference.objects.create(change=ChangeFactory(), system=acme, external_id="TAKEN")
        partner.default = answer(200, body)
        delivery.drain()
        assert first().status == "Delivered"
        attempt = DeliveryAttempt.objects.get()
        assert attempt.note
        assert (attempt.failure, first().last_failure) == ("unusable_answer", "")
        assert attempt.answer
        assert not ExternalReference.objects.filter(change=change).exists()

    def test_of_one_that_can_be_used_in_part_that_part_is(self, partner, change):
        partner.default = answer(200, {**self.RECORD, "external_status": True})
        delivery.drain()
        reference = ExternalReference.objects.get()
        assert (reference.external_id, reference.external_status) == ("A-1", "")
        assert "external_status" in DeliveryAttempt.objects.get().note

    def test_a_link_that_is_no_web_address_is_left_out(self, partner, change):
        partner.default = answer(200, {**self.RECORD, "external_url": "javascript:alert(1)"})
        delivery.drain()
        reference = ExternalReference.objects.get()
        assert (reference.external_id, reference.external_url) == ("A-1", "")
        assert "external_url" in DeliveryAttempt.objects.get().note

    def test_another_id_than_the_reference_is_not_used(self, acme, partner, change):
        ExternalReference.objects.create(change=change, system=acme, external_id="A-1")
        partner.default = answer(200, {"external_id": "A-2", "external_status": "Odd"})
        delivery.drain()
        reference = ExternalReference.objects.get()
        assert (first().status, reference.external_id, reference.external_status) == ("Delivered", "A-1", "")

    def test_it_is_not_used_once_the_partner_has_rejected_the_change(self, acme, partner, change):
        exchange = Exchange.objects.get()
        exchange.state = exchange.state.after_reject()
        exchange.save()
        partner.default = answer(200, self.RECORD)
        delivery.drain()
        assert (first().status, ExternalReference.objects.count()) == ("Delivered", 0)
        assert "rejected" in DeliveryAttempt.objects.get().note

    def test_an_empty_one_is_fine(self, partner, change):
        partner.default = answer(204)
        delivery.drain()
        attempt = DeliveryAttempt.objects.get()
        assert (first().status, attempt.note, attempt.failure) == ("Delivered", "", "")


class TestWhatIsSent:
    def test_the_message_has_the_members_of_the_contract(self, acme, partner, change, alice):
        comment(change, alice, "Parts?")
        delivery.drain()
        assign, update = (message for _, message, _ in partner.received)
        assert set(assign) == {
            *("id", "operation", "system_id", "sequence", "created_at", "origin", "change", "changed_fields"),
            *("external_reference", "comment", "attachment"),
        }
        assert (assign["operation"], assign["system_id"], assign["sequence"]) == ("Assign", "ACME", 1)
        assert assign["origin"] is assign["comment"] is assign["attachment"] is assign["external_reference"] is None
        assert assign["change"]["number"] == change.number
        assert assign["created_at"].endswith("Z")
        assert update["comment"]["body"] == "Parts?"
        assert update["comment"]["author"] == "alice"

    def test_it_is_signed_as_standard_webhooks_says(self, acme, partner, change):
        acme.previous_signing_secret, acme.signing_secret = acme.signing_secret, new_secret()
        acme.save()
        delivery.drain()
        headers, _, body = partner.received[0]
        for secret in acme.signing_secrets:
            assert is_signed_by(secret, body, headers)
        assert not is_signed_by(new_secret(), body, headers)
        assert not is_signed_by(acme.signing_secret, body + b" ", headers)
        assert headers["User-Agent"].startswith("casexchange/")
        assert headers["Content-Type"] == "application/json"

    def test_no_redirect_is_followed(self, partner, change):
        partner.script = [answer(307, None, Location=partner.url)]
        delivery.drain()
        assert (len(partner.received), first().status) == (1, "Refused")


class TestAttempts:
    def test_each_try_is_kept(self, partner, change):
        partner.script = [answer(503, b"busy"), answer(200, b"{}")]
        delivery.drain()
        due_now()
        delivery.drain()
        tries = [(row.http_status, row.answer, row.error) for row in first().attempts.all()]
        assert tries == [(503, "busy", ""), (200, "{}", "")]
        assert all(row.duration >= 0 and row.started_at for row in first().attempts.all())

    def test_of_a_long_answer_the_start_is_kept(self, partner, change):
        partner.default = answer(400, b"x" * 100_000)
        delivery.drain()
        assert len(first().attempts.get().answer) == delivery.ANSWER_KEPT


class TestClaims:
    def test_a_stale_worker_cannot_record_over_the_new_ones_result(self, partner, change, settings):
        settings.DELIVERY_LEASE = 0.001
        (stale,) = outbox.claim(10)
        outbox.release_stale()
        (fresh,) = outbox.claim(10)
        outbox.settle([tried(fresh, outbox.Outcome.DELIVERED)])
        outbox.settle([tried(stale, outbox.Outcome.RETRY, "too late")])
        assert first().status == "Delivered"
        assert first().attempts.count() == 2

    def test_a_claimed_one_is_not_claimed_again_until_its_lease_ran_out(self, change, settings):
        assert len(outbox.claim(10)) == 1
        assert outbox.claim(10) == []
        assert outbox.release_stale() == 0
        OutgoingOperation.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
        assert outbox.release_stale() == 1
        assert len(outbox.claim(10)) == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_send_the_same_operation_at_once(acme, partner, alice):
    changes = [ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks")) for _ in range(10)]
    for change in changes * 2:
        comment(change, alice)

    def work():
        delivery.drain()
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    delivery.drain()
    assert set(statuses()) == {"Delivered"}
    ids = [message["id"] for _, message, _ in partner.received]
    assert len(ids) == len(set(ids)) == 30
    by_change = {}
    for _, message, _ in partner.received:
        by_change.setdefault(message["change"]["number"], []).append(message["sequence"])
    assert set(map(tuple, by_change.values())) == {(1, 2, 3)}


class TestAddresses:
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "10.0.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "2130706433",
            "0x7f.1",
            "[::ffff:127.0.0.1]",
            "224.0.0.1",
            "100.64.0.1",
            "[fe80::1]",
            "[::127.0.0.1]",
            "[64:ff9b::a00:1]",
            "[64:ff9b:1::a00:1]",
            "[2002:a00:1::1]",
            "[2001::1]",
            "[2001:db8::1]",
            "[fec0::1]",
            "[3fff::1]",
            "[5f00::1]",
            "192.0.0.8",
            "192.88.99.1",
            "[fd00::1]",
        ],
    )
    def test_only_public_ones_are_reached(self, acme, change, host):
        transport = delivery.HttpTransport([])
        request = delivery.Request(f"http://{host}:9/operations", {}, b"{}", 5)
        with pytest.raises(delivery.TransportError) as refused:
            transport.submit([request])[0].result(10)
        transport.close()
        assert refused.value.permanent, str(refused.value)

    def test_a_refused_address_waits_for_a_person(self, acme, change, partner, monkeypatch):
        monkeypatch.setattr(delivery, "_transport", lambda pid: delivery.HttpTransport([]))
        delivery.drain()
        assert partner.received == []
        assert first().status == "Refused"
        assert "OUTGOING_ALLOWED_NETWORKS" in first().last_error
        assert first().last_failure == "address_not_allowed"


def test_json_is_utf8(acme, partner, change):
    change.title = "Zürich ☃"
    change.owning_group = None
    change.save()
    delivery.drain()
    body = partner.received[1][2]
    assert "Zürich ☃" in body.decode()
    assert json.loads(body)["changed_fields"]["title"]["new"] == "Zürich ☃"


class TestIndependence:
    """What goes wrong with one operation or one partner stays there."""

    @pytest.fixture
    def other(self, beta):
        """BETA's own server, and a change that BETA holds."""
        partner = Partner()
        beta.endpoint_url = partner.url
        beta.save()
        ChangeFactory(owning_group=SupportGroupFactory(name="BETA Servers"))
        yield partner
        partner.close()

    def test_a_fault_of_ours_with_one_operation_leaves_the_others_alone(self, partner, change, other, monkeypatch):
        read = delivery.read_answer

        def broken(response):
            if b"A-1" in response.body:
                raise RuntimeError("a bug")
            return read(response)

        monkeypatch.setattr(delivery, "read_answer", broken)
        partner.default = answer(200, {"external_id": "A-1"})
        delivery.drain()
        assert [(row.system.system_id, row.status) for row in OutgoingOperation.objects.order_by("id")] == [
            ("ACME", "Refused"),
            ("BETA", "Delivered"),
        ]
        assert "a bug" in first().attempts.get().error
        assert first().last_failure == "internal"

    def test_a_secret_that_cannot_be_decrypted_stops_its_own_system_only(self, acme, partner, change, other):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE integrations_externalsystem SET signing_secret = 'x' WHERE system_id = 'ACME'")
        delivery.drain()
        assert statuses() == ["Refused", "Delivered"]
        assert "SECRET_KEY" in first().last_error
        assert first().last_failure == "signing_secret"
        acme.refresh_from_db()
        acme.description = "Saved since"
        acme.save()
        with connection.cursor() as cursor:
            cursor.execute("SELECT signing_secret FROM integrations_externalsystem WHERE system_id = 'ACME'")
            assert cursor.fetchone() == ("x",)  # not lost: the former SECRET_KEY may come back

    def test_a_partner_that_hangs_leaves_room_for_the_others(self, acme, partner, other):
        acme.max_in_flight = 3
        acme.save()
        for _ in range(5):
            ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))
        assert Counter(row.system.system_id for row in outbox.claim(100)) == {"ACME": 3, "BETA": 1}

    def test_where_there_is_no_room_for_all_each_system_gets_its_share(self, acme, partner, change, other):
        for name in ["ACME Networks"] * 5 + ["BETA Servers"] * 5:
            ChangeFactory(owning_group=SupportGroupFactory(name=name))
        assert Counter(row.system.system_id for row in outbox.claim(6)) == {"ACME": 3, "BETA": 3}


def test_waiting_for_a_connection_uses_up_no_time(acme, partner):
    """More requests at once than a connection pool would hold: each one's time begins when it is sent."""
    partner.default = lambda handler: (time.sleep(0.3), answer(200)(handler))
    transport = delivery.HttpTransport([ipaddress.ip_network("127.0.0.0/8")])
    sent = transport.submit([delivery.Request(partner.url, {}, b"{}", 30)] * 100)
    assert {future.result(60).status for future in sent} == {200}
    transport.close()
    assert len(set(partner.clients)) == 100


def test_a_secret_survives_a_new_secret_key_with_the_former_as_fallback(acme, settings):
    before = acme.signing_secret
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key, at least as long as the former one was"
    acme.refresh_from_db()
    assert acme.signing_secret == before
