"""Concurrent actions on one exchange: no operation is lost or stuck, and exactly one is next.

On PostgreSQL each test tries all points at which one action can interrupt the other; see faults/sessions.py. SQLite has
one writer at a time, so there two threads compete.
"""

import threading
from contextlib import ExitStack

import pytest
from django.db import connection, transaction
from django.utils import timezone

from changes.models import Comment
from integrations.models import DeliveryAttempt, Exchange, OutgoingOperation
from integrations.outgoing import outbox
from integrations.outgoing.outbox import Outcome
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.faults.sessions import Sessions
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

# The second work starts after this number of statements of the first, and runs to its end or until it waits.
PLACES = range(1, 13)
ROUNDS = 5


@pytest.fixture(autouse=True)
def no_breaker(settings):
    settings.BREAKER_FAILURES = 1000


@pytest.fixture
def together():
    """`together()` yields functions that run two works at once, each with a different interleaving."""
    with ExitStack() as stack:
        sessions = stack.enter_context(Sessions()) if connection.vendor == "postgresql" else None

        def ways():
            if sessions is None:
                yield from [at_once] * ROUNDS
                return
            for place in PLACES:
                yield lambda *works, place=place: run(works, place)

        def run(works, place):
            sessions.interleave(works, [place, 100])
            return [session.result for session in sessions.both]

        yield ways


def new_change():
    return ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))


def sent(change, outcome=Outcome.DELIVERED):
    """Claims the next operation of the change. Returns it with a result of sending it."""
    (operation,) = [row for row in outbox.claim(100) if row.change_id == change.pk]
    attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0)
    return operation, [outbox.Result(operation, attempt, outcome)]


def comment(change, alice):
    return lambda: Comment(change_id=change.pk, author=alice, body="Hello").save()


def rows(change):
    found = OutgoingOperation.objects.filter(change=change).order_by("sequence")
    return [(row.sequence, row.status, row.is_next) for row in found]


def test_what_is_recorded_while_the_one_before_is_settled_is_neither_lost_nor_stuck(acme, alice, together):
    for do in together():
        change = new_change()
        _, results = sent(change)
        do(lambda results=results: outbox.settle(results), comment(change, alice))
        assert rows(change) == [(1, "Delivered", False), (2, "Waiting", True)]
        _, results = sent(change)
        do(comment(change, alice), lambda results=results: outbox.settle(results))
        assert rows(change)[1:] == [(2, "Delivered", False), (3, "Waiting", True)]


def test_what_is_recorded_behind_one_that_is_tried_again_waits_for_it(acme, alice, together):
    for do in together():
        change = new_change()
        _, results = sent(change, Outcome.RETRY)
        do(lambda results=results: outbox.settle(results), comment(change, alice))
        assert rows(change) == [(1, "Waiting", True), (2, "Waiting", False)]


def test_what_is_recorded_while_the_one_before_is_skipped_is_neither_lost_nor_stuck(acme, alice, ingrid, together):
    for do in together():
        change = new_change()
        operation = OutgoingOperation.objects.get(change=change)
        do(lambda operation=operation: outbox.skip(operation, ingrid, "By phone"), comment(change, alice))
        assert rows(change) == [(1, "Skipped", False), (2, "Waiting", True)]
        operation = OutgoingOperation.objects.get(change=change, sequence=2)
        do(comment(change, alice), lambda operation=operation: outbox.skip(operation, ingrid, "By phone"))
        assert rows(change)[1:] == [(2, "Skipped", False), (3, "Waiting", True)]


def test_of_a_skip_and_a_settling_at_once_one_counts(acme, alice, ingrid, together):
    """A stored result stays. An operation that waits for its next try can be skipped once the result is stored."""
    for do in together():
        change = new_change()
        comment(change, alice)()
        operation, results = sent(change, Outcome.RETRY)
        settled, skipped = do(
            lambda results=results: outbox.settle(results),
            lambda operation=operation: outbox.skip_all([operation], ingrid, "By phone"),
        )
        assert settled == []
        assert rows(change) == (
            [(1, "Skipped", False), (2, "Waiting", True)] if skipped else [(1, "Waiting", True), (2, "Waiting", False)]
        )


def test_of_a_skip_and_a_claim_at_once_one_counts(acme, alice, ingrid, together):
    for do in together():
        change = new_change()
        comment(change, alice)()
        operation = OutgoingOperation.objects.get(change=change, sequence=1)
        skipped, claimed = do(
            lambda operation=operation: outbox.skip_all([operation], ingrid, "By phone"), lambda: outbox.claim(100)
        )
        # If the skip came first, it unblocked the next operation, which the claim may have taken.
        if skipped:
            assert rows(change)[0] == (1, "Skipped", False)
            assert operation.pk not in [row.pk for row in claimed]
            assert rows(change)[1] in [(2, "Waiting", True), (2, "Sending", True)]
        else:
            assert [row.pk for row in claimed] == [operation.pk]
            assert rows(change) == [(1, "Sending", True), (2, "Waiting", False)]
        OutgoingOperation.objects.filter(change=change).update(status="Skipped", is_next=False)


def test_of_two_workers_that_settle_at_once_the_one_with_the_latest_claim_counts(acme, alice, together):
    """The lease of the first worker expired, and the second has claimed the operation since."""
    for do in together():
        change = new_change()
        comment(change, alice)()
        operation, late = sent(change, Outcome.RETRY)
        OutgoingOperation.objects.filter(pk=operation.pk).update(status="Waiting", claimed_until=None)
        _, newer = sent(change, Outcome.REFUSED)
        do(lambda late=late: outbox.settle(late), lambda newer=newer: outbox.settle(newer))
        assert rows(change) == [(1, "Refused", True), (2, "Waiting", False)]
        assert [attempt.claim for attempt in operation.attempts.order_by("claim")] == [1, 2]
        OutgoingOperation.objects.filter(change=change).update(status="Skipped", is_next=False)


def test_two_claims_at_once_take_each_operation_once(acme, together):
    for do in together():
        changes = {new_change().pk for _ in range(3)}
        first, second = do(lambda: outbox.claim(2), lambda: outbox.claim(2))
        rest = outbox.claim(100)
        assert sorted(row.change_id for row in [*first, *second, *rest]) == sorted(changes)
        OutgoingOperation.objects.update(status="Skipped", is_next=False)


def test_a_release_and_a_settling_at_once_leave_no_claim(acme, together, settings):
    settings.DELIVERY_LEASE = 0.000_001
    for do in together():
        change = new_change()
        operation, results = sent(change)
        do(lambda results=results: outbox.settle(results), outbox.release_stale)
        operation.refresh_from_db()
        assert operation.claimed_until is None
        assert operation.status in ("Delivered", "Waiting")
        assert operation.attempts.count() == 1
        OutgoingOperation.objects.filter(change=change).update(status="Skipped", is_next=False)


def test_without_waiting_a_result_whose_exchange_is_written_is_given_back(acme, alice):
    """On SQLite no other transaction can write at the same time, so nothing is given back."""
    busy, free = new_change(), new_change()
    results = {}
    for operation in outbox.claim(100):
        attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0)
        results[operation.change_id] = outbox.Result(operation, attempt, Outcome.DELIVERED)
    is_held, is_tried = threading.Event(), threading.Event()

    def records():
        with transaction.atomic():
            Comment(change_id=busy.pk, author=alice, body="Hello").save()
            is_held.set()
            if connection.vendor == "postgresql":
                assert is_tried.wait(30)

    def settles():
        assert is_held.wait(30)
        left = outbox.settle([results[busy.pk], results[free.pk]], wait=False)
        is_tried.set()
        return left

    _, left = at_once(records, settles)
    assert rows(free) == [(1, "Delivered", False)]
    assert left == ([results[busy.pk]] if connection.vendor == "postgresql" else [])
    if left:
        assert rows(busy) == [(1, "Sending", True), (2, "Waiting", False)]
        assert DeliveryAttempt.objects.count() == 1
        assert outbox.settle(left) == []
    assert rows(busy) == [(1, "Delivered", False), (2, "Waiting", True)]
    assert DeliveryAttempt.objects.count() == 2
    assert Exchange.objects.get(change=busy).last_sequence == 2
