"""Adding comments and attachments on the page of a change, and the page as a whole."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from changes.actor import acting
from changes.choices import Decision, Phase
from changes.models import Approval, Attachment, Comment
from tests.factories import ChangeFactory, UserFactory, change_in
from tests.pages import asked_for, text, version_in, web
from tests.rows import each_row


def page_of(user, change, query=""):
    return web(user).get(f"/changes/{change.number}/{query}")


# --- Comments ---


def comment(user, change, body="Parts ordered", visibility="public"):
    return web(user).post(f"/changes/{change.number}/comments/", {"body": body, "visibility": visibility}, follow=True)


def test_a_public_comment_says_beforehand_whom_it_goes_to(alice, acme, beta):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    change.owning_group = beta.external_groups.get().group
    change.save()
    said = text(page_of(alice, change))
    assert "Public is sent to ACME and BETA" in said
    assert "Private stays here and is never sent to a partner" in said


def test_a_partner_that_was_told_cancel_gets_no_comment_and_is_not_named(alice, acme):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    change.completion_code = "Withdrawn"
    change.save()
    assert "no partner is linked to this change now, so nothing is sent" in text(page_of(alice, change))


@pytest.mark.parametrize(("visibility", "updates"), [("public", 1), ("private", 0)])
def test_a_comment_is_added_by_the_person_and_marked(alice, acme, visibility, updates):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    response = comment(alice, change, "Line one\r\nLine two", visibility)
    stored = Comment.objects.get()
    assert (stored.author, stored.body, stored.visibility) == (alice, "Line one\nLine two", visibility)
    assert stored.source_system is None
    assert f"Your {visibility} comment was added." in text(response)
    assert change.outgoing_operations.filter(operation="Update").count() == updates


@pytest.mark.parametrize(
    ("body", "visibility", "said"),
    [
        ("", "public", "Write something first."),
        ("  \r\n ", "public", "Write something first."),
        ("x" * 100_001, "public", "at most 100000 characters"),
        ("a\x00b", "public", "Null characters are not allowed."),
        ("Hello", "secret", "secret is not one of the available choices."),
        ("Hello", "", "This field is required."),
    ],
)
def test_a_comment_that_cannot_be_added_keeps_what_was_typed(alice, body, visibility, said):
    change = change_in(Phase.PLAN)
    response = comment(alice, change, body, visibility)
    assert response.status_code == 200
    assert said in text(response)
    assert not Comment.objects.exists()
    if body == "Hello":
        assert ">\nHello</textarea>" in response.content.decode()


def test_a_comment_of_a_partner_shows_where_it_came_from(alice, acme):
    change = change_in(Phase.PLAN)
    with acting(acme.authorized_user, "ACME"):
        Comment(change=change, author=acme.authorized_user, author_name="J. Doe", body="Done").save()
    assert "J. Doe (ACME) from ACME, acting as acme-integration" in text(page_of(alice, change))


# --- Attachments ---


def attach(user, change, file):
    return web(user).post(f"/changes/{change.number}/attachments/", {"file": file}, follow=True)


def test_a_file_is_attached_and_downloaded_unchanged(alice, acme):
    change = change_in(Phase.CLOSE)
    content = b"%PDF-1.7 plan" * 1000
    attach(alice, change, SimpleUploadedFile("plan ü.pdf", content, "application/pdf"))
    stored = Attachment.objects.get()
    assert (stored.author, stored.file_name, stored.content_type) == (alice, "plan ü.pdf", "application/pdf")
    assert (stored.size, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert "plan ü.pdf" in text(page_of(alice, change))
    response = web(alice).get(f"/changes/{change.number}/attachments/{stored.pk}/")
    assert b"".join(response.streaming_content) == content
    assert response["Content-Disposition"].startswith("attachment; filename")
    assert response["Content-Type"] == "application/octet-stream"
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (SimpleUploadedFile("empty.txt", b""), "The file is empty: attach one with content."),
        (SimpleUploadedFile("big.txt", b"x" * 1001), "The file has 1001 bytes; at most 1000 are taken."),
        ("", "Choose a file first."),
    ],
)
def test_a_file_that_cannot_be_attached_says_why(alice, settings, file, said):
    settings.ATTACHMENT_MAX_BYTES = 1000
    change = change_in(Phase.PLAN)
    if file:
        file.seek(0)
    response = attach(alice, change, file)
    assert response.status_code == 200
    assert said in text(response)
    assert not Attachment.objects.exists()


def test_a_file_name_with_folders_names_no_folder(alice):
    change = change_in(Phase.PLAN)
    attach(alice, change, SimpleUploadedFile("../../etc/passwd", b"x"))
    stored = Attachment.objects.get()
    assert stored.file_name == "passwd"
    assert "passwd" not in stored.file.name


@pytest.mark.django_db(transaction=True)  # an error while writing aborts the whole transaction
def test_a_file_whose_record_is_not_kept_leaves_nothing_in_the_storage(alice, monkeypatch, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    change = change_in(Phase.PLAN)
    client = web(alice)
    client.raise_request_exception = False
    monkeypatch.setattr("integrations.outgoing.outbox.context_of", lambda change: 1 / 0)
    response = client.post(f"/changes/{change.number}/attachments/", {"file": SimpleUploadedFile("a.txt", b"x")})
    assert response.status_code == 500
    assert not Attachment.objects.exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_attachment_is_reached_through_its_own_change_and_by_staff_only(alice, acme):
    change, other = change_in(Phase.PLAN), change_in(Phase.PLAN)
    attachment = Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="x.txt")
    attachment.save()
    path = f"/changes/{change.number}/attachments/{attachment.pk}/"
    assert web(alice).get(f"/changes/{other.number}/attachments/{attachment.pk}/").status_code == 404
    assert web().get(path).status_code == 302
    assert web(acme.authorized_user).get(path).status_code == 403
    attachment.discard_file()
    response = web(alice).get(path)
    assert response.status_code == 404
    assert "The content of x.txt is missing in the storage." in text(response)


# --- The whole page ---


def test_nothing_that_people_typed_is_markup(alice, acme):
    evil = '<script>alert("x")</script>'
    fields = dict.fromkeys(("description", "reason", "justification", "implementation_plan", "backout_plan"), evil)
    change = change_in(Phase.APPROVE_PLAN, title=evil, service=evil, category=evil, requested_by=alice, **fields)
    Comment(change=change, author=alice, author_name=evil, body=evil).save()
    Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="<script>.txt").save()
    Approval(change=change, author=UserFactory(), decision=Decision.DENIED, comment=evil).save()
    client = web(alice)
    for path in (f"/changes/{change.number}/", f"/changes/{change.number}/edit/", "/changes/"):
        content = client.get(path).content.decode()
        assert "<script>" not in content
        assert "&lt;script&gt;" in content


# --- Withdrawn ---

ENDS, BACKS_OUT, CLOSES = (
    "Abandon it to end it.",
    "Its deployment has begun, so back it out.",
    "To close it, give it another completion code: it was deployed.",
)


@each_row(
    ("phase", "told"),
    [
        (Phase.LOG, ENDS),
        (Phase.PLAN, ENDS),
        (Phase.APPROVE_PLAN, ENDS),
        (Phase.DEPLOY, BACKS_OUT),
        (Phase.VALIDATE, BACKS_OUT),
        (Phase.REVIEW, CLOSES),
        (Phase.BACKOUT, CLOSES),
        (Phase.ABANDON, ""),
    ],
)
def test_a_withdrawn_change_leads_with_what_is_to_be_done(alice, carol, phase, told):
    change = change_in(phase, requested_by=alice)
    if phase != Phase.ABANDON:
        change.completion_code = "Withdrawn"
        change.save()
    for person, may_abandon in ((alice, False), (carol, True)):
        page = web(person).get(f"/changes/{change.number}/")
        assert ("This change is withdrawn." in text(page)) == bool(told)
        assert [each for each in (ENDS, BACKS_OUT, CLOSES) if each in text(page)] == ([told] if told else [])
        assert ('id="abandon-withdrawn"' in page.content.decode()) == (may_abandon and told == ENDS)


# --- Overlaps on an open page ---


def test_overlaps_are_renewed_on_an_open_page_above_approve_too(alice, carol, still):
    start = timezone.now() + timedelta(days=3)
    window = {"service": "Mail", "planned_start": start, "planned_end": start + timedelta(hours=2)}
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice, **window)
    client, address = web(carol), f"/changes/{change.number}/"
    version = version_in(client.get(address))
    asked = asked_for(version, Target="news")
    assert client.get(address, headers=asked).status_code == 204
    other = change_in(Phase.PLAN, title="Move the mail", **window)
    # The next minute: what is planned elsewhere is no news of this change, so its page looks now and then.
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        fresh = client.get(address, headers=asked).content.decode()
    for place in ("overlaps", "overlaps-approve"):
        part = fresh.partition(f'<div id="{place}" hx-swap-oob="true">')[2]
        assert other.number in part.partition("</div>\n</div>")[0], place


@each_row("microsecond", [0, 1, 999_999])
def test_two_planned_for_the_same_moment_name_each_other(alice, microsecond):
    start = datetime(2026, 12, 31, 23, 59, 59, microsecond, tzinfo=UTC)
    window = {"service": "Mail", "planned_start": start, "planned_end": None}
    one, other = (ChangeFactory(**window) for _ in range(2))
    assert other.number in text(page_of(alice, one))
