"""The protocol of claims, leases and retries as a state machine, against the real outbox and database.

Workers, a partner, people and the clock act in any order. A worker may die between any two statements, and two actions
may run concurrently, statement by statement. After each step the rows must be in a state that the model allows. At the
end everything recovers, and every operation must be delivered, once and in order.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from integrations.models import OutgoingOperation
from tests.examples import examples
from tests.factories import ExternalGroupFactory

from .outbox_machine import Exchanging
from .outbox_model import GROUPS, LEASE, SCHEDULE
from .outbox_workers import BEHAVIOURS, CHANGES, SYSTEMS, WORKERS, Work, rotated
from .sessions import Sessions

numbers = st.integers(0, 30)
workers = st.integers(0, WORKERS - 1)
comments = st.tuples(st.just("comment"), st.integers(0, CHANGES - 1))
claims = st.tuples(st.just("claim"), workers, st.integers(1, 6))
settling = st.tuples(st.just("settle"), workers, st.integers(1, 4), st.booleans())
by_hand = st.tuples(st.sampled_from(["retry", "skip", "skip behind"]), numbers)
reassigning = st.tuples(st.just("reassign"), st.integers(0, CHANGES - 1), st.sampled_from([*GROUPS]))
# Numbers of statements of the two works in turn. 100 runs a work to its end, or until it waits for the other.
bursts = st.lists(st.one_of(st.integers(1, 10), st.just(100)), min_size=1, max_size=4)
one_place = st.builds(lambda place: [place, 100], st.integers(1, 10))
# Without the answer that pauses a system: it has its own rule, or soon nothing would be sent any more.
answers = st.sampled_from([behaviour for behaviour in BEHAVIOURS if behaviour != "forbids"])
works = st.one_of(comments, claims, settling, by_hand, reassigning, st.tuples(st.just("release")))


def only(*focuses: str) -> Any:
    """Limits a rule to these focuses. The steps before a fault must be likely, or the fault would have no effect."""
    return precondition(lambda self: self.focus in focuses)


class Outbox(Exchanging, RuleBasedStateMachine):
    """The actions of the test, in any order. `focus`: the kind of faults."""

    def __init__(self, focus: str, sessions: Sessions | None) -> None:
        super().__init__()
        self.focus = focus
        self.sessions = sessions
        self.is_well = self.has_begun = False

    @initialize(
        groups=st.lists(st.sampled_from(["ACME Networks", "BETA Servers"]), min_size=CHANGES, max_size=CHANGES),
        limits=st.tuples(st.sampled_from(["16", "2", "1"]), st.sampled_from(["no limit", "no limit", "120", "30"])),
    )
    def begin(self, groups: list[str], limits: tuple[str, str]) -> None:
        self.has_begun = True
        self.start(groups)
        for limit in limits:
            self.administer("ACME", limit)

    def teardown(self) -> None:
        if not self.has_begun:
            return
        try:
            if self.is_well:
                self.everybody_gets_well()
        finally:
            self.stop()

    # --- Rules ---

    @rule(work=st.one_of(comments, comments, reassigning), is_kept=st.sampled_from([True, True, True, False]))
    def something_is_recorded(self, work: tuple[Any, ...], is_kept: bool) -> None:
        self.is_well = False
        todo = self.make(work)
        with transaction.atomic():
            result = todo.run()
            transaction.set_rollback(not is_kept)
        self.check(todo.note(result) if is_kept else [])

    @rule(work=claims)
    def a_worker_claims(self, work: tuple[Any, ...]) -> None:
        self.do(*work)

    @precondition(lambda self: self.unsent())
    @rule(first=numbers, count=st.integers(1, 4), behaviour=answers)
    def messages_are_sent(self, first: int, count: int, behaviour: str) -> None:
        self.is_well = False
        for held in rotated(self.unsent(), first)[:count]:
            self.send(held, behaviour)
        self.check([])

    @precondition(lambda self: any(worker.sent() for worker in self.workers))
    @rule(work=settling)
    def a_worker_settles(self, work: tuple[Any, ...]) -> None:
        self.do(*work)

    @rule(worker=workers, behaviour=st.sampled_from(["takes", "takes and answers", "is busy", "refuses"]))
    def a_worker_works(self, worker: int, behaviour: str) -> None:
        """Claims, sends and settles without a fault."""
        self.work_without_fault(worker, behaviour)

    @only("limits")
    @rule(worker=workers)
    def a_partner_wants_no_calls(self, worker: int) -> None:
        """The partner answers 401, which pauses its system. Then an administrator resumes it."""
        self.work_without_fault(worker, "forbids")
        for system in SYSTEMS:
            self.administer(system, "resume")

    @only("leases")
    @precondition(lambda self: self.unsent() or any(worker.sent() for worker in self.workers))
    @rule(worker=workers)
    def a_worker_dies(self, worker: int) -> None:
        self.is_well = False
        self.workers[worker].held.clear()
        self.check([])

    @only("leases", "limits")
    @rule(others_finish=st.booleans(), late=st.one_of(st.none(), answers), wait=st.booleans())
    def leases_run_out(self, others_finish: bool, late: str | None, wait: bool) -> None:
        """Another worker claims operations that a worker still holds. The first may also send and settle them late."""
        if not self.unsent():
            self.do("claim", 0, 6)
        other = next(number for number, worker in enumerate(self.workers) if not worker.held or number)
        self.set_clock(LEASE.total_seconds() + 1)
        self.do("release")
        if others_finish:
            self.work_without_fault(other, "takes")
        else:
            self.do("claim", other, 6)
        if late and self.stale():
            self.a_stale_worker_wakes(0, late, wait)

    @only("leases")
    @precondition(lambda self: self.stale())
    @rule(first=numbers, behaviour=answers, wait=st.booleans())
    def a_stale_worker_wakes(self, first: int, behaviour: str, wait: bool) -> None:
        """It sends and settles an operation that another worker may have claimed or settled in the meantime."""
        self.is_well = False
        worker, held = rotated(self.stale(), first)[0]
        if held.result is None:
            self.send(held, behaviour)
        todo = self.settling(worker, [held], wait)
        self.check(todo.note(todo.run()))

    @only("limits")
    @precondition(lambda self: any(control.breaker_until for control in self.controls.values()))
    @rule(worker=workers)
    def a_probe_is_due(self, worker: int) -> None:
        until = max(control.breaker_until for control in self.controls.values() if control.breaker_until)
        self.set_clock(max(0, (until - timezone.now()).total_seconds()))
        self.do("claim", worker, 6)

    @rule(work=st.one_of(by_hand, st.tuples(st.just("release"))))
    def a_person_or_the_sweep_comes(self, work: tuple[Any, ...]) -> None:
        self.do(*work)

    @only("leases", "races")
    @precondition(lambda self: self.sessions)
    @rule(work=works, statements=st.integers(0, 14))
    def one_dies_at_it(self, work: tuple[Any, ...], statements: int) -> None:
        """The session dies before this statement. Committed work stays, even if nobody got the result."""
        self.is_well = False
        worker, todo = self.worker(work), self.make(work)
        session = self.sessions.die(todo.run, statements)
        events = todo.note(session.result) if session.is_done else []
        if work[0] in ("claim", "settle"):
            worker.held.clear()
        self.check(events)

    @only("races")
    @precondition(lambda self: self.sessions)
    @rule(first=works, second=works, bursts=bursts)
    def two_do_something_at_once(self, first: tuple[Any, ...], second: tuple[Any, ...], bursts: list[int]) -> None:
        self.is_well = False
        kinds = {"claim", "settle"}
        if first[0] in kinds and second[0] in kinds and self.worker(first) is self.worker(second):
            second = ("claim", (self.workers.index(self.worker(first)) + 1) % WORKERS, 3)
        self.at_once(self.make(first), self.make(second), bursts)

    @only("races")
    @precondition(lambda self: self.sessions)
    @rule(place=st.integers(1, 6))
    def two_claim_at_once(self, place: int) -> None:
        self.is_well = False
        self.at_once(self.claim(0, 6), self.claim(1, 6), [place, 100])

    @only("races", "limits")
    @rule(worker=workers)
    def a_worker_claims_again(self, worker: int) -> None:
        for _ in range(2):
            self.do("claim", worker, 6)

    @only("races")
    @precondition(lambda self: self.sessions)
    @rule(
        first=numbers,
        is_settled=st.sampled_from([True, True, False]),
        other=st.sampled_from(["comment", "comment", "skip", "skip behind", "retry", "release"]),
        wait=st.booleans(),
        bursts=st.one_of(one_place, bursts),
    )
    def two_work_on_one_exchange(self, first: int, is_settled: bool, other: str, wait: bool, bursts: list[int]) -> None:
        """An operation is settled or skipped while another action records behind it, or retries, skips or frees it."""
        work, operation = self.ending(first, is_settled, wait)
        self.at_once(work, self.about(operation, other), bursts)

    @only("races")
    @precondition(lambda self: self.sessions)
    @rule(first=numbers, is_settled=st.booleans(), place=st.integers(1, 8))
    def something_is_recorded_behind_what_ends(self, first: int, is_settled: bool, place: int) -> None:
        """An operation is recorded between any two statements of settling or skipping the one before it."""
        work, operation = self.ending(first, is_settled, wait=True)
        self.at_once(work, self.about(operation, "comment"), [place, 100])

    def ending(self, first: int, is_settled: bool, wait: bool) -> tuple[Work, OutgoingOperation]:
        """Work that settles an operation of a worker, or skips one. Returns the work and the operation."""
        self.is_well = False
        if is_settled and not any(worker.held for worker in self.workers):
            self.do("claim", 0, 6)
        held = rotated([(worker, held) for worker in self.workers for held in worker.held], first)
        if is_settled and held:
            worker, one = held[0]
            if one.result is None:
                self.send(one, "takes")
            work = self.settling(worker, [one], wait)
            operation = OutgoingOperation.objects.get(pk=one.operation.pk)  # not the worker's instance
        else:
            operation = self.pick(first)
            work = self.skipping(operation)
        return work, operation

    def at_once(self, first: Work, second: Work, bursts: list[int]) -> None:
        works = (first, second)
        ended = self.sessions.interleave([work.run for work in works], bursts)
        events = []
        for number in ended:
            events += works[number].note(self.sessions.both[number].result)
        self.check(events, alone=False)

    @only("leases", "limits")
    @rule(seconds=st.sampled_from([0.5, 2, 6, 16, 16, 90, -1, -3, -16, -26, -120]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.set_clock(seconds)

    @only("limits")
    @rule(
        system=st.sampled_from(SYSTEMS),
        wish=st.sampled_from(
            ["enable", "disable", "resume", "open", "close", "1", "2", "16", "no limit", "30", "120", "6000"]
        ),
    )
    def a_system_is_administered(self, system: str, wish: str) -> None:
        self.administer(system, wish)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("focus", "count"), [("leases", 10), ("races", 16), ("limits", 10)])
def test_whatever_happens_each_operation_is_delivered_in_order_and_none_is_lost(settings_of_the_model, focus, count):
    for group, system in GROUPS.items():
        if system:
            ExternalGroupFactory(group__name=group, system__system_id=system)
    # SQLite has one writer at a time, so there are no concurrent transactions.
    is_postgresql = connection.vendor == "postgresql"
    with Sessions() if is_postgresql else nullcontext() as sessions:
        run_state_machine_as_test(
            lambda: Outbox(focus, sessions),
            settings=settings(
                max_examples=examples(count if is_postgresql else count // 4),
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
                print_blob=True,
            ),
        )


@pytest.fixture
def settings_of_the_model(settings):
    settings.DELIVERY_LEASE = LEASE.total_seconds()
    settings.DELIVERY_RETRY_SCHEDULE = SCHEDULE
    settings.BREAKER_FAILURES = 2
    settings.BREAKER_OPEN_SECONDS = 15
