"""Readers, recordings and acknowledgements at the same time: nothing is stepped over, doubled or out of order."""

import threading
from collections import Counter, defaultdict

import pytest
from django.db import connection, transaction

from changes.models import Comment
from integrations.models import OutgoingOperation
from tests.threads import at_once

from .conftest import Reader

pytestmark = pytest.mark.django_db(transaction=True)


class InTwoSteps:
    """Runs `work` in a transaction of its own thread, which commits when it is told to."""

    def __init__(self, work):
        self.work, self.written, self.may_commit = work, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.written.wait()

    def _run(self):
        try:
            with transaction.atomic():
                self.work()
                self.written.set()
                self.may_commit.wait()
        finally:
            self.written.set()
            connection.close()

    def commit(self):
        self.may_commit.set()
        self.thread.join()


@pytest.mark.any_database
def test_no_cursor_steps_over_an_operation_that_commits_late(reader, given, alice):
    """Its time and its id are earlier than those of what was handed out meanwhile."""
    router = given("Router")
    own = reader()
    own.acknowledge_all(own.collect())
    early = InTwoSteps(lambda: (given("Early"), Comment(change=router, author=alice, body="Early").save()))
    given("Late")
    assert own.names() == ["Assign 1 of Late"]
    assert own.names() == []
    early.commit()
    assert own.names() == ["Assign 1 of Early", "Update 2 of Router"]
    assert OutgoingOperation.objects.latest("created_at").change.title == "Late"


def test_readers_at_once_share_the_operations_and_keep_the_order_of_each_change(reader, given):
    for number in range(8):
        given(f"Change {number}", 2)
    taken: dict[str, list[str]] = defaultdict(list)
    lock = threading.Lock()

    def work(own: Reader):
        def run():
            while operations := own.collect(limit=5):
                with lock:
                    for operation in operations:
                        taken[operation["change"]["number"]].append(operation["sequence"])
                assert own.acknowledge_all(operations).status_code == 200

        return run

    at_once(*(work(reader()) for _ in range(4)))
    for own in (reader() for _ in range(3)):  # what one left when another held the change
        work(own)()
    assert {tuple(sequences) for sequences in taken.values()} == {(1, 2, 3)}
    assert Counter(OutgoingOperation.objects.values_list("status", flat=True)) == {"Delivered": 24}


def test_an_acknowledgement_meets_a_comment_that_is_being_recorded(reader, given, alice):
    change = given("Router")
    for number in range(5):
        operations = reader().collect()

        def comment(number=number):
            Comment(change=change, author=alice, body=f"Comment {number}").save()

        def acknowledge(operations=operations):
            assert reader().acknowledge_all(operations).status_code == 200

        at_once(comment, acknowledge)
    assert reader().names() == ["Update 6 of Router"]
    assert OutgoingOperation.objects.filter(is_next=True).count() == 1
