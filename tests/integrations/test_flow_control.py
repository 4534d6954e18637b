"""Limits and circuit breakers with real deliveries."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from integrations.choices import Breaker
from integrations.models import DeliveryAttempt, DeliveryControl, OutgoingOperation
from integrations.outgoing import delivery, outbox
from integrations.outgoing.outbox import Outcome
from integrations.standing import failures
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.threads import at_once

from .partner import Partner, answer, hang_up

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FAILURES = 3
OPEN_SECONDS = 30
OPEN, HALF_OPEN, CLOSED = Breaker.OPEN, Breaker.HALF_OPEN, Breaker.CLOSED
SECOND = timedelta(seconds=1)


@pytest.fixture
def short_times(settings):
    settings.BREAKER_FAILURES = FAILURES
    settings.BREAKER_OPEN_SECONDS = OPEN_SECONDS
    settings.DISPATCH_INTERVAL = 0.1
    settings.DELIVERY_LEASE = 20


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def other_partner(beta):
    partner = Partner()
    beta.endpoint_url = partner.url
    beta.save()
    yield partner
    partner.close()


def breaker(system):
    return DeliveryControl.objects.get(system=system).breaker


def tries():
    return sum(OutgoingOperation.objects.values_list("tries", flat=True))


def give(count, group="ACME Networks"):
    """Gives operations of different changes, so that none waits for another."""
    for _ in range(count):
        ChangeFactory(owning_group=SupportGroupFactory(name=group))


def limit(system, **limits):
    for name, value in limits.items():
        setattr(system, name, value)
    system.save()


def counts():
    return Counter(OutgoingOperation.objects.values_list("status", flat=True))


def settle(operations, outcome):
    results = []
    for operation in operations:
        attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=NOW, duration=0)
        results.append(outbox.Result(operation, attempt, outcome))
    assert outbox.settle(results) == []


def claimed_by_two():
    """Operations claimed by two workers at once. One may skip rows that the other has locked, so it claims again."""
    found = [*at_once(lambda: outbox.claim(100), lambda: outbox.claim(100)), outbox.claim(100)]
    return [operation for own in found for operation in own]


# Other threads see only committed rows. A test with one thread is rolled back, which is faster.
with_two_workers = pytest.mark.django_db(transaction=True)


with_one_worker = pytest.mark.django_db


@with_two_workers
@pytest.mark.usefixtures("short_times")
class TestInFlight:
    def test_two_workers_together_have_no_more_under_way(self, acme, clock):
        limit(acme, max_in_flight=3)
        give(8)
        first = claimed_by_two()
        assert len(first) == 3
        assert claimed_by_two() == []
        settle(first[:2], Outcome.DELIVERED)
        assert len(claimed_by_two()) == 2
        assert counts() == {"Sending": 3, "Delivered": 2, "Waiting": 3}

    def test_a_partner_never_sees_more_at_once(self, acme, partner):
        limit(acme, max_in_flight=2)
        give(8)
        lock, under_way, most = threading.Condition(), [0], [0]

        def slow(handler):
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
                lock.notify_all()
                # Waits until a second request is in flight, or until no other can come.
                lock.wait_for(lambda: most[0] >= 2, timeout=5)
                under_way[0] -= 1
            answer(200)(handler)

        partner.default = slow
        at_once(delivery.drain, delivery.drain)
        delivery.drain()
        assert (most, counts()) == ([2], {"Delivered": 8})

    def test_one_that_died_gives_its_place_back(self, acme, clock):
        limit(acme, max_in_flight=1)
        give(2)
        assert len(outbox.claim(10)) == 1
        clock.shift(21 * SECOND)
        assert outbox.claim(10) == []
        assert outbox.release_stale() == 1
        assert len(outbox.claim(10)) == 1


@with_two_workers
@pytest.mark.usefixtures("short_times")
class TestRate:
    @pytest.fixture(autouse=True)
    def many(self, acme, clock):
        limit(acme, rate_limit=120)  # two a second
        give(12)

    def test_two_workers_together_keep_it(self, clock):
        assert len(claimed_by_two()) == 2  # the burst after an idle time
        assert claimed_by_two() == []
        clock.shift(0.5 * SECOND)
        assert len(claimed_by_two()) == 1
        clock.shift(0.4 * SECOND)
        assert claimed_by_two() == []
        clock.shift(3600 * SECOND)
        assert len(claimed_by_two()) == 2

    def test_a_failed_try_counts_as_well(self, clock):
        settle(claimed_by_two(), Outcome.RETRY)
        assert claimed_by_two() == []

    def test_a_clock_that_is_set_back_stops_nothing(self, clock):
        assert len(claimed_by_two()) == 2
        clock.shift(-3600 * SECOND)
        outbox.release_stale()
        assert len(claimed_by_two()) == 2
        assert claimed_by_two() == []

    def test_another_system_has_its_own(self, beta, clock):
        give(5, "BETA Servers")
        assert Counter(operation.system.system_id for operation in claimed_by_two()) == {"ACME": 2, "BETA": 5}

    def test_a_drain_sends_no_more(self, acme, partner, clock):
        assert delivery.drain() == 2
        assert len(partner.received) == 2
        assert counts() == {"Delivered": 2, "Waiting": 10}


def fail(partner, count=FAILURES):
    partner.default = answer(503)
    give(count)
    assert delivery.drain() == count


@with_one_worker
@pytest.mark.usefixtures("short_times")
class TestBreaker:
    @pytest.fixture(autouse=True)
    def one_by_one(self, acme, clock, partner):
        limit(acme, max_in_flight=1)

    @pytest.mark.parametrize("fault", [answer(503), answer(429), hang_up])
    def test_it_opens_when_so_many_fail_in_a_row(self, acme, partner, fault):
        partner.default = fault
        give(FAILURES + 4)
        assert delivery.drain() == FAILURES
        control = DeliveryControl.objects.get(system=acme)
        assert (control.breaker, control.breaker_opened_at) == (OPEN, NOW)
        assert control.breaker_until == NOW + OPEN_SECONDS * SECOND
        assert failures.breaker_reason(control) == "3 tries in a row failed"

    def test_it_opens_when_half_of_a_window_fails(self, acme, partner):
        partner.script = [answer(503), answer(200)] * 3 + [answer(503)]
        give(10)
        delivery.drain()
        assert len(partner.received) == 7
        assert breaker(acme) == OPEN
        reason = failures.breaker_reason(DeliveryControl.objects.get(system=acme))
        assert reason == "4 of 7 tries failed within 60 s"

    @pytest.mark.parametrize("status", [400, 404, 302])
    def test_a_refusal_is_an_answer(self, acme, partner, status):
        partner.default = answer(status)
        give(4 * FAILURES)
        assert delivery.drain() == 4 * FAILURES
        assert (breaker(acme), counts()) == (CLOSED, {"Refused": 4 * FAILURES})

    def test_a_pause_is_an_answer(self, acme, partner):
        partner.default = answer(401)
        for _ in range(2 * FAILURES):
            give(1)
            delivery.drain()
            acme.refresh_from_db()
            outbox.resume(acme)
        assert breaker(acme) == CLOSED

    def test_while_it_is_open_nothing_is_sent_and_no_try_used_up(self, acme, partner, clock):
        fail(partner)
        give(5)
        clock.shift((OPEN_SECONDS - 1) * SECOND)  # longer than the first pause of the retry schedule
        partner.default = answer(200)
        assert (delivery.drain(), len(partner.received), tries()) == (0, FAILURES, FAILURES)
        assert counts() == {"Waiting": FAILURES + 5}
        clock.shift(SECOND)
        delivery.drain()
        assert (breaker(acme), counts()) == (CLOSED, {"Delivered": FAILURES + 5})

    def test_a_probe_that_fails_opens_it_again(self, acme, partner, clock):
        fail(partner)
        give(5)
        for number in range(3):
            clock.shift(OPEN_SECONDS * SECOND)
            assert delivery.drain() == 1
            control = DeliveryControl.objects.get(system=acme)
            assert (control.breaker, control.breaker_opened_at) == (OPEN, NOW)
            assert control.breaker_until == NOW + (number + 2) * OPEN_SECONDS * SECOND
        assert (len(partner.received), tries()) == (FAILURES + 3, FAILURES + 3)

    def test_a_probe_that_is_refused_closes_it(self, acme, partner, clock):
        fail(partner)
        clock.shift(OPEN_SECONDS * SECOND)
        partner.default = answer(400)
        delivery.drain()
        assert breaker(acme) == CLOSED

    def test_a_probe_whose_worker_died_blocks_until_its_lease_is_over(self, acme, partner, clock):
        fail(partner)
        clock.shift(OPEN_SECONDS * SECOND)
        assert len(outbox.claim(10)) == 1
        clock.shift(21 * SECOND)
        partner.default = answer(200)
        assert delivery.drain() == 0
        outbox.release_stale()
        assert delivery.drain() == FAILURES
        assert (breaker(acme), counts()) == (CLOSED, {"Delivered": FAILURES})

    def test_what_was_sent_before_it_opened_is_not_the_probe(self, acme, partner, clock):
        limit(acme, max_in_flight=16)
        give(FAILURES + 2)
        *failing, late = outbox.claim(FAILURES + 1)
        settle(failing, Outcome.RETRY)
        clock.shift((OPEN_SECONDS - 20) * SECOND)
        assert breaker(acme) == OPEN
        settle([late], Outcome.DELIVERED)
        assert breaker(acme) == OPEN
        clock.shift(20 * SECOND)
        assert len(outbox.claim(10)) == 1

    def test_another_system_goes_on(self, acme, beta, partner, other_partner):
        fail(partner)
        give(3)
        give(5, "BETA Servers")
        assert delivery.drain() == 5
        assert (breaker(acme), breaker(beta)) == (OPEN, CLOSED)
        assert (len(partner.received), len(other_partner.received)) == (FAILURES, 5)

    def test_a_person_opens_and_closes_it(self, acme, partner, clock):
        give(2)
        outbox.open_breaker(acme, "Their move to another house")
        clock.shift(100_000 * SECOND)
        assert (delivery.drain(), partner.received, tries()) == (0, [], 0)
        outbox.release_stale()
        assert delivery.drain() == 0
        outbox.close_breaker(acme)
        assert delivery.drain() == 2

    def test_a_person_gives_a_reason(self, acme):
        with pytest.raises(ValueError, match="reason"):
            outbox.open_breaker(acme, "  ")
        assert breaker(acme) == CLOSED

    def test_a_person_closes_one_that_opened_by_itself_without_a_probe(self, acme, partner):
        fail(partner)
        limit(acme, max_in_flight=16)
        give(4)
        outbox.close_breaker(acme)
        partner.default = answer(200)
        assert delivery.drain() == 4  # the failed operations wait for their next try
        assert counts() == {"Delivered": 4, "Waiting": FAILURES}

    def test_a_clock_that_is_set_back_does_not_keep_it_open(self, acme, partner, clock):
        fail(partner)
        clock.shift(-3600 * SECOND)
        give(1)
        partner.default = answer(200)
        assert delivery.drain() == 0
        outbox.release_stale()
        assert delivery.drain() == 1
        assert breaker(acme) == CLOSED


@with_two_workers
@pytest.mark.usefixtures("short_times")
class TestBreakerOfTwoWorkers:
    def test_one_operation_probes_for_all_workers(self, acme, partner, clock):
        fail(partner)
        limit(acme, max_in_flight=16)
        give(5)
        clock.shift(OPEN_SECONDS * SECOND)
        (probe,) = claimed_by_two()
        assert breaker(acme) == HALF_OPEN
        assert claimed_by_two() == []
        settle([probe], Outcome.DELIVERED)
        assert breaker(acme) == CLOSED
        assert len(claimed_by_two()) == FAILURES + 5 - 1

    def test_the_failures_of_both_count_together(self, acme, partner, clock):
        limit(acme, max_in_flight=4)
        give(FAILURES + 2)
        found = at_once(lambda: outbox.claim(2), lambda: outbox.claim(2))
        while sum(map(len, found)) < FAILURES:  # one worker found the rows locked by the other
            found.append(outbox.claim(2))
        first, *others = [operation for own in found for operation in own]
        settle([first], Outcome.RETRY)
        assert breaker(acme) == CLOSED
        at_once(*[lambda operation=operation: settle([operation], Outcome.RETRY) for operation in others])
        assert breaker(acme) == OPEN
        assert claimed_by_two() == []
