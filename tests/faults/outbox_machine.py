"""The real outbox with workers, partners and people: their possible actions, and the checks after each step."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

import time_machine
from django.db import transaction
from django.utils import timezone

from changes.models import Change, Comment
from integrations.models import DeliveryAttempt, ExternalSystem, OutgoingOperation
from integrations.outgoing import outbox
from integrations.outgoing.sending import Push, request_for
from integrations.transports.base import Response, TransportError
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory

from .outbox_model import (
    SETTLED,
    Claimed,
    Event,
    NotOpen,
    Partners,
    Rate,
    Recording,
    Released,
    Retried,
    Skipped,
    State,
    Tried,
    possible,
)
from .outbox_rows import assert_breaker_follows, controls, forget_everything, rows
from .outbox_workers import (
    BEGIN,
    BEHAVIOURS,
    LAST_TICKS,
    SYSTEMS,
    TAKES,
    WORKERS,
    Held,
    Work,
    Worker,
    is_open,
    rotated,
)


class Exchanging:
    """Some changes, two partners and several workers. `is_well`: whether the last step passed its checks."""

    def start(self, groups: list[str]) -> None:
        """Resets everything, and creates a change for each of `groups`, owned by this group."""
        self.travel = time_machine.travel(BEGIN, tick=False)
        self.clock = self.travel.start()
        self.latest = BEGIN
        forget_everything()
        self.alice, self.ingrid = UserFactory(username="alice"), UserFactory(username="ingrid")
        self.workers = [Worker() for _ in range(WORKERS)]
        self.partners = Partners()
        self.rates = {name: Rate() for name in SYSTEMS}
        self.states: dict[Any, State] = {}
        self.rows: dict[Any, Any] = {}
        self.controls = controls()
        self.attempts = 0
        self.texts = map(str, itertools.count(1))
        self.changes = []
        self.recordings = {}
        for group in groups:
            change = ChangeFactory(owning_group=SupportGroupFactory(name=group))
            self.changes.append(change)
            self.recordings[change.pk] = Recording()
            self.recordings[change.pk].reassigned(group)
        self.check([])

    def stop(self) -> None:
        self.travel.stop()

    # --- Actions ---

    def do(self, *work: Any) -> None:
        self.is_well = False
        todo = self.make(work)
        self.check(todo.note(todo.run()))

    def unsent(self) -> list[Held]:
        return [held for worker in self.workers for held in worker.held if held.result is None]

    def stale(self) -> list[tuple[Worker, Held]]:
        """Held operations whose claim is no longer the current one."""
        return [
            (worker, held)
            for worker in self.workers
            for held in worker.held
            for state in [self.states[held.operation.pk]]
            if (state.status, state.claim) != ("Sending", held.operation.claim)
        ]

    def worker(self, work: tuple[Any, ...]) -> Worker:
        """The worker that does this action. Settling prefers a worker that has results."""
        with_results = [worker for worker in self.workers if worker.sent()]
        number = work[1] if work[0] in ("claim", "settle") else 0
        return rotated(with_results if work[0] == "settle" and with_results else self.workers, number)[0]

    def make(self, work: tuple[Any, ...]) -> Work:
        kind, *arguments = work
        return getattr(self, kind.replace(" ", "_"))(*arguments)

    def comment(self, number: int) -> Work:
        change, body = self.changes[number], next(self.texts)

        def note(result: Any) -> list[Event]:
            self.recordings[change.pk].commented(body)
            return []

        return Work(lambda: Comment(change_id=change.pk, author=self.alice, body=body).save(), note)

    def reassign(self, number: int, group: str) -> Work:
        key = self.changes[number].pk

        def run() -> None:
            with transaction.atomic():
                change = Change.objects.locked().get(pk=key)
                change.owning_group = SupportGroupFactory(name=group) if group else None
                change.save()

        def note(result: Any) -> list[Event]:
            self.recordings[key].reassigned(group)
            return []

        return Work(run, note)

    def claim(self, number: int, limit: int) -> Work:
        now = timezone.now()

        def note(operations: list[OutgoingOperation]) -> list[Event]:
            assert len(operations) <= limit
            self.workers[number].held += map(Held, operations)
            for system, count in Counter(operation.system.system_id for operation in operations).items():
                self.rates[system].claimed(count, now)
                self.may_flow(system)
            return [Claimed(frozenset(operation.pk for operation in operations), now)]

        return Work(lambda: outbox.claim(limit), note)

    def may_flow(self, name: str) -> None:
        """Checks that the system allowed a claim in the state before the step."""
        control = self.controls[name]
        assert control.system.enabled and control.system.paused_at is None
        if control.breaker == "Open":
            assert control.breaker_until is not None, "opened by a person, and not closed by one"
            assert control.breaker_until <= timezone.now()

    def settle(self, number: int, count: int, wait: bool) -> Work:
        worker = self.worker(("settle", number))
        return self.settling(worker, worker.sent()[:count], wait)

    def settling(self, worker: Worker, chosen: list[Held], wait: bool) -> Work:
        results = [held.result for held in chosen]

        def note(left: list[outbox.Result]) -> list[Event]:
            assert not (wait and left)
            settled = [held for held in chosen if held.result not in left]
            worker.held = [held for held in worker.held if held not in settled]
            self.attempts += len(settled)
            return [Tried(tuple((held.operation.pk, held.operation.claim, held.result.outcome) for held in settled))]

        return Work(lambda: outbox.settle(results, wait=wait), note)

    def retry(self, number: int) -> Work:
        return self.retrying(self.pick(number))

    def retrying(self, operation: OutgoingOperation) -> Work:
        def note(was_open: bool | None) -> list[Event]:
            # None: the session died after its commit, before it got the result.
            return [NotOpen(operation.pk) if was_open is False else Retried(operation.pk)]

        return Work(lambda: is_open(lambda: outbox.retry_now(operation)), note)

    def skip(self, number: int) -> Work:
        return self.skipping(self.pick(number))

    def skipping(self, operation: OutgoingOperation) -> Work:
        def note(was_open: bool | None) -> list[Event]:
            if was_open is None:  # the session died before it got the result
                return [Skipped(frozenset([operation.pk]))]
            return [Skipped(frozenset([operation.pk]), 1) if was_open else NotOpen(operation.pk)]

        return Work(lambda: is_open(lambda: outbox.skip(operation, self.ingrid, "By phone")), note)

    def skip_behind(self, number: int) -> Work:
        return self.skipping_behind(self.pick(number))

    def skipping_behind(self, operation: OutgoingOperation) -> Work:
        chosen = [operation, *outbox.waiting_behind(operation)]

        def note(count: int) -> list[Event]:
            return [Skipped(frozenset(row.pk for row in chosen), count)]

        return Work(lambda: outbox.skip_all(chosen, self.ingrid, "Never mind"), note)

    def about(self, operation: OutgoingOperation, kind: str) -> Work:
        """An action of this kind that affects this operation."""
        match kind:
            case "comment":
                return self.comment([change.pk for change in self.changes].index(operation.change_id))
            case "skip":
                return self.skipping(operation)
            case "skip behind":
                return self.skipping_behind(operation)
            case "retry":
                return self.retrying(operation)
        return self.release()

    def release(self) -> Work:
        now = timezone.now()
        return Work(outbox.release_stale, lambda count: [Released(now)])

    def pick(self, number: int) -> OutgoingOperation:
        """An unsettled operation if there is one, otherwise any."""
        keys = [row.id for row in self.rows.values() if row.status not in SETTLED] or [*self.rows]
        return OutgoingOperation.objects.select_related("system").get(pk=rotated(keys, number)[0])

    def send(self, held: Held, behaviour: str) -> None:
        """Sends as delivery does, with the simulated partner in place of the network."""
        operation = held.operation
        answer, outcome = BEHAVIOURS[behaviour]
        if answer is None:
            record = {"external_id": f"{operation.system.system_id}-{operation.change_id}"}
            answer = Response(200, {}, json.dumps(record).encode())
        attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.1)
        message = json.loads(request_for(operation).body)
        if behaviour != "is not there":
            skipped = {str(row.id) for row in self.rows.values() if row.status == "Skipped"}
            self.is_its_turn(operation)
            self.partners.receive(message, behaviour in TAKES, skipped)
        sending = Push(operation)
        is_error = isinstance(answer, TransportError)
        held.result = sending.failed(attempt, answer) if is_error else sending.answered(attempt, answer)
        assert held.result.outcome is outcome

    def is_its_turn(self, operation: OutgoingOperation) -> None:
        """Checks that all earlier operations are settled when it is sent, even by a worker that was suspended."""
        before = [
            row
            for row in self.rows.values()
            if row.exchange_id == operation.exchange_id and row.sequence < operation.sequence
        ]
        assert all(row.status in SETTLED for row in before)

    def administer(self, system: str, wish: str) -> None:
        """An action of an administrator on a system or its limits."""
        self.is_well = False
        row = ExternalSystem.objects.get(system_id=system)
        if wish in ("enable", "disable"):
            row.enabled = wish == "enable"
        elif wish in ("1", "2", "16"):
            row.max_in_flight = int(wish)
        elif wish in ("no limit", "30", "120", "6000"):
            row.rate_limit = None if wish == "no limit" else int(wish)
            self.rates[system].set(row.rate_limit)
        row.save()
        if wish == "resume":
            outbox.resume(row)
        elif wish == "open":
            outbox.open_breaker(row, "Their change")
        elif wish == "close":
            outbox.close_breaker(row)
        self.check([], by_hand={system: wish})

    def set_clock(self, seconds: float) -> None:
        """Moves the clock forward, or back if `seconds` is negative."""
        self.is_well = False
        self.clock.shift(timedelta(seconds=seconds))
        self.latest = max(self.latest, timezone.now())
        if seconds < 0:
            for rate in self.rates.values():
                rate.clock_set_back()
        self.check([])

    def work_without_fault(self, worker: int, behaviour: str) -> None:
        self.do("claim", worker, 6)
        for held in self.workers[worker].held:
            if held.result is None:
                self.send(held, behaviour)
        self.do("settle", worker, 100, True)

    # --- Checks after every step ---

    def check(self, events: list[Event], alone: bool = True, by_hand: dict[str, str] | None = None) -> None:
        before, self.rows = self.rows, rows()
        if not alone:
            events = [Released(event.now, False) if isinstance(event, Released) else event for event in events]
        self.rows_follow(events)
        self.settled_ones_stay(before)
        self.one_of_each_exchange_is_next()
        self.recorded_is_what_was_caused()
        self.controls_hold(before, events, by_hand or {})
        assert DeliveryAttempt.objects.count() == self.attempts
        self.is_well = True

    def rows_follow(self, events: list[Event]) -> None:
        skipped = 0
        for key, row in self.rows.items():
            before = self.states.get(key, State())
            after = State(row.status, row.tries, row.claim, row.claimed_until)
            assert after in possible(key, before, events), f"{before} became {after} by {events}"
            skipped += before.status != after.status == "Skipped"
            self.states[key] = after
        counts = [event.count for event in events if isinstance(event, Skipped)]
        assert None in counts or skipped == sum(counts)

    def settled_ones_stay(self, before: dict[Any, Any]) -> None:
        for key, row in before.items():
            assert self.rows[key] == row or row.status not in SETTLED
        for row in self.rows.values():
            assert (row.settled_at is not None) == (row.status in SETTLED)

    def one_of_each_exchange_is_next(self) -> None:
        first: dict[int, Any] = {}
        for row in self.rows.values():
            if row.status not in SETTLED:
                first.setdefault(row.exchange_id, row.id)
        assert {row.id for row in self.rows.values() if row.is_next} == {*first.values()}
        sending = {row.id for row in self.rows.values() if row.status == "Sending"}
        assert sending <= {*first.values()}

    def recorded_is_what_was_caused(self) -> None:
        found: dict[tuple[int, str], list[Any]] = defaultdict(list)
        for row in self.rows.values():
            own = found[row.change_id, row.system_name]
            own.append((row.operation, row.comment_body))
            assert row.sequence == len(own)
        expected = {
            (change, system): operations
            for change, recording in self.recordings.items()
            for system, operations in recording.operations.items()
        }
        assert found == expected

    def controls_hold(self, before: dict[Any, Any], events: list[Event], by_hand: dict[str, str]) -> None:
        olds, self.controls = self.controls, controls()
        for name, control in self.controls.items():
            old = olds[name]
            sending = sum(row.system_name == name and row.status == "Sending" for row in self.rows.values())
            sent = sum(row.system_name == name and row.status == "Sending" for row in before.values())
            assert sending <= max(sent, control.system.max_in_flight)
            if control.breaker == "HalfOpen":
                assert sending <= 1
            if old.breaker == control.breaker == "Open" or old.breaker == control.breaker == "HalfOpen":
                assert sending <= sent or old.breaker == "HalfOpen"
            assert_breaker_follows(old, control, events, by_hand.get(name))

    # --- The end ---

    def everybody_gets_well(self) -> None:
        """All held operations are lost, and all systems recover. The workers must then deliver everything in order."""
        self.clock.move_to(self.latest)
        for worker in self.workers:
            worker.held.clear()
        for name in SYSTEMS:
            for wish in ("enable", "resume"):
                self.administer(name, wish)
            if self.controls[name].breaker == "Open" and self.controls[name].breaker_until is None:
                self.administer(name, "close")
        for tick in range(LAST_TICKS):
            unsettled = [row for row in self.rows.values() if row.status not in SETTLED]
            if not unsettled:
                break
            for row in unsettled:
                if row.status == "Refused":
                    self.do("retry", [other.id for other in unsettled].index(row.id))
            self.do("release")
            self.work_without_fault(tick % WORKERS, "takes")
            self.clock.shift(timedelta(seconds=10))
        self.everything_is_delivered()

    def everything_is_delivered(self) -> None:
        delivered = {str(row.id) for row in self.rows.values() if row.status == "Delivered"}
        skipped = {str(row.id) for row in self.rows.values() if row.status == "Skipped"}
        assert delivered | skipped == {str(key) for key in self.rows}
        assert delivered <= {key for key, arrival in self.partners.arrived.items() if arrival.taken}
        assert self.partners.arrived.keys() <= delivered | skipped
