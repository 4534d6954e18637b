"""A drain waits for operations that it can claim in a moment. The outcomes of a try are tested in delivery/."""

import time

import pytest
from django.db import connection, transaction

from changes.models import Change
from integrations.models import DeliveryControl, OutgoingOperation
from integrations.outgoing import delivery, outbox
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.threads import at_once

from .partner import answer

pytestmark = pytest.mark.django_db(transaction=True)


def give(count):
    for _ in range(count):
        ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))


def test_what_another_worker_holds_at_the_moment_is_not_left_to_the_sweep(acme, partner):
    give(1)

    def claims_meanwhile():
        with transaction.atomic():
            DeliveryControl.objects.select_for_update().get(pk=acme.pk)
            time.sleep(0.3)  # simulates a slow claim

    at_once(claims_meanwhile, lambda: (time.sleep(0.1), delivery.drain()))
    assert OutgoingOperation.objects.get().status == "Delivered"


def test_what_the_rate_limit_holds_back_for_a_moment_is_not_left_to_the_sweep(acme, partner):
    acme.rate_limit = 600
    acme.save()
    give(13)
    assert delivery.drain() == 13
    assert len(partner.received) == 13


def test_a_change_that_is_gone_when_the_answer_comes_does_not_keep_the_drain(acme, partner):
    give(1)

    def take_and_delete(handler):
        Change.objects.get().delete()
        connection.close()
        answer(200)(handler)

    partner.default = take_and_delete
    assert delivery.drain() == 1
    assert not OutgoingOperation.objects.exists()


def test_what_it_would_have_to_wait_long_for_is(acme, partner, settings):
    settings.DISPATCH_INTERVAL = 0.2
    acme.rate_limit = 1
    acme.save()
    give(2)
    assert delivery.drain() == 1
    assert outbox.is_more_due()


def test_what_a_full_system_waits_for_is_looked_for_by_who_fills_it(acme, partner):
    acme.max_in_flight = 1
    acme.save()
    give(2)
    assert len(outbox.claim(10)) == 1
    assert not outbox.is_more_due()
    assert delivery.drain() == 0


def test_what_was_claimed_before_the_process_slept_past_its_lease_is_not_sent_by_it(
    acme, partner, settings, monkeypatch
):
    settings.DELIVERY_LEASE = 0.3
    give(1)
    claim = outbox.claim

    def sleeps_then(limit):
        claimed = claim(limit)
        time.sleep(0.4)  # simulates a process that was suspended between claim and request
        monkeypatch.undo()
        settings.DELIVERY_LEASE = 0.3
        return claimed

    monkeypatch.setattr(outbox, "claim", sleeps_then)
    assert delivery.drain() == 0
    assert partner.received == []
    outbox.release_stale()
    assert delivery.drain() == 1
    assert OutgoingOperation.objects.get().status == "Delivered"


@pytest.fixture
def no_teapots():
    """Lets the database refuse to store an answer with the word teapot."""
    if connection.vendor == "sqlite":
        make = [
            "CREATE TRIGGER no_teapots BEFORE INSERT ON integrations_deliveryattempt "
            "WHEN NEW.answer LIKE '%teapot%' BEGIN SELECT RAISE(ABORT, 'no teapots'); END"
        ]
        remove = ["DROP TRIGGER no_teapots"]
    else:
        make = [
            "CREATE FUNCTION no_teapots() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no teapots' USING ERRCODE = 'integrity_constraint_violation'; END $$",
            "CREATE TRIGGER no_teapots BEFORE INSERT ON integrations_deliveryattempt FOR EACH ROW "
            "WHEN (NEW.answer LIKE '%teapot%') EXECUTE FUNCTION no_teapots()",
        ]
        remove = ["DROP TRIGGER no_teapots ON integrations_deliveryattempt", "DROP FUNCTION no_teapots()"]
    with connection.cursor() as cursor:
        for statement in make:
            cursor.execute(statement)
    yield
    with connection.cursor() as cursor:
        for statement in remove:
            cursor.execute(statement)


def test_a_result_that_the_database_does_not_take_holds_up_no_other_and_is_not_sent_for_ever(acme, partner, no_teapots):
    give(3)
    partner.script = [answer(200, b'{"external_status": "teapot"}')]
    assert delivery.drain() == 3
    by_status = sorted(OutgoingOperation.objects.values_list("status", "last_error"))
    assert [status for status, _ in by_status] == ["Delivered", "Delivered", "Refused"]
    assert "the result could not be written" in by_status[-1][1]
    assert len(partner.received) == 3
    assert delivery.drain() == 0
