"""Section 5 of the rules: the order of operations, what does not wait, and decisions by hand."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from integrations.models import DeliveryAttempt, ExternalReference, OutgoingOperation
from integrations.outgoing import delivery, outbox, sending
from tests.factories import ChangeFactory, SupportGroupFactory

from ..partner import Partner, answer, hang_up
from .conftest import comment, due_now, first

pytestmark = pytest.mark.django_db


def tried(operation, outcome, error=""):
    attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0)
    return outbox.Result(operation, attempt, outcome, error)


def statuses():
    return [row.status for row in OutgoingOperation.objects.order_by("id")]


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


class TestIndependence:
    """A failure of one operation or partner does not affect the others."""

    @pytest.fixture
    def other(self, beta):
        """BETA's server, and a change that BETA holds."""
        partner = Partner()
        beta.endpoint_url = partner.url
        beta.save()
        ChangeFactory(owning_group=SupportGroupFactory(name="BETA Servers"))
        yield partner
        partner.close()

    def test_a_fault_of_ours_with_one_operation_leaves_the_others_alone(self, partner, change, other, monkeypatch):
        read = sending.read_answer

        def broken(response):
            if b"A-1" in response.body:
                raise RuntimeError("a bug")
            return read(response)

        monkeypatch.setattr(sending, "read_answer", broken)
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
        assert "FIELD_ENCRYPTION_KEYS" in first().last_error
        assert first().last_failure == "signing_secret"
        acme.refresh_from_db()
        acme.description = "Saved since"
        acme.save()
        with connection.cursor() as cursor:
            cursor.execute("SELECT signing_secret FROM integrations_externalsystem WHERE system_id = 'ACME'")
            assert cursor.fetchone() == ("x",)  # not lost: its key may come back

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
