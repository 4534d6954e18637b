"""How many operations may be claimed, and when a circuit breaker opens and closes: the rules, as tables."""

from datetime import UTC, datetime, timedelta

import pytest

from integrations.choices import Breaker, BreakerCause
from integrations.models import DeliveryControl, ExternalSystem
from integrations.outgoing import flow_control
from integrations.outgoing.flow_control import BreakerSettings
from tests.rows import each_row

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FAILURES = 3
OPEN_SECONDS = 30
OPEN, HALF_OPEN, CLOSED = Breaker.OPEN, Breaker.HALF_OPEN, Breaker.CLOSED
BREAKER = BreakerSettings(FAILURES, timedelta(seconds=OPEN_SECONDS))


def control(max_in_flight=16, rate_limit=None, **fields):
    return DeliveryControl(system=ExternalSystem(max_in_flight=max_in_flight, rate_limit=rate_limit), **fields)


def later(seconds):
    return NOW + timedelta(seconds=seconds)


ALLOWED = [
    # Closed: up to the limit in flight.
    (control(), 0, 16),
    (control(max_in_flight=3), 2, 1),
    (control(max_in_flight=3), 3, 0),
    (control(max_in_flight=1), 5, 0),  # it was higher before
    # Open: none until its time is over; then one, if nothing is in flight.
    (control(breaker=OPEN, breaker_until=later(1)), 0, 0),
    (control(breaker=OPEN, breaker_until=later(0)), 0, 1),
    (control(breaker=OPEN, breaker_until=later(-1)), 0, 1),
    (control(breaker=OPEN, breaker_until=later(-1)), 1, 0),
    (control(breaker=OPEN, breaker_until=None), 0, 0),  # by hand
    # Half-open: the probe.
    (control(breaker=HALF_OPEN, breaker_until=later(-1)), 0, 1),
    (control(breaker=HALF_OPEN, breaker_until=later(-1)), 1, 0),
    (control(breaker=HALF_OPEN, rate_limit=60, rate_used_until=later(1)), 0, 0),
    # The rate: the operations of one second, and at least one.
    (control(rate_limit=60), 0, 1),
    (control(rate_limit=1), 0, 1),
    (control(rate_limit=600), 0, 10),
    (control(rate_limit=600), 10, 6),
    (control(rate_limit=6000), 0, 16),
    (control(rate_limit=600, rate_used_until=later(0.5)), 0, 5),
    (control(rate_limit=600, rate_used_until=later(1)), 0, 0),
    (control(rate_limit=600, rate_used_until=later(-3600)), 0, 10),  # an idle hour does not increase the burst
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


# T: delivered, F: failed.
TRIED = [
    ("", CLOSED),
    ("TTTTTTTT", CLOSED),
    ("FF", CLOSED),
    ("FFF", OPEN),
    ("FFTFF", CLOSED),
    ("TTTTTTTTTTTTTTTTFFF", OPEN),
    # The share within a window, which begins with a failure: half of at least twice `FAILURES` tries.
    ("FTFTF", CLOSED),
    ("FTFTFT", CLOSED),  # a success never opens it
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
