"""A request that conflicts with another transaction is repeated unnoticed. If it cannot be done now, the answer is 503.

The database itself raises the conflicts. On PostgreSQL a trigger raises them, and one test causes a real deadlock.
SQLite is locked by another connection.
"""

import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection, transaction
from django.http import HttpResponse
from django.urls import include, path

from casexchange.web.repeating import REPEATABLE_BYTES
from changes.conflicts import is_conflict, is_unavailable, is_undone
from changes.models import Attachment, Change, Comment
from integrations.models import IncomingOperation, OutgoingOperation
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.processes import until
from tests.refused_writes import DEADLOCK, refused

pytestmark = pytest.mark.django_db(transaction=True)

SERIALIZATION, LOCK_TIMEOUT, STATEMENT_TIMEOUT, DISK_FULL = "40001", "55P03", "57014", "53100"
ALWAYS = 1_000_000
HOME = "To the changes"


@pytest.fixture
def change(acme):
    return ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))


@pytest.fixture
def web(client, alice):
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    return client


def add_comment(api, change, body="Hello"):
    return api.post(f"/api/v1/changes/{change.number}/comments/", {"body": body})


def recorded():
    return list(OutgoingOperation.objects.order_by("sequence").values_list("operation", flat=True))


# --- Done again ---


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("code", [DEADLOCK, SERIALIZATION])
def test_a_call_of_the_api_that_meets_conflicts_is_done_once(change, alice, api, times, code):
    client = api(alice)
    with refused(times, code=code):
        answer = add_comment(client, change)
    assert answer.status_code == 201
    assert Comment.objects.get().body == "Hello"
    assert recorded() == ["Assign", "Update"]


def test_a_page_that_meets_a_conflict_is_done_once(change, web):
    with refused(1):
        answer = web.post(f"/changes/{change.number}/comments/", {"body": "Hello", "visibility": "public"}, follow=True)
    assert answer.status_code == 200
    assert [str(message) for message in answer.context["messages"]] == ["Your public comment was added."]
    assert Comment.objects.get().body == "Hello"
    assert recorded() == ["Assign", "Update"]


def test_an_edit_that_meets_a_conflict_is_made_once(change, alice, api):
    client = api(alice)
    with refused(1, "changes_change"):
        answer = client.patch(f"/api/v1/changes/{change.number}/", {"title": "Another"})
    assert answer.status_code == 200
    assert Change.objects.get().title == "Another"
    assert Change.objects.get().version == change.version + 1


def files():
    return {file for file in Path(settings.MEDIA_ROOT).rglob("*") if file.is_file()}


@pytest.mark.parametrize("way", ["api", "page"])
def test_a_small_upload_that_meets_a_conflict_is_kept_once_and_whole(change, alice, api, web, way):
    content = bytes(range(256)) * 40
    file = SimpleUploadedFile("plan.bin", content)
    before, client = files(), api(alice)
    client.get("/api/v1/changes/")  # notes the first use of the token, which is a write too
    with refused(1, "changes_attachment"):
        if way == "api":
            address = f"/api/v1/changes/{change.number}/attachments/"
            assert client.post(address, {"file": file}, format="multipart").status_code == 201
        else:
            assert web.post(f"/changes/{change.number}/attachments/", {"file": file}).status_code == 302
    attachment = Attachment.objects.get()
    assert attachment.file.read() == content
    assert files() - before == {Path(attachment.file.path)}
    assert recorded() == ["Assign", "Update"]


def test_a_real_deadlock_is_seen_by_neither_side(change, alice, api):
    """PostgreSQL ends one of two transactions in a deadlock. SQLite has one writer at a time: both just wait."""
    exchange, client = change.exchanges.get(), api(alice)
    holds, may_go_on = threading.Event(), threading.Event()

    def rival():
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL deadlock_timeout = '60s'")  # so the other transaction is ended
            type(exchange).objects.select_for_update().get(pk=exchange.pk)
            holds.set()
            may_go_on.wait(60)
            Change.objects.select_for_update().get(pk=change.pk)
        connection.close()

    def waits():
        if connection.vendor != "postgresql":
            return True
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return cursor.fetchone()[0] > 0

    def watch():
        until("the call waits for the rival", waits)
        may_go_on.set()
        connection.close()

    threads = [threading.Thread(target=rival), threading.Thread(target=watch)]
    threads[0].start()
    assert holds.wait(60)
    threads[1].start()
    answer = add_comment(client, change)
    for thread in threads:
        thread.join()
    assert answer.status_code == 201
    assert Comment.objects.count() == 1
    assert recorded() == ["Assign", "Update"]


# --- Operations of partners ---

CREATE = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "From ACME"}}


def test_an_operation_that_meets_conflicts_is_applied_once(acme, partner_api):
    client = partner_api(acme)
    with refused(2, "changes_change"):
        answer = client.post("/api/v1/operations/", CREATE, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201
    assert Change.objects.get().title == "From ACME"
    assert IncomingOperation.objects.get().status == "Applied"


def test_an_operation_in_vain_is_answered_with_503_and_can_be_sent_again(acme, partner_api):
    client = partner_api(acme)
    client.get("/api/v1/changes/")  # notes the first use of the token, which is a write too
    # Until the log of failed operations is written: SQLite locks the whole database.
    with refused(3, "changes_change"):
        answer = client.post("/api/v1/operations/", CREATE, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/problem+json"
    assert int(answer["Retry-After"]) > 0
    assert "Nothing was saved." in answer.json()["detail"]
    assert not Change.objects.exists()
    failed = IncomingOperation.objects.get()
    assert (failed.status, failed.http_status) == ("Failed", 503)
    assert client.post("/api/v1/operations/", CREATE, headers={"Idempotency-Key": "k"}).status_code == 201


# --- Answers with 503 ---


def codes():
    """The errors of this database that lead to a 503. SQLite has only its lock."""
    return [LOCK_TIMEOUT, STATEMENT_TIMEOUT, DISK_FULL, DEADLOCK] if connection.vendor == "postgresql" else ["locked"]


def test_a_call_in_vain_is_answered_with_503_and_can_be_sent_again(change, alice, api):
    client = api(alice)
    for code in codes():
        with refused(ALWAYS, code=code):
            answer = add_comment(client, change)
        assert answer.status_code == 503
        assert answer["Content-Type"] == "application/problem+json"
        assert int(answer["Retry-After"]) > 0
        problem = answer.json()
        assert (problem["title"], problem["status"]) == ("Service Unavailable", 503)
        assert problem["detail"] == "The database is busy or not reachable. Nothing was saved. Send it again later."
        assert problem["errors"][0]["code"] == "service_unavailable"
        assert (Comment.objects.count(), recorded()) == (0, ["Assign"])
    assert add_comment(client, change).status_code == 201


def test_a_page_in_vain_says_in_plain_words_that_nothing_was_saved(change, web):
    for code in codes():
        with refused(ALWAYS, code=code):
            answer = web.post(f"/changes/{change.number}/comments/", {"body": "Hello", "visibility": "public"})
        text = answer.content.decode()
        assert answer.status_code == 503
        assert int(answer["Retry-After"]) > 0
        assert "Nothing was saved." in text
        assert "send it again" in text
        assert HOME in text
        assert (Comment.objects.count(), recorded()) == (0, ["Assign"])


def test_a_large_upload_is_not_kept_to_be_sent_again(change, alice, api):
    file = SimpleUploadedFile("large.bin", b"x" * REPEATABLE_BYTES)
    before, client = files(), api(alice)
    client.get("/api/v1/changes/")  # notes the first use of the token, which is a write too
    with refused(1, "changes_attachment"):
        answer = client.post(f"/api/v1/changes/{change.number}/attachments/", {"file": file}, format="multipart")
    assert answer.status_code == 503
    assert "Nothing was saved" in answer.json()["detail"]
    assert not Attachment.objects.exists()
    assert files() == before


@contextmanager
def unreachable():
    """No database connection can be opened."""
    connection.close()
    where = connection.settings_dict
    name, host = where["NAME"], where["HOST"]
    where.update({"NAME": "/nowhere/db.sqlite3"} if connection.vendor == "sqlite" else {"HOST": "/nowhere"})
    try:
        yield
    finally:
        where.update(NAME=name, HOST=host)


def test_without_a_database_pages_and_api_say_so_and_work_again_once_it_is_back(change, alice, api, web):
    client = api(alice)
    with unreachable():
        read = client.get(f"/api/v1/changes/{change.number}/")
        written = add_comment(client, change)
        page = web.get(f"/changes/{change.number}/")
        sent = web.post(f"/changes/{change.number}/comments/", {"body": "Hello", "visibility": "public"})
        login = web.get("/accounts/login/")
        admin = web.get("/admin/")
    assert [answer.status_code for answer in (read, written, page, sent, login, admin)] == [503] * 6
    assert read.json()["detail"] == "The database is busy or not reachable."
    assert "Nothing was saved" in written.json()["detail"]
    assert "load this page again" in page.content.decode()
    assert "Nothing was saved." in sent.content.decode()
    assert add_comment(client, change).status_code == 201
    assert web.get(f"/changes/{change.number}/").status_code == 200


def test_a_fault_of_ours_is_no_conflict(change, alice, api):
    with connection.cursor() as cursor, pytest.raises(Exception, match=r"nothing_like_it") as raised:
        cursor.execute("SELECT nothing_like_it FROM changes_comment")
    assert not is_unavailable(raised.value)
    assert not is_conflict(raised.value)


def test_of_a_connection_that_was_lost_nobody_knows_what_was_committed():
    lost = OperationalError("server closed the connection unexpectedly")
    assert (is_conflict(lost), is_unavailable(lost), is_undone(lost)) == (False, True, False)


# --- A partly committed request is not repeated ---


def two_transactions(request, pk):
    """A view with two transactions."""
    change = Change.objects.get(pk=pk)
    author = change.requested_by
    Comment(change=change, author=author, body="first").save()
    with refused(1):
        Comment(change=change, author=author, body="second").save()
    return HttpResponse()


urlpatterns = [path("twice/<int:pk>/", two_transactions), path("", include("casexchange.urls"))]


@pytest.mark.urls(__name__)
def test_what_was_partly_committed_is_not_done_again_and_the_page_says_that_it_is_not_known(change, web):
    answer = web.post(f"/twice/{change.pk}/")
    text = answer.content.decode()
    assert answer.status_code == 503
    assert "What you sent may have been saved." in text
    assert [comment.body for comment in Comment.objects.all()] == ["first"]
