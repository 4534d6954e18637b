"""Wake-ups are sent on commit, a few for many commits. They never delay the caller, whatever the broker does."""

import json
import logging
import time

import pytest
import time_machine
from celery import current_app
from django.db import transaction

from casexchange.broker.beat import LEAST, Scheduler
from changes.models import Change, Comment
from integrations.models import OutgoingOperation
from integrations.workers import wakeup
from tests import services
from tests.commands import manage, start_manage
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.processes import until
from tests.threads import at_once


@pytest.fixture
def redis(tmp_path, monkeypatch):
    """A private Redis. This process publishes to it through a new thread."""
    server = services.Redis(tmp_path / "redis")
    server.start()
    server.until_ready()
    # Celery publishes to this address.
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis://127.0.0.1:{server.port}/0")
    wakeup._forget()
    yield server
    server.process.resume()
    wakeup._forget()
    server.stop()


def waiting(redis, queue="delivery"):
    """The messages that no worker has taken yet, the oldest first."""
    return [json.loads(text) for text in reversed(redis.connect().lrange(queue, 0, -1))]


def tasks(redis, queue="delivery"):
    return [message["headers"]["task"] for message in waiting(redis, queue)]


def until_sent():
    until("all wake-ups have left", lambda: wakeup._own().wait(0))


def given_to_acme():
    return ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))


# --- With a broker ---


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_woken_once_the_transaction_commits(acme, redis):
    with transaction.atomic():
        given_to_acme()
        assert tasks(redis) == []
    until_sent()
    assert tasks(redis) == ["integrations.tasks.deliver"]
    assert waiting(redis)[0]["headers"]["expires"]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_wakes_nobody(acme, redis):
    with transaction.atomic():
        given_to_acme()
        transaction.set_rollback(True)
    assert wakeup._own().wait(0)
    assert (tasks(redis), OutgoingOperation.objects.count()) == ([], 0)


@pytest.mark.any_database
def test_many_wake_ups_meanwhile_are_one_message_which_is_sent_after_the_last(redis):
    wakeup.wake()
    until_sent()
    redis.connect().delete("delivery")
    redis.process.pause()
    at_once(*[lambda: [wakeup.wake() for _ in range(50)]] * 4)
    assert not wakeup._own().wait(0)
    redis.process.resume()
    until_sent()
    # The first was being sent when the others were requested. It may be repeated, since its answer came too late.
    assert 1 <= len(waiting(redis)) <= 3


@pytest.mark.any_database
def test_the_first_wake_up_leaves_at_once_and_those_right_after_it_together(redis, monkeypatch):
    wakeup.wake()
    until_sent()
    monkeypatch.setattr(wakeup, "BETWEEN", 60)
    redis.connect().delete("delivery")
    until("the pause after the first is over", lambda: time.monotonic() >= wakeup._own()._free_at)
    wakeup.wake()
    until_sent()
    assert len(waiting(redis)) == 1
    for _ in range(5):
        wakeup.wake()
    assert not wakeup._own().wait(0.2)
    assert len(waiting(redis)) == 1


@pytest.mark.any_database
def test_each_process_has_a_thread_of_its_own_also_after_a_fork(redis):
    code = "from integrations.workers.wakeup import wake; wake(); child = os.fork(); wake(); child and os.wait()"
    done = manage(
        "shell",
        "--verbosity=0",
        "--command",
        f"import os; {code}",
        CELERY_BROKER_URL=f"redis://127.0.0.1:{redis.port}/0",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len({message["headers"]["origin"] for message in waiting(redis)}) == 2


@pytest.mark.any_database
def test_sending_imports_nothing(redis, tmp_path):
    # Otherwise a child that is forked meanwhile would inherit half a module.
    code = """
import sys
from integrations.workers import wakeup
wakeup._import_all()
before = set(sys.modules)
link = wakeup.Link("wake-ups")
assert link.send(wakeup.TASK, unless_flooded="delivery")
assert set(sys.modules) == before, set(sys.modules) - before
"""
    # A new process: manage() forks one in which more is imported.
    process = start_manage(
        tmp_path / "shell.log",
        "shell",
        "--verbosity=0",
        "--command",
        code,
        CELERY_BROKER_URL=f"redis://127.0.0.1:{redis.port}/0",
    )
    assert process.wait(60) == 0, process.log()


@pytest.mark.django_db(transaction=True)
def test_a_command_that_ends_at_once_has_woken_a_worker(acme, redis, alice):
    change = given_to_acme()
    until_sent()
    code = f"""
from changes.models import Change, Comment
change = Change.objects.get(pk={change.pk})
Comment(change=change, author=change.requested_by, body="From a shell").save()
"""
    before = len(waiting(redis))
    done = manage(
        "shell",
        "--verbosity=0",
        "--command",
        f"import os; {code}",
        CELERY_BROKER_URL=f"redis://127.0.0.1:{redis.port}/0",
    )
    assert (done.returncode, done.stderr) == (0, "")
    # One or two: the second of the saves above may be sent late.
    assert {*tasks(redis)[before:]} == {"integrations.tasks.deliver"}


@pytest.mark.any_database
def test_while_nobody_takes_the_messages_no_more_than_enough_pile_up(redis, monkeypatch):
    monkeypatch.setattr(wakeup, "ENOUGH", 3)
    for _ in range(3):
        current_app.send_task(wakeup.TASK, connection=wakeup._connect())
    wakeup.wake()
    until_sent()
    wakeup.wake()
    assert not wakeup._own().wait(0.1)
    assert len(waiting(redis)) == 4

    redis.connect().delete("delivery")
    until_sent()
    assert len(waiting(redis)) == 1


# --- With a broker that is gone, or hangs ---


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_all_is_recorded_and_a_wake_up_follows_when_it_is_back(acme, redis, alice, api, caplog):
    caplog.set_level(logging.INFO, logger="integrations.workers.wakeup")
    redis.stop()
    client = api(alice)
    answer = client.post("/api/v1/changes/", {"title": "Given away", "owning_group": "ACME Networks"})
    assert answer.status_code == 201
    until("the log says it", lambda: caplog.records)
    number = answer.json()["number"]
    for _ in range(3):
        assert client.post(f"/api/v1/changes/{number}/comments/", {"body": "Hello"}).status_code == 201
    assert OutgoingOperation.objects.filter(change__number=number, status="Waiting").count() == 4

    redis.start()
    until_sent()
    assert tasks(redis) == ["integrations.tasks.deliver"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["api", "page"])
def test_a_broker_that_hangs_holds_up_no_request(acme, redis, alice, api, client, path):
    change = given_to_acme()
    until_sent()
    redis.process.pause()
    if path == "api":
        answer = api(alice).post(f"/api/v1/changes/{change.number}/comments/", {"body": "Hello"})
        assert answer.status_code == 201
    else:
        client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
        answer = client.post(f"/changes/{change.number}/comments/", {"body": "Hello", "visibility": "public"})
        assert answer.status_code == 302
    # The request was answered before the wake-up was sent or given up.
    assert not wakeup._own().wait(0)
    assert Comment.objects.filter(change=change).count() == 1
    redis.process.resume()
    until_sent()


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_refuses_to_write_holds_up_nobody(acme, redis, caplog):
    redis.connect().config_set("min-replicas-to-write", 1)
    given_to_acme()
    given_to_acme()
    until("the log says it", lambda: caplog.records)
    assert Change.objects.count() == OutgoingOperation.objects.count() == 2
    redis.connect().config_set("min-replicas-to-write", 0)
    until_sent()
    assert tasks(redis) == ["integrations.tasks.deliver"]


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_a_command_ends_all_the_same(acme, redis):
    redis.process.pause()
    code = "from integrations.workers.wakeup import wake; wake(); print('done')"
    done = manage(
        "shell",
        "--verbosity=0",
        "--command",
        f"import os; {code}",
        CELERY_BROKER_URL=f"redis://127.0.0.1:{redis.port}/0",
    )
    assert (done.returncode, done.stdout) == (0, "done\n")


# --- Sweeps ---

QUEUES = ["delivery", "housekeeping"]
SWEEP = [
    *(
        "integrations.tasks.dispatch_due",
        "integrations.tasks.poll_due",
        "integrations.tasks.release_stale",
        "integrations.tasks.resume_bulk",
    ),
    "integrations.tasks.tend_security_log",
]


@pytest.fixture
def beat(redis):
    """Beat's scheduler. Each call advances the clock by these seconds, and returns the sent tasks, sorted."""
    scheduler = Scheduler(app=current_app)

    def run(clock, seconds):
        before = [len(tasks(redis, queue)) for queue in QUEUES]
        for _ in range(seconds):
            clock.shift(1)
            while scheduler.tick() <= LEAST:
                pass
        return sorted(task for queue, count in zip(QUEUES, before, strict=True) for task in tasks(redis, queue)[count:])

    return run


@pytest.mark.any_database
def test_beat_sleeps_until_a_sweep_also_in_the_last_milliseconds(redis):
    with time_machine.travel("2026-01-01T00:00:00Z", tick=False) as clock:
        scheduler = Scheduler(app=current_app)
        for _ in range(1500):
            clock.shift(0.004)
            assert scheduler.tick() > 0


@pytest.mark.any_database
@pytest.mark.parametrize("today", ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"])
def test_beat_sweeps_at_its_interval_wherever_the_clock_was_when_it_was_started(beat, today):
    with time_machine.travel(today, tick=False) as clock:
        beat(clock, 6)
        assert beat(clock, 6) == SWEEP


@pytest.mark.any_database
@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_beat_sweeps_on_after_the_clock_was_set(beat, seconds):
    with time_machine.travel("2026-11-24T12:00:00Z", tick=False) as clock:
        beat(clock, 6)
        clock.shift(seconds)
        beat(clock, 6)
        assert beat(clock, 6) == SWEEP


@pytest.mark.any_database
def test_beat_sweeps_on_after_the_broker_was_gone(beat, redis, caplog):
    caplog.set_level(logging.INFO, logger="integrations.workers.wakeup")
    with time_machine.travel("2026-11-24T12:00:00Z", tick=False) as clock:
        beat(clock, 6)
        redis.connect().config_set("min-replicas-to-write", 1)
        for _ in range(3):
            assert beat(clock, 6) == []
        redis.connect().config_set("min-replicas-to-write", 0)
        assert beat(clock, 6) == SWEEP
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.any_database
def test_while_no_worker_takes_them_no_more_than_enough_sweeps_pile_up(beat, redis, monkeypatch):
    monkeypatch.setattr(wakeup, "ENOUGH", 2)
    with time_machine.travel("2026-11-24T12:00:00Z", tick=False) as clock:
        beat(clock, 30)
    assert [len(tasks(redis, queue)) for queue in QUEUES] == [2, 2]
