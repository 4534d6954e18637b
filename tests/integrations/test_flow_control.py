"""How much is sent to a system now: requests in flight, rate limit, circuit breaker; the same for all workers."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from integrations.choices import Breaker, BreakerCause
from integrations.models import DeliveryAttempt, DeliveryControl, ExternalSystem, OutgoingOperation
from integrations.outgoing import delivery, flow_control, outbox
from integrations.outgoing.flow_control import BreakerSettings
from integrations.outgoing.outbox import Outcome
from integrations.standing import failures
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.rows import each_row
from tests.threads import at_once

from .partner import Partner, answer, hang_up

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FAILURES = 3
OPEN_SECONDS = 30
BREAKER = BreakerSettings(FAILURES, timedelta(seconds=OPEN_SECONDS))


# --- The rules, as tables ---


def control(max_in_flight=16, rate_limit=None, **fields):
    return DeliveryControl(system=ExternalSystem(max_in_flight=max_in_flight, rate_limit=rate_limit), **fields)


def later(seconds):
    return NOW + timedelta(seconds=seconds)


OPEN, HALF_OPEN, CLOSED = Breaker.OPEN, Breaker.HALF_OPEN, Breaker.CLOSED
ALLOWED = [
    # Closed: as many as fit.
    (control(), 0, 16),
    (control(max_in_flight=3), 2, 1),
    (control(max_in_flight=3), 3, 0),
    (control(max_in_flight=1), 5, 0),  # it was higher before
    # Open: none, until its time is over; then one, once nothing is under way.
    (control(breaker=OPEN, breaker_until=later(1)), 0, 0),
    (control(breaker=OPEN, breaker_until=later(0)), 0, 1),
    (control(breaker=OPEN, breaker_until=later(-1)), 0, 1),
    (control(breaker=OPEN, breaker_until=later(-1)), 1, 0),
    (control(breaker=OPEN, breaker_until=None), 0, 0),  # by hand
    # Half-open: the probe.
    (control(breaker=HALF_OPEN, breaker_until=later(-1)), 0, 1),
    (control(breaker=HALF_OPEN, breaker_until=later(-1)), 1, 0),
    (control(breaker=HALF_OPEN, rate_limit=60, rate_used_until=later(1)), 0, 0),
    # The rate: what fits into one second, and at least one.
    (control(rate_limit=60), 0, 1),
    (control(rate_limit=1), 0, 1),
    (control(rate_limit=600), 0, 10),
    (control(rate_limit=600), 10, 6),
    (control(rate_limit=6000), 0, 16),
    (control(rate_limit=600, rate_used_until=later(0.5)), 0, 5),
    (control(rate_limit=600, rate_used_until=later(1)), 0, 0),
    (control(rate_limit=600, rate_used_until=later(-3600)), 0, 10),  # a quiet hour saves nothing up
    (control(rate_limit=600, rate_used_until=later(3600)), 0, 10),  # the clock was set back
    (control(rate_limit=1, rate_used_until=later(60)), 0, 0),
    (control(rate_limit=1, rate_used_until=later(59)), 0, 0),
    (control(rate_limit=1, rate_used_until=later(0)), 0, 1),
]


@each_row(("state", "sending", "expected"), ALLOWED)
def test_how_many_may_be_claimed(state, sending, expected):
    allowed = min(flow_control.allowance(state, NOW), flow_control.at_once(state, NOW) - sending)
    assert max(0, allowed) == expected


CLAIMED = [
    (control(), 3, {}),
    (control(breaker=OPEN, breaker_until=NOW), 1, {"breaker": HALF_OPEN}),
    (control(breaker=HALF_OPEN), 1, {}),
    (control(rate_limit=60), 1, {"rate_used_until": later(1)}),
    (control(rate_limit=600), 5, {"rate_used_until": later(0.5)}),
    (control(rate_limit=600, rate_used_until=later(0.5)), 5, {"rate_used_until": later(1)}),
    (control(rate_limit=600, rate_used_until=later(-9)), 1, {"rate_used_until": later(0.1)}),
    (control(rate_limit=600, rate_used_until=later(3600)), 1, {"rate_used_until": later(0.1)}),
]


@each_row(("state", "count", "expected"), CLAIMED)
def test_what_a_claim_notes(state, count, expected):
    before = fields_of(state)
    assert flow_control.claimed(state, count, NOW) == bool(expected)
    assert fields_of(state) == before | expected


def fields_of(state):
    return {field.attname: getattr(state, field.attname) for field in DeliveryControl._meta.concrete_fields}


# T: taken, F: failed.
TRIED = [
    ("", CLOSED),
    ("TTTTTTTT", CLOSED),
    ("FF", CLOSED),
    ("FFF", OPEN),
    ("FFTFF", CLOSED),
    ("TTTTTTTTTTTTTTTTFFF", OPEN),
    # A share of a window, which begins with a failure: half of at least twice as many.
    ("FTFTF", CLOSED),
    ("FTFTFT", CLOSED),  # no success opens it
    ("FTFTFTF", OPEN),
    ("FTTFTTFTTF", CLOSED),
    ("FFTFFT", CLOSED),
    ("FFTFFTF", OPEN),
    ("TTTTTTFTFTFTF", OPEN),
    ("FTFTFTTTTTTTT", CLOSED),
]


@each_row(("tries", "expected"), TRIED)
@each_row("at_once", [True, False])
def test_when_it_opens(tries, expected, at_once):
    state = control()
    for batch in [tries] if at_once else tries:
        flow_control.tried(state, [one == "F" for one in batch], NOW, BREAKER)
    assert state.breaker == expected
    if expected == OPEN:
        assert (state.breaker_opened_at, state.breaker_until) == (NOW, later(OPEN_SECONDS))
        assert state.breaker_cause in (BreakerCause.IN_A_ROW, BreakerCause.SHARE)


def test_failures_of_an_earlier_window_do_not_count_for_a_share():
    state = control()
    for number in range(20):
        flow_control.tried(state, [True, False], later(61 * number), BREAKER)
    assert state.breaker == CLOSED
    assert (state.window_tries, state.window_failures) == (2, 1)


def test_a_clock_that_is_set_back_begins_a_new_window():
    state = control()
    flow_control.tried(state, [True, False], NOW, BREAKER)
    flow_control.tried(state, [True], later(-3600), BREAKER)
    assert (state.window_started_at, state.window_tries, state.window_failures) == (later(-3600), 1, 1)


def test_for_a_system_that_is_well_nothing_is_written():
    state = control()
    before = fields_of(state)
    flow_control.tried(state, [False] * 5, NOW, BREAKER)
    assert fields_of(state) == before


PROBES = [("T", CLOSED), ("F", OPEN), ("FT", OPEN), ("TF", CLOSED)]


@pytest.mark.parametrize(("tries", "expected"), PROBES)
def test_what_a_probe_decides(tries, expected):
    state = control(breaker=HALF_OPEN, breaker_opened_at=NOW, breaker_until=later(30), consecutive_failures=9)
    flow_control.tried(state, [one == "F" for one in tries], later(40), BREAKER)
    assert state.breaker == expected
    if expected == OPEN:
        assert (state.breaker_opened_at, state.breaker_until) == (NOW, later(40 + OPEN_SECONDS))
    else:
        assert (state.breaker_until, state.consecutive_failures) == (None, tries.count("F"))


def test_one_that_a_person_opened_is_closed_by_a_person_alone():
    state = control()
    flow_control.open_by_hand(state, "Their move " + "x" * 400, NOW)
    assert (state.breaker, state.breaker_opened_at, state.breaker_until) == (OPEN, NOW, None)
    assert len(state.breaker_reason) == 300
    flow_control.tried(state, [False, True] * 10, NOW, BREAKER)
    assert flow_control.allowance(state, later(10**6)) == 0
    flow_control.close(state)
    assert fields_of(state) == fields_of(control())


# --- With real deliveries ---


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


def give(count, group="ACME Networks"):
    """Each of another change, so that none waits for another."""
    for _ in range(count):
        ChangeFactory(owning_group=SupportGroupFactory(name=group))


def limit(system, **limits):
    for name, value in limits.items():
        setattr(system, name, value)
    system.save()


def breaker(system):
    return DeliveryControl.objects.get(system=system).breaker


def counts():
    return Counter(OutgoingOperation.objects.values_list("status", flat=True))


def tries():
    return sum(OutgoingOperation.objects.values_list("tries", flat=True))


def settle(operations, outcome):
    results = []
    for operation in operations:
        attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=NOW, duration=0)
        results.append(outbox.Result(operation, attempt, outcome))
    assert outbox.settle(results) == []


def claimed_by_two():
    """Of two workers that look at the same time. One may find the other at it: then it looks again."""
    found = [*at_once(lambda: outbox.claim(100), lambda: outbox.claim(100)), outbox.claim(100)]
    return [operation for own in found for operation in own]


# Several threads see what is committed only; where one is enough, what a test wrote is rolled back, which is faster.
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
                # Until the other comes, or none is left to come.
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
        assert len(claimed_by_two()) == 2  # what may be used at once after a quiet time
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
        clock.shift((OPEN_SECONDS - 1) * SECOND)  # longer than the first pause of the schedule
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
        assert delivery.drain() == 4  # those that failed wait for their next try
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
        while sum(map(len, found)) < FAILURES:  # one found the other at it
            found.append(outbox.claim(2))
        first, *others = [operation for own in found for operation in own]
        settle([first], Outcome.RETRY)
        assert breaker(acme) == CLOSED
        at_once(*[lambda operation=operation: settle([operation], Outcome.RETRY) for operation in others])
        assert breaker(acme) == OPEN
        assert claimed_by_two() == []
