"""What a restored copy had in hand: bulk jobs, claims, mails. Nothing of it is carried out while the copy is held."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.core.management import call_command
from django.utils import timezone

from changes.choices import ItemStatus
from changes.models import BulkItem, BulkJob, Comment, RestoredCopy, SecurityEvent
from changes.models.installation.security_event import SecurityMail
from integrations import tasks
from integrations.models import OutgoingOperation
from tests.commands import manage
from tests.factories import ChangeFactory, ExternalSystemFactory, UserFactory
from tests.pages import text, web

pytestmark = pytest.mark.django_db(transaction=True)

TIME = "2026-01-31T12:00:00Z"


@pytest.fixture
def hold(transactional_db):
    """A function that makes this database a restored copy."""
    return lambda moment=TIME: call_command("hold_after_restore", "--taken-at", moment, "--yes")


@pytest.fixture
def job(acme, partner, alice):
    """The address of the preview of a job that comments on two changes of ACME's."""
    numbers = [ChangeFactory(owning_group=acme.external_groups.get().group).number for _ in range(2)]
    client = web(alice)
    form = client.post("/changes/bulk/comment/", {"scope": "ticked", "change": numbers, "query": ""})["Location"]
    return client.post(form, {"preview": "1", "body": "Hello", "visibility": "public"})["Location"]


def work():
    tasks.bulk()
    BulkJob.objects.update(active_at=None)  # as after the time in which another worker may have it
    tasks.resume_bulk()
    manage("deliver")


def test_a_job_that_was_under_way_is_not_carried_out_while_held(job, alice, hold, partner):
    web(alice).post(f"{job}start/")
    hold()
    work()
    assert not Comment.objects.exists()
    assert partner.received == []
    assert {item.status for item in BulkItem.objects.all()} == {ItemStatus.WAITING}

    told = manage("resume_after_restore")
    assert told.returncode == 1
    assert "Unfinished bulk job: Add a public comment, of alice" in told.stdout
    assert "2 of 2 records are left. It goes on." in told.stdout
    assert "--cancel-bulk" in told.stdout
    assert manage("resume_after_restore", "--yes").returncode == 0
    work()
    assert Comment.objects.count() == 2


def test_unfinished_jobs_can_be_stopped(job, alice, hold, partner):
    web(alice).post(f"{job}start/")
    hold()
    done = manage("resume_after_restore", "--yes", "--cancel-bulk")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 records are left. It is stopped." in done.stdout
    assert "Bulk jobs cancelled: 1." in done.stdout
    work()
    assert not Comment.objects.exists()
    assert "Stopped" in text(web(alice).get(job))


def test_no_job_is_started_from_a_page_while_held(job, alice, hold):
    hold()
    said = text(web(alice).post(f"{job}start/", follow=True))
    assert "Not started: this is a restored copy." in said
    assert BulkJob.objects.get().is_draft
    call_command("resume_after_restore", "--yes")
    web(alice).post(f"{job}start/")
    assert BulkJob.objects.get().is_running


def test_what_people_did_in_the_copy_is_skipped_too_for_a_partner_that_would_do_it_twice(acme, beta, give, hold):
    before = [*give(acme), *give(beta)]
    old = datetime(2026, 1, 30, tzinfo=UTC)
    OutgoingOperation.objects.filter(pk__in=[one.pk for one in before]).update(created_at=old)
    hold()
    give(acme)
    done = manage("resume_after_restore", "--yes", "--skip", "ACME")
    assert "ACME: 4 would be sent, 2 from before the backup" in done.stdout
    assert "All are skipped, 2 of which people did in this copy." in done.stdout
    statuses = OutgoingOperation.objects.values_list("system__system_id", "status")
    assert sorted(statuses) == [("ACME", "Skipped")] * 4 + [("BETA", "Waiting")] * 2


def claimed(operations, until):
    first = operations.filter(is_next=True).first()
    OutgoingOperation.objects.filter(pk=first.pk).update(status="Sending", claimed_until=until, claim=1)
    return first


def test_only_lapsed_claims_are_freed_unless_the_system_is_skipped(acme, beta, give, hold):
    now = timezone.now()
    lapsed = claimed(give(acme), now - timedelta(seconds=1))
    fresh = claimed(give(acme).exclude(change=lapsed.change), now + timedelta(seconds=60))
    of_skipped = claimed(give(beta), now + timedelta(seconds=60))
    hold()
    call_command("resume_after_restore", "--yes", "--skip", "BETA")
    found = dict(OutgoingOperation.objects.values_list("pk", "status"))
    assert [found[one.pk] for one in (lapsed, fresh, of_skipped)] == ["Waiting", "Sending", "Skipped"]


def test_mails_about_what_happened_before_the_backup_are_not_sent_again(hold, settings):
    settings.HAS_MAIL = True
    UserFactory(username="root", email="root@example.com", is_superuser=True)
    ExternalSystemFactory(system_id="GAMMA")
    assert SecurityMail.objects.exists()
    moment = timezone.now().isoformat()
    hold(moment)
    ExternalSystemFactory(system_id="DELTA")
    call_command("resume_after_restore", "--yes")
    tasks.tend_security_log()
    assert mail.outbox, "the original did not send this one"
    assert [one.subject for one in mail.outbox if "GAMMA" in one.subject] == []
    assert not SecurityMail.objects.filter(event_id__in=SecurityEvent.objects.filter(at__lte=moment)).exists()


def test_holding_by_hand_asks(transactional_db):
    done = manage("hold_after_restore", "--taken-at", TIME)
    assert done.returncode == 1
    assert "each call of a partner is answered 503" in done.stdout
    assert "Nothing was changed. Give --yes" in done.stderr
    assert not RestoredCopy.objects.exists()
    assert manage("hold_after_restore", "--taken-at", TIME, "--yes").returncode == 0
    assert RestoredCopy.objects.exists()
