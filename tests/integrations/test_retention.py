"""What is final and old is archived and removed; what waits, and what the contract needs, stays."""

import gzip
import json
import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.utils import timezone

from changes.choices import Phase
from changes.models import Attachment, Change, Comment
from integrations import tasks
from integrations.models import DeliveryAttempt, ExternalReference, IncomingOperation, OutgoingOperation
from integrations.retention import sweeping
from tests.commands import manage
from tests.exchange import ROOT
from tests.factories import change_in
from tests.pages import web

from .partner import answer

pytestmark = pytest.mark.django_db(transaction=True)

ALL = {
    "RETENTION_DELIVERED_DAYS": "30",
    "RETENTION_ATTEMPT_DAYS": "30",
    "RETENTION_INCOMING_BODY_DAYS": "30",
    "RETENTION_CHANGE_DAYS": "365",
}
CREATE = {"system_id": "ACME", "operation": "Create", "external_id": "A-1", "properties": {"title": "From ACME"}}


def is_old(days=40):
    """All that is there is so old."""
    at = timezone.now() - timedelta(days=days)
    OutgoingOperation.objects.exclude(settled_at=None).update(settled_at=at)
    IncomingOperation.objects.update(received_at=at)
    with connection.cursor() as cursor:
        moment = connection.ops.adapt_datetimefield_value(at)
        cursor.execute("UPDATE changes_change SET last_activity_at = %s", [moment])


def archive_of(folder, kind):
    """What all files of a kind have: at midnight another one is begun."""
    files = sorted(folder.glob(f"{kind}-*.jsonl.gz"))
    assert files
    return [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).decode().splitlines()]


@pytest.fixture(autouse=True)
def archive(tmp_path):
    (tmp_path / "archive").mkdir()


@pytest.fixture
def delivered(give, acme, partner):
    """Two changes of ACME with two delivered operations each, and one that the partner has not taken."""
    give(acme, 2)
    tasks.deliver()
    partner.default = answer(503)
    give(acme, 1)
    tasks.deliver()
    assert OutgoingOperation.objects.filter(status="Delivered").count() == 4
    return OutgoingOperation.objects.order_by("pk")


def test_without_a_setting_all_is_kept(delivered):
    is_old()
    before = list(OutgoingOperation.objects.order_by("pk").values())
    done = manage("retain")
    assert (done.returncode, "Everything is kept for ever." in done.stderr) == (1, True)
    assert tasks.retain() == 0
    assert list(OutgoingOperation.objects.order_by("pk").values()) == before
    refused = manage("retain", RETENTION_ATTEMPT_DAYS="soon")
    assert "RETENTION_ATTEMPT_DAYS='soon': give a whole number from 1" in refused.stderr


def test_delivered_operations_lose_their_content_and_attempts_and_what_waits_stays(delivered, tmp_path, alice):
    is_old()
    kept = {row["id"]: row for row in delivered.values()}
    attempts = DeliveryAttempt.objects.count()
    environment = {**ALL, "RETENTION_ARCHIVE": str(tmp_path / "archive")}
    dry = manage("retain", "--dry-run", **environment)
    assert "contents of delivered operations (RETENTION_DELIVERED_DAYS=30): 4 would be removed" in dry.stdout
    assert DeliveryAttempt.objects.count() == attempts

    done = manage("retain", **environment)

    assert done.returncode == 0, done.stderr
    assert "attempts of delivered operations (RETENTION_ATTEMPT_DAYS=30): 4 removed" in done.stdout
    for row in OutgoingOperation.objects.all().values():
        before = kept[row["id"]]
        if row["status"] == "Delivered":
            assert set(row["payload"]) == {"removed_at"}
            row["payload"], row["done_steps"] = before["payload"], before["done_steps"]
        assert row == before
    assert DeliveryAttempt.objects.exclude(operation__status="Waiting").count() == 0
    assert DeliveryAttempt.objects.filter(operation__status="Waiting").count() == attempts - 4
    written = archive_of(tmp_path / "archive", "delivered")
    assert [line["id"] for line in written] == [str(key) for key, row in kept.items() if row["status"] == "Delivered"]
    assert all(line["payload"]["change"]["title"].startswith("Change ") for line in written)
    assert len(archive_of(tmp_path / "archive", "attempts")) == 4
    one = OutgoingOperation.objects.filter(status="Delivered")[0]
    assert web(alice).get(f"/exchange/{one.pk}/").status_code == 200
    again = manage("retain", **environment)
    assert "(RETENTION_DELIVERED_DAYS=30): 0 removed" in again.stdout, "nothing twice"


def test_a_repeat_and_a_loop_are_known_for_ever(acme, partner_api, delivered, settings):
    client, key = partner_api(acme), {"HTTP_IDEMPOTENCY_KEY": "k-1"}
    first = client.post("/api/v1/operations/", CREATE, **key)
    assert first.status_code == 201
    is_old()
    for name, days in ALL.items():
        setattr(settings, name, int(days))
    assert tasks.retain() > 0
    assert IncomingOperation.objects.get().payload.keys() == {"removed_at"}
    again = client.post("/api/v1/operations/", CREATE, **key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert client.post("/api/v1/operations/", CREATE).status_code == 409, "its external_id is known too"
    ours = OutgoingOperation.objects.filter(status="Delivered")[0]
    looped = {"system_id": "ACME", "operation": "Update", "external_id": "A-1", "comments": [{"body": "Back"}]}
    looped["origin"] = {"system_id": "DESK", "operation_id": str(ours.pk)}
    answered = client.post("/api/v1/operations/", looped)
    assert (answered.status_code, answered.json()["status"]) == (200, "Ignored")


def test_a_finished_change_goes_with_all_that_belongs_to_it(acme, alice, partner, tmp_path, settings):
    group = acme.external_groups.get().group
    finished = change_in(Phase.CLOSE)
    abandoned = change_in(Phase.ABANDON, owning_group=group)
    held_up = change_in(Phase.ABANDON, owning_group=group)
    is_open = change_in(Phase.PLAN)
    for change in (finished, abandoned, is_open):
        Comment(change=change, author=alice, body="Since ten.").save()
        Attachment(change=change, author=alice, file=ContentFile(b"x", name="a.txt"), file_name="a.txt").save()
    ExternalReference(change=abandoned, system=acme, external_id="A-7").save()
    tasks.deliver()
    waits = OutgoingOperation.objects.filter(change=held_up).last()
    OutgoingOperation.objects.filter(pk=waits.pk).update(status="Refused", settled_at=None)
    files = {change.pk: change.attachments.get().file.path for change in (finished, abandoned, is_open)}
    is_old(400)

    done = manage("retain", RETENTION_CHANGE_DAYS="365", RETENTION_ARCHIVE=str(tmp_path / "archive"))

    assert done.returncode == 0, done.stderr
    assert "finished changes (RETENTION_CHANGE_DAYS=365): 2 removed" in done.stdout
    assert set(Change.objects.all()) == {held_up, is_open}, "one waits for a person, one is open"
    assert [key for key, file in files.items() if not Path(file).exists()] == [finished.pk, abandoned.pk]
    assert set(Change.history.values_list("id", flat=True)) == {held_up.pk, is_open.pk}
    assert not ExternalReference.objects.exists()
    lines = {line["change"]["id"]: line for line in archive_of(tmp_path / "archive", "changes")}
    assert set(lines) == {finished.pk, abandoned.pk}
    one = lines[abandoned.pk]
    assert [comment["body"] for comment in one["comments"]] == ["Since ten."]
    assert len(one["history"]) > 1
    assert one["external_references"][0]["external_id"] == "A-7"
    assert {each["operation"] for each in one["outgoing_operations"]} >= {"Assign", "Cancel"}
    assert one["delivery_attempts"]
    assert (tmp_path / "archive" / "files" / one["attachments"][0]["file"]).read_bytes() == b"x"
    assert manage("verify_audit").returncode == 0


def test_under_traffic_nothing_that_waits_is_lost(acme, give, delivered, partner, settings):
    partner.default = answer(200)
    settings.RETENTION_DELIVERED_DAYS = settings.RETENTION_ATTEMPT_DAYS = 1
    is_old()
    ended = threading.Event()

    def sweep():
        try:
            while not ended.is_set():
                sweeping.sweep(ended.is_set)
        finally:
            connection.close()

    thread = threading.Thread(target=sweep)
    thread.start()
    for _ in range(5):
        give(acme, 4)
        tasks.deliver()
        is_old()
    ended.set()
    thread.join()
    tasks.release_stale()
    OutgoingOperation.objects.filter(status="Waiting").update(next_try_at=timezone.now())
    tasks.deliver()
    tasks.deliver()
    assert set(OutgoingOperation.objects.values_list("status", flat=True)) == {"Delivered"}
    assert {str(key) for key in OutgoingOperation.objects.values_list("pk", flat=True)} <= {
        body["id"] for _, body, _ in partner.received
    }


def test_an_interrupted_run_goes_on(delivered, tmp_path, settings):
    settings.RETENTION_DELIVERED_DAYS = 30
    settings.RETENTION_ARCHIVE = str(tmp_path / "archive")
    is_old()
    asked = iter([False, True])
    sweeping.Kind.batch = 1
    try:
        assert sweeping.sweep(lambda: next(asked, True)) == {"delivered": 1}
        # A process that died while it wrote to the archive.
        [file] = (tmp_path / "archive").iterdir()
        with file.open("ab") as output:
            output.write(gzip.compress(b'{"torn": 1}')[:10])
        assert sweeping.sweep(lambda: False) == {"delivered": 3}
    finally:
        sweeping.Kind.batch = 100
    assert len({line["id"] for line in archive_of(tmp_path / "archive", "delivered")}) == 4


def test_nothing_goes_that_could_not_be_archived(delivered, tmp_path):
    is_old()
    for arguments in (["--dry-run"], []):
        done = manage("retain", *arguments, **ALL, RETENTION_ARCHIVE=str(tmp_path / "not-mounted"))
        assert (done.returncode, "RETENTION_ARCHIVE cannot be written to" in done.stderr) == (1, True), done.stderr
    assert not OutgoingOperation.objects.filter(payload__contains="removed_at").exists()


def test_two_sweeps_write_every_line_to_the_same_file(tmp_path):
    """Processes of their own, as an operator's command beside beat's."""
    code = (
        "import sys\n"
        "from integrations.retention import archived\n"
        "for number in range(40):\n"
        "    archived.write('attempts', [{'id': f'{sys.argv[1]}-{number}-{line}'} for line in range(20)])\n"
    )
    script = tmp_path / "writes.py"
    script.write_text(f"import django\ndjango.setup()\n{code}")
    environment = {**os.environ, "RETENTION_ARCHIVE": str(tmp_path / "archive"), "PYTHONPATH": str(ROOT)}
    environment["DJANGO_SETTINGS_MODULE"] = "casexchange.settings"
    started = [subprocess.Popen([sys.executable, script, name], env=environment, cwd=ROOT) for name in ("a", "b")]
    assert [process.wait(60) for process in started] == [0, 0]
    lines = [line["id"] for line in archive_of(tmp_path / "archive", "attempts")]
    assert len({*lines}) == len(lines) == 2 * 40 * 20


def test_a_shared_copy_of_the_change_stays_as_long_as_one_needs_it(acme, beta, partner_api, partner, settings):
    """Two comments that come at once go to the other partner with one copy of the change."""
    known = {"system_id": "BETA", "external_id": "B-1"}
    properties = {"title": "From BETA", "owning_group": acme.external_groups.get().group.name}
    comments = [{"body": "Since ten."}, {"body": "Until eleven."}]
    for sent, status in (
        ({"operation": "Create", **known, "properties": properties}, 201),
        ({"operation": "Update", **known, "comments": comments}, 200),
    ):
        assert partner_api(beta).post("/api/v1/operations/", sent).status_code == status
    tasks.deliver()
    assert {*OutgoingOperation.objects.values_list("status", flat=True)} == {"Delivered"}
    sharing = OutgoingOperation.objects.exclude(snapshot_of=None).get()
    shared = sharing.snapshot_of
    settings.RETENTION_DELIVERED_DAYS = 30
    is_old()
    OutgoingOperation.objects.filter(pk=sharing.pk).update(settled_at=timezone.now())

    tasks.retain()
    sharing.refresh_from_db()
    assert sharing.whole_payload["change"]["title"] == "From BETA"

    is_old()
    tasks.retain()
    shared = OutgoingOperation.objects.get(pk=shared.pk)
    sharing.refresh_from_db()
    assert shared.is_forgotten and sharing.is_forgotten, "the one that was passed over, too"
