"""Partners that collect, in any order of what they, people and the clock do: each operation once in effect, in order.

A reader may lose an answer, apply it without acknowledging, or come back with an older cursor. An SMAX adapter may lose
an answer, and then asks again from its last time on. People comment, skip and retry. In the end all is delivered.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from changes.models import Comment
from integrations import incoming
from integrations.choices import IncomingKind
from integrations.incoming import IncomingRequest
from integrations.models import OutgoingOperation
from integrations.outgoing import outbox
from integrations.outgoing.outbox import Acknowledgement
from tests.examples import examples
from tests.factories import ChangeFactory, ExternalGroupFactory, ExternalSystemFactory, UserFactory

BEGIN = datetime(2026, 11, 29, 8, tzinfo=UTC)
CHANGES = 3
places = st.integers(0, CHANGES - 1)


class Collecting(RuleBasedStateMachine):
    """`applied`: for each change the sequences in the order in which they took effect at the partner."""

    delivery = ""

    @initialize()
    def begin(self) -> None:
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.travel = time_machine.travel(BEGIN, tick=False)
        self.clock = self.travel.start()
        self.alice = UserFactory()
        self.system = ExternalSystemFactory(delivery=self.delivery, endpoint_url="")
        group = ExternalGroupFactory(system=self.system).group
        self.changes = [ChangeFactory(owning_group=group) for _ in range(CHANGES)]
        self.known: set[Any] = set()
        self.applied: dict[int, list[int]] = defaultdict(list)
        self.prepare()

    def prepare(self) -> None:
        """What the kind of partner begins with."""

    def teardown(self) -> None:
        if not hasattr(self, "travel"):
            return
        try:
            self.recover()
            skipped = {*OutgoingOperation.objects.filter(status="Skipped").values_list("pk", flat=True)}
            left = OutgoingOperation.objects.exclude(status__in=("Delivered", "Skipped"))
            assert not left, [str(one) for one in left]
            for change in self.changes:
                rows = OutgoingOperation.objects.filter(change=change).order_by("sequence")
                sent = [row.sequence for row in rows if row.pk not in skipped or row.pk in self.known]
                assert self.applied[change.pk] == sent
        finally:
            self.travel.stop()
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    def apply(self, operation: OutgoingOperation) -> None:
        """What the partner does with it: one that it knows is dropped."""
        if operation.pk not in self.known:
            self.known.add(operation.pk)
            before = self.applied[operation.change_id]
            assert not before or before[-1] < operation.sequence, "it came before an earlier one"
            before.append(operation.sequence)

    # --- People and the clock ---

    @rule(place=places)
    def comment(self, place: int) -> None:
        Comment(change=self.changes[place], author=self.alice, body="Hello").save()

    @rule(place=places, seconds=st.integers(1, 40))
    def comment_that_commits_late(self, place: int, seconds: int) -> None:
        """It was recorded so many seconds ago, but not before the one before it."""
        self.comment(place)
        *_, before, late = OutgoingOperation.objects.filter(change=self.changes[place]).order_by("sequence")
        late.created_at = max(before.created_at, late.created_at - timedelta(seconds=seconds))
        late.save(update_fields=["created_at"])

    @rule(seconds=st.sampled_from([0, 1, 5, 30, 90]))
    def time_passes(self, seconds: int) -> None:
        self.clock.shift(timedelta(seconds=seconds, milliseconds=300))

    @rule(place=places)
    def skip(self, place: int) -> None:
        """A person skips a comment that the partner has not got."""
        waiting = OutgoingOperation.objects.unsettled().filter(
            change=self.changes[place], handed_out_at=None, operation="Update"
        )
        if first := waiting.order_by("sequence").first():
            outbox.skip_all([first], self.alice, "Not needed")

    def recover(self) -> None:
        raise NotImplementedError


class Pulling(Collecting):
    """Three readers with their cursors, and what they hold and have not acknowledged."""

    delivery = "pull"

    def prepare(self) -> None:
        self.cursors: list[list[Any]] = [[None], [None], [None]]
        self.held: list[list[Any]] = [[], [], []]

    @rule(reader=places, limit=st.integers(1, 4), is_lost=st.booleans(), is_older=st.booleans())
    def collect(self, reader: int, limit: int, is_lost: bool, is_older: bool) -> None:
        cursors = self.cursors[reader]
        given = outbox.hand_out(self.system, cursors[-2] if is_older and len(cursors) > 1 else cursors[-1], limit)
        if is_lost:
            return
        cursors.append(given.cursor)
        for operation in given.operations:
            self.apply(operation)
        self.held[reader] += given.operations

    @rule(reader=places, count=st.integers(1, 5))
    def acknowledge(self, reader: int, count: int) -> None:
        said, self.held[reader] = self.held[reader][:count], self.held[reader][count:]
        ids = {*(one.pk for one in said)}
        outbox.acknowledge([self.system], [Acknowledgement(pk, {"external_id": "x"}) for pk in ids])

    @rule(reader=places)
    def die(self, reader: int) -> None:
        self.cursors[reader], self.held[reader] = [None], []

    @rule()
    def sweep(self) -> None:
        outbox.release_stale()

    def recover(self) -> None:
        self.clock.shift(timedelta(seconds=2 * django_settings.DELIVERY_LEASE + 10))
        while (given := outbox.hand_out(self.system, None, 3)).operations:
            for operation in given.operations:
                self.apply(operation)
            outbox.acknowledge([self.system], [Acknowledgement(one.pk) for one in given.operations])


class Polling(Collecting):
    """An SMAX adapter. It advances its time to the `Date` of an answer that it got, in whole seconds."""

    delivery = "smax"

    def prepare(self) -> None:
        self.since: datetime | None = None

    @rule(is_lost=st.booleans(), size=st.integers(1, 20))
    def poll(self, is_lost: bool, size: int) -> None:
        date = datetime.now(UTC).replace(microsecond=0)
        page = self.page(0, size)
        if is_lost:
            return
        if len(page.operations) == page.total:
            self.since = date
        for operation in page.operations:
            self.take(operation)

    def page(self, skip: int, size: int) -> Any:
        self.clock.shift(timedelta(milliseconds=1))  # no two calls of an adapter come at the same moment
        return outbox.feed(self.system, self.since, skip, size)

    def take(self, operation: OutgoingOperation) -> None:
        if operation.operation == "Assign":
            self.apply(operation)
            self.write(operation.change_id)
        elif 1 in self.applied[operation.change_id]:  # without the record it cannot apply anything
            self.apply(operation)

    @rule(place=places)
    def lose_the_answer_with_a_late_one(self, place: int) -> None:
        """By itself this needs too many steps in the right order."""
        self.poll(is_lost=False, size=1000)
        self.comment_that_commits_late(place, 30)
        self.poll(is_lost=True, size=1000)
        self.poll(is_lost=False, size=1000)

    @rule(size=st.integers(1, 3))
    def read_in_pages_and_write_between_them(self, size: int) -> None:
        """What is written confirms operations, so that the list is shorter when the next page is read."""
        date = datetime.now(UTC).replace(microsecond=0)
        found: list[Any] = []
        while (page := self.page(len(found), size)).operations:
            found += page.operations
            for operation in page.operations:
                self.take(operation)
                if 1 in self.applied[operation.change_id]:
                    self.write(operation.change_id, "New status")
        self.since = date

    def write(self, change: int, status: str | None = None) -> None:
        number = next(one.number for one in self.changes if one.pk == change)
        named = {"change_number": number, "external_id": "" if status else f"C-{number}", "external_status": status}
        request = IncomingRequest(self.system, IncomingKind.UPDATE, body_sha256="0" * 64, **named)
        incoming.receive(request)

    @rule(place=places)
    def write_again(self, place: int) -> None:
        """The partner writes of its own accord, after it has applied all that it got."""
        if 1 in self.applied[self.changes[place].pk]:
            self.poll(is_lost=False, size=100)
            self.write(self.changes[place].pk)

    def recover(self) -> None:
        for _ in range(4):
            self.clock.shift(timedelta(seconds=60))
            self.poll(is_lost=False, size=1000)


@pytest.mark.django_db
@pytest.mark.parametrize("machine", [Pulling, Polling])
def test_each_operation_is_delivered_once_and_in_order(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(12 if connection.vendor == "postgresql" else 4),
            stateful_step_count=25,
            deadline=None,
            phases=[Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
