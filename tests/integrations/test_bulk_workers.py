"""Bulk jobs are carried out by a woken worker, by the sweep, and by `deliver` without a broker, also after a crash."""

import json

import pytest

from changes.models import BulkItem, BulkJob, Comment
from integrations.models import OutgoingOperation
from integrations.workers import wakeup
from tests import services
from tests.commands import manage, start_manage
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.pages import web
from tests.processes import free_port, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis(tmp_path, monkeypatch):
    """A private Redis. This process publishes to it through a new thread."""
    server = services.Redis(tmp_path / "redis")
    server.start()
    server.until_ready()
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis://127.0.0.1:{server.port}/0")
    wakeup._forget()
    yield server
    wakeup._forget()
    server.stop()


@pytest.fixture
def no_broker():
    """The environment of an installation whose Redis is gone."""
    return {"CELERY_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0", "DISPATCH_INTERVAL": "0.1"}


def started(person, count):
    """A started job that comments on this number of ACME's changes."""
    group = SupportGroupFactory(name="ACME Networks")
    numbers = [ChangeFactory(owning_group=group).number for _ in range(count)]
    client = web(person)
    form = client.post("/changes/bulk/comment/", {"scope": "ticked", "change": numbers, "query": ""})["Location"]
    job = client.post(form, {"preview": "1", "body": "Hello", "visibility": "public"})["Location"]
    return client, job


def tasks(redis):
    messages = [json.loads(text) for text in redis.connect().lrange("housekeeping", 0, -1)]
    return [message["headers"]["task"] for message in messages]


def test_starting_a_job_wakes_a_worker_and_its_preview_does_not(acme, alice, redis):
    client, job = started(alice, 2)
    assert tasks(redis) == []
    client.post(f"{job}start/")
    until("the message has left", lambda: tasks(redis))
    assert tasks(redis) == ["integrations.tasks.bulk"]


def test_without_a_broker_a_start_is_answered_all_the_same(acme, alice, redis):
    client, job = started(alice, 2)
    redis.stop()
    assert client.post(f"{job}start/").status_code == 302
    assert BulkJob.objects.get().confirmed_at is not None


def test_deliver_carries_out_what_was_started_and_sends_it(partner, alice, no_broker):
    client, job = started(alice, 3)
    client.post(f"{job}start/")
    done = manage("deliver", **no_broker)
    assert (done.returncode, done.stdout) == (0, "Tried to send 6 operations.\n")
    assert sorted(partner.operations) == ["Assign"] * 3 + ["Update"] * 3
    assert BulkJob.objects.get().finished_at is not None


def test_a_process_that_is_killed_in_the_middle_doubles_nothing_and_loses_nothing(partner, alice, no_broker, tmp_path):
    client, job = started(alice, 60)
    client.post(f"{job}start/")
    process = start_manage(tmp_path / "deliver.log", "deliver", "--forever", **no_broker)
    done = BulkItem.objects.filter(status="done")
    until("some are done", lambda: done.count() >= 5)
    process.kill()
    # The open transaction is rolled back, but the database server may notice the disconnect a moment later.
    until("each comment has its result", lambda: Comment.objects.count() == done.count())
    assert done.count() < 60
    assert manage("deliver", **no_broker).returncode == 0
    assert done.count() == Comment.objects.count() == 60
    assert {row.comments.count() for row in alice.requested_changes.all()} == {1}
    assert OutgoingOperation.objects.filter(operation="Update").count() == 60
    assert BulkJob.objects.get().finished_at is not None
