"""Carrying out a bulk job: results, stopping, resuming after a crash, several workers."""

from datetime import timedelta

import pytest
import time_machine
from django.db.models import QuerySet
from django.utils import timezone

from changes.actor import acting
from changes.bulk import running
from changes.choices import Phase, Role
from changes.models import BulkItem, BulkJob, Change, Comment
from integrations import tasks
from integrations.models import OutgoingOperation
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in
from tests.pages import text, web
from tests.threads import at_once

from .conftest import done, previewed, sent, started, statuses, work

# --- Carrying it out ---


def test_reassigned_changes_say_from_where_to_where_and_who_did_it(alice, network, storage):
    changes = [ChangeFactory(owning_group=network), ChangeFactory(owning_group=None)]
    said = done(web(alice), "reassign", changes, group=storage.pk)
    assert "Finished 2 of 2" in said
    assert "It went from Network to Storage." in said
    assert "It had no group and went to Storage." in said
    assert {change.owning_group for change in Change.objects.all()} == {storage}
    assert {change.history.first().history_user for change in changes} == {alice}


def test_changes_can_be_taken_from_their_group(alice, network, acme_group):
    change = ChangeFactory(owning_group=acme_group)
    said = done(web(alice), "reassign", [change, ChangeFactory(owning_group=None)], group="none")
    assert "It has no group." in said
    assert "It was removed from ACME Networks." in said
    assert sent(change) == ["Assign to ACME", "Accept to ACME"]
    assert [row.owning_group for row in Change.objects.all()] == [None, None]


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_each_change_gets_the_comment_once(alice, acme_group, visibility):
    changes = [ChangeFactory(owning_group=acme_group) for _ in range(3)]
    done(web(alice), "comment", changes, body="Line 1\r\nLine 2", visibility=visibility)
    for change in changes:
        comment = change.comments.get()
        assert (comment.author, comment.body, comment.visibility) == (alice, "Line 1\nLine 2", visibility)
        assert sent(change) == ["Assign to ACME", *(["Update to ACME"] if visibility == "public" else [])]


@pytest.mark.parametrize(("code", "operations"), [("Withdrawn", ["Cancel to ACME"]), ("Rejected", [])])
def test_abandoned_changes_have_the_code_and_the_phase(carol, acme_group, code, operations):
    change = ChangeFactory(owning_group=acme_group)
    said = done(web(carol), "abandon", [change], code=code)
    assert "It went from Log to Abandon." in said
    change.refresh_from_db()
    assert (change.phase, change.completion_code) == ("Abandon", code)
    assert sent(change) == ["Assign to ACME", *operations]


def test_one_that_cannot_be_done_does_not_keep_the_others(carol, network):
    changes = [change_in(Phase.LOG), change_in(Phase.DEPLOY), change_in(Phase.ABANDON), change_in(Phase.PLAN)]
    said = done(web(carol), "abandon", changes, code="Withdrawn")
    assert sorted(statuses()) == ["done", "done", "failed", "unchanged"]
    assert "Normal changes have no transition from Deploy to Abandon." in said
    assert "It was abandoned as Withdrawn already." in said
    assert "2 done 1 unchanged 1 not done" in said
    deployed = Change.objects.get(pk=changes[1].pk)
    assert (deployed.phase, deployed.completion_code) == ("Deploy", None)


def test_a_change_that_moved_on_since_the_preview_is_left_alone_and_says_who_did_it(alice, carol, network, storage):
    change, other = ChangeFactory(owning_group=network), ChangeFactory(owning_group=network)
    page = previewed(web(alice), "reassign", [change, other], group=storage.pk)
    with acting(carol):
        moved = Change.objects.get(pk=change.pk)
        moved.title = "Carol's title"
        moved.save()
    assert "It was changed by carol since it was chosen (Title)." in text(web(alice).get(page.job))
    web(alice).post(f"{page.job}start/")
    work()
    said = text(web(alice).get(page.job))
    assert "It was changed by carol since the preview (Title). Look at it again." in said
    assert Change.objects.get(pk=change.pk).owning_group == network
    assert Change.objects.get(pk=other.pk).owning_group == storage


GERMAN = {"Accept-Language": "de"}


def test_results_are_told_in_the_language_of_who_reads_them(carol, alice, network, storage):
    held, free, there, moved, wrong = (ChangeFactory(owning_group=g) for g in (network, None, storage, network, None))
    QuerySet(Change).filter(pk=wrong.pk).update(title="")
    client = web(carol)
    page = previewed(client, "reassign", [held, free, there, moved, wrong], group=storage.pk)
    with acting(alice):
        moved.title, moved.owning_group = "Another", None
        moved.save()
    client.post(f"{page.job}start/", headers=GERMAN)
    work()
    in_german, in_english = (text(client.get(page.job, headers=headers)) for headers in (GERMAN, {}))
    for german, english in (
        ("Die Zuständigkeit wechselte von Network zu Storage.", "It went from Network to Storage."),
        ("Storage ist bereits zuständig.", "Storage has it already."),
        ("von alice geändert (Titel, Zuständige Gruppe)", "changed by alice since the preview (Title, Owning group)"),
        ("Geben Sie dem Change einen Titel.", "Give the change a title."),
    ):
        assert german in in_german and german not in in_english
        assert english in in_english and english not in in_german
    job = started(client, "abandon", [held, change_in(Phase.DEPLOY), change_in(Phase.ABANDON)], code="Withdrawn")
    work()
    in_german = text(client.get(job, headers=GERMAN))
    for german in (
        "Er wechselte von der Phase Erfassen in die Phase Verwerfen.",
        "gibt es keinen Übergang von Umsetzen zu Verwerfen.",
        "Er wurde schon als Zurückgezogen verworfen.",
    ):
        assert german in in_german
    BulkItem.objects.update(kept=None)  # as a former release wrote it
    assert "It went from Log to Abandon." in text(client.get(job, headers=GERMAN))


def test_a_comment_is_added_also_to_a_change_that_moved_on(alice, network):
    change = ChangeFactory()
    page = previewed(web(alice), "comment", [change], body="Hello", visibility="public")
    change.title = "Another"
    change.save()
    web(alice).post(f"{page.job}start/")
    work()
    assert statuses() == ["done"]


@pytest.mark.parametrize("loss", ["role", "active"])
def test_a_permission_that_is_gone_when_it_is_carried_out_counts(alice, network, storage, loss):
    change = ChangeFactory(owning_group=network)
    started(web(alice), "reassign", [change], group=storage.pk)
    if loss == "role":
        alice.groups.clear()
        UserFactory(username="alice", roles=[Role.AUDITOR])
    else:
        alice.is_active = False
        alice.save()
    work()
    assert (statuses(), BulkItem.objects.get().message) == (["failed"], "You may not do this any more.")
    change.refresh_from_db()
    assert change.owning_group == network


def test_a_group_that_is_gone_when_it_is_carried_out_is_said(alice, network):
    gone = SupportGroupFactory(name="Gone")
    change = ChangeFactory(owning_group=network)
    started(web(alice), "reassign", [change], group=gone.pk)
    gone.delete()
    work()
    assert (statuses(), BulkItem.objects.get().message) == (["failed"], "There is no group Gone any more.")


def test_starting_twice_does_it_once(alice):
    change = ChangeFactory()
    client = web(alice)
    page = previewed(client, "comment", [change], body="Hello", visibility="public")
    assert "It was started already." not in text(client.post(f"{page.job}start/", follow=True))
    assert "It was started already." in text(client.post(f"{page.job}start/", follow=True))
    work()
    client.post(f"{page.job}start/")
    work()
    assert (Comment.objects.count(), BulkJob.objects.count()) == (1, 1)


def test_what_is_not_started_is_not_done(alice):
    previewed(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    work()
    assert (Comment.objects.count(), statuses()) == (0, ["waiting"])


# --- Stopping, resuming, sharing ---


def stop_after(monkeypatch, count, stop):
    """Calls `stop` after that number of records was begun."""
    begun = []
    real = running._do

    def do(job, item):
        begun.append(item)
        if len(begun) == count:
            stop()
        return real(job, item)

    monkeypatch.setattr(running, "_do", do)


def test_stop_leaves_undone_what_is_not_done_yet(alice, monkeypatch):
    changes = [ChangeFactory() for _ in range(5)]
    client = web(alice)
    address = started(client, "comment", changes, body="Hello", visibility="public")
    stop_after(monkeypatch, 2, lambda: client.post(f"{address}stop/"))
    work()
    said = text(client.get(address))
    assert "Stopped 2 of 5" in said
    assert "3 not started" in said
    assert Comment.objects.count() == 2
    work()
    assert Comment.objects.count() == 2
    assert "There was nothing to stop any more." in text(client.post(f"{address}stop/", follow=True))


class Killed(BaseException):
    """Simulates the death of the process: no handler of the product may catch it."""


def killed():
    raise Killed


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["_do", "_record"])
def test_killed_in_the_middle_nothing_is_doubled_and_nothing_lost(alice, acme_group, monkeypatch, where):
    changes = [ChangeFactory(owning_group=acme_group) for _ in range(5)]
    address = started(web(alice), "comment", changes, body="Hello", visibility="public")
    real, calls = getattr(running, where), []

    def dying(*arguments):
        calls.append(arguments)
        result = None if where == "_record" and len(calls) == 3 else real(*arguments)
        if len(calls) == 3:
            killed()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(running, where, dying)
        with pytest.raises(Killed):
            work()
    assert (Comment.objects.count(), statuses().count("done")) == (2, 2)
    # No wake-up was sent. The sweep finds the job after a time without work on it.
    assert tasks.resume_bulk() == 0
    assert statuses().count("done") == 2
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        tasks.resume_bulk()
    assert [change.comments.count() for change in changes] == [1] * 5
    assert OutgoingOperation.objects.filter(operation="Update").count() == 5
    assert "Finished 5 of 5" in text(web(alice).get(address))


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_a_job_and_do_each_record_once(alice, acme_group):
    changes = [ChangeFactory(owning_group=acme_group) for _ in range(30)]
    started(web(alice), "comment", changes, body="Hello", visibility="public")
    at_once(work, work, work)
    assert statuses() == ["done"] * 30
    assert [change.comments.count() for change in changes] == [1] * 30
    assert BulkJob.objects.get().finished_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_ours_with_one_record_does_not_keep_the_others(alice, monkeypatch, caplog):
    changes = [ChangeFactory() for _ in range(3)]
    started(web(alice), "comment", changes, body="Hello", visibility="public")

    def fault():
        raise ZeroDivisionError

    stop_after(monkeypatch, 2, fault)
    work()
    assert statuses() == ["done", "failed", "done"]
    assert "An internal error" in BulkItem.objects.get(status="failed").message
    assert "failed unexpectedly" in caplog.text


def test_jobs_take_turns(alice, carol, monkeypatch):
    order = []
    real = running._do
    monkeypatch.setattr(running, "_do", lambda job, item: (order.append(job.user_id), real(job, item))[1])
    for person in (alice, carol):
        started(web(person), "comment", [ChangeFactory(), ChangeFactory()], body="Hello", visibility="public")
    work()
    assert order == [alice.pk, carol.pk, alice.pk, carol.pk]


def test_a_worker_that_is_asked_to_end_leaves_the_rest_to_others(alice):
    started(web(alice), "comment", [ChangeFactory(), ChangeFactory()], body="Hello", visibility="public")
    begun = []
    assert running.run(60, is_ending=lambda: len(begun) == 1 or begun.append(1))
    assert statuses() == ["done", "waiting"]
    work()
    assert statuses() == ["done", "done"]
