"""`manage.py deliver` sends due operations without broker and worker. Uses real processes and a partner over HTTP."""

import signal
from datetime import timedelta

import pytest
from django.utils import timezone

from changes.models import Comment
from integrations.models import OutgoingOperation
from tests.commands import manage, start_manage
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.processes import free_port, until

from .partner import answer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def change(partner):
    """A change that ACME holds: its Assign is waiting."""
    return ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))


@pytest.fixture
def no_broker():
    """The environment of an installation whose Redis is gone."""
    return {"CELERY_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0", "DISPATCH_INTERVAL": "0.1"}


@pytest.fixture
def forever(tmp_path, no_broker):
    """`deliver --forever`, running."""
    process = start_manage(tmp_path / "deliver.log", "deliver", "--forever", **no_broker)
    yield process
    process.stop()


def statuses():
    return [row.status for row in OutgoingOperation.objects.order_by("sequence")]


def test_it_sends_what_is_due_in_order_and_ends(change, partner, alice, no_broker):
    Comment(change=change, author=alice, body="Hello").save()
    done = manage("deliver", **no_broker)
    assert (done.returncode, done.stdout) == (0, "Tried to send 2 operations.\n")
    assert partner.operations == ["Assign", "Update"]
    assert statuses() == ["Delivered", "Delivered"]


def test_it_does_not_wait_for_what_is_due_later(change, partner, no_broker):
    partner.default = answer(503)
    done = manage("deliver", **no_broker)
    assert (done.returncode, done.stdout) == (0, "Tried to send 1 operation.\n")
    assert statuses() == ["Waiting"]
    assert OutgoingOperation.objects.get().tries == 1


def test_it_frees_what_a_dead_worker_had_in_hand(change, partner, no_broker):
    past = timezone.now() - timedelta(seconds=1)
    OutgoingOperation.objects.update(status="Sending", claim=1, claimed_until=past)
    manage("deliver", **no_broker)
    assert statuses() == ["Delivered"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_forever_it_sends_what_comes_and_what_is_due_again_until_it_is_asked_to_end(
    change, partner, alice, forever, ending
):
    partner.script = [answer(503)]
    tried = OutgoingOperation.objects.filter(status="Waiting", tries=1)
    until("the Assign is tried", tried.exists)
    tried.update(next_try_at=timezone.now())
    until("it is delivered", lambda: statuses() == ["Delivered"])
    Comment(change=change, author=alice, body="Hello").save()
    until("the Update is delivered", lambda: statuses() == ["Delivered", "Delivered"])
    assert partner.operations == ["Assign", "Assign", "Update"]

    forever.child.send_signal(ending)
    assert forever.wait() == 0
    assert forever.log().endswith("Tried to send 3 operations.")


def test_asked_to_end_it_finishes_what_it_is_sending(change, partner, forever):
    partner.default = partner.hang
    until("the partner has it and says nothing", lambda: partner.received)
    forever.child.send_signal(signal.SIGTERM)
    partner.default = answer(200)
    partner.silence.set()
    assert forever.wait() == 0
    assert "Sending" not in statuses()


def test_without_a_database_it_says_so_in_one_line(change, tmp_path):
    done = manage("deliver", DATABASE_URL=f"postgres://nobody@127.0.0.1:{free_port()}/none")
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The database is unavailable or busy: ")
    assert "Traceback" not in done.stderr
