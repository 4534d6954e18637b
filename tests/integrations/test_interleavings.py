"""Two transactions on one exchange in the worst order: one has written but not committed, the other waits."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from changes.models import Change, Comment
from integrations import incoming
from integrations.choices import IncomingKind
from integrations.incoming import IncomingRequest
from integrations.models import DeliveryAttempt, DeliveryControl, ExternalReference, OutgoingOperation
from integrations.outgoing import outbox
from integrations.outgoing.outbox import Outcome, Result
from tests.factories import ChangeFactory, SupportGroupFactory

pytestmark = pytest.mark.django_db(transaction=True)

# Seconds for which the first stays uncommitted while the second meets it. A short time only weakens a test.
MEANWHILE = 0.4


class Uncommitted:
    """Runs `work` in a transaction of another thread, which commits shortly after the caller continues."""

    def __init__(self, work):
        self.written, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self.run, args=(work,))

    def run(self, work):
        try:
            with transaction.atomic():
                work()
                self.written.set()
                threading.Event().wait(MEANWHILE)
        except Exception as error:
            self.error = error
        finally:
            self.written.set()
            connection.close()

    def __enter__(self):
        self.thread.start()
        self.written.wait()

    def __exit__(self, *exception):
        self.thread.join()
        assert self.error is None, self.error


def result(operation, outcome, answer=None, error=""):
    attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.1)
    return Result(operation, attempt, outcome, error, answer or {})


def update(system, **fields):
    return IncomingRequest(system=system, operation=IncomingKind.UPDATE, body_sha256="0" * 64, **fields)


@pytest.fixture
def change(acme):
    return ChangeFactory(owning_group=acme.external_groups.get().group)


def moves_to(change, group):
    def move():
        mine = Change.objects.locked().get(pk=change.pk)
        mine.owning_group = group
        mine.save()

    return move


def test_a_partners_operation_that_waited_for_a_reassignment_sees_the_new_group(acme, beta, change):
    network = SupportGroupFactory(name="Network")
    with Uncommitted(moves_to(change, beta.external_groups.get().group)):
        incoming.receive(update(acme, change_number=change.number, properties={"owning_group": network}))
    rows = OutgoingOperation.objects.order_by("id").values_list("system__system_id", "operation")
    assert list(rows) == [("ACME", "Assign"), ("ACME", "Accept"), ("BETA", "Assign"), ("BETA", "Accept")]


def test_an_edit_that_waited_for_a_reassignment_sees_the_new_group(acme, beta, change, alice, api):
    with Uncommitted(moves_to(change, beta.external_groups.get().group)):
        answer = api(alice).patch(f"/api/v1/changes/{change.number}/", {"title": "Waited"}, format="json")
    assert answer.status_code == 200, answer.content
    assert answer.json()["owning_group"] == "BETA Servers"


def test_a_comment_that_waited_for_a_reassignment_tells_the_new_group(acme, beta, change, alice):
    with Uncommitted(moves_to(change, beta.external_groups.get().group)):
        Comment(change=change, author=alice, body="Hello").save()
    told = OutgoingOperation.objects.filter(operation="Update")
    assert {row.payload["change"]["owning_group"] for row in told} == {"BETA Servers"}


def test_the_external_id_that_an_answer_is_just_bringing_is_no_conflict(acme, change):
    (operation,) = outbox.claim(1)
    with Uncommitted(lambda: outbox.settle([result(operation, Outcome.DELIVERED, {"external_id": "P-1"})])):
        said = update(acme, change_number=change.number, external_id="P-1", properties={"title": "Known"})
        assert incoming.receive(said).http_status == 200
    assert ExternalReference.objects.get().external_id == "P-1"
    assert Change.objects.get().title == "Known"


@pytest.mark.parametrize("outcome", [Outcome.PAUSE, Outcome.RETRY])
def test_what_a_stale_worker_brings_neither_pauses_nor_counts(acme, change, outcome):
    (stale,) = outbox.claim(1)
    OutgoingOperation.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    outbox.release_stale()
    (fresh,) = outbox.claim(1)
    outbox.settle([result(fresh, Outcome.DELIVERED)])
    outbox.settle([result(stale, outcome, error="too late")])
    acme.refresh_from_db()
    assert acme.paused_at is None
    assert DeliveryControl.objects.get(pk=acme.pk).consecutive_failures == 0


def test_failures_with_successes_between_them_are_not_in_a_row(acme, settings):
    settings.BREAKER_FAILURES = 3
    for _ in range(8):
        ChangeFactory(owning_group=acme.external_groups.get().group)
    for number, operation in enumerate(outbox.claim(5)):
        outbox.settle([result(operation, Outcome.DELIVERED if number % 2 else Outcome.RETRY)])
    control = DeliveryControl.objects.get(pk=acme.pk)
    assert (control.breaker, control.consecutive_failures) == ("Closed", 1)


def test_what_a_person_retries_at_this_moment_holds_up_no_other_system(acme, beta, change):
    # SQLite has one writer at a time, so the claim waits for the whole other transaction.
    expected = {"ACME", "BETA"} if connection.vendor == "sqlite" else {"BETA"}
    ChangeFactory(owning_group=beta.external_groups.get().group)
    waiting = OutgoingOperation.objects.get(system=acme)
    with Uncommitted(lambda: outbox.retry_now(waiting)):
        assert {operation.system.system_id for operation in outbox.claim(10)} == expected
