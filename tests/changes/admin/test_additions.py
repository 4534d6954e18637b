"""Comments, attachments and approvals of a change in the administration."""

import hashlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from changes.choices import Phase, Visibility
from changes.models import Attachment, Change, Comment
from tests.factories import change_in
from tests.html_forms import errors, post_form, read_form
from tests.pages import text, web

from .conftest import page_of


def test_a_comment_is_added_in_the_name_of_the_user(alice, change):
    typed = {"comments-0-body": "Parts\r\nordered", "comments-0-visibility": "private"}
    assert post_form(web(alice), page_of(change), **typed).status_code == 302
    comment = change.comments.get()
    assert (comment.body, comment.visibility, comment.author) == ("Parts\nordered", Visibility.PRIVATE, alice)
    assert Change.objects.get().version == 1


def test_the_author_cannot_be_posted(alice, carol, change):
    client = web(alice)
    form = read_form(client.get(page_of(change)), "comments-0-body")
    data = {**form["fields"], "comments-0-body": "Mine", "comments-0-author": str(carol.pk)}
    data |= {"comments-0-author_name": "Carol", "comments-0-source_system": "ACME"}
    client.post(page_of(change), data)
    comment = change.comments.get()
    assert (comment.author, comment.author_name, comment.source_system) == (alice, "", None)


def test_an_existing_comment_is_shown_and_cannot_be_edited_or_deleted(root, alice, change):
    Comment(change=change, author=alice, body="As it was").save()
    comment = change.comments.get()
    client = web(root)
    page = client.get(page_of(change))
    assert "As it was" in text(page)
    form = read_form(page, "comments-0-body")
    forged = {
        "comments-TOTAL_FORMS": "1",
        "comments-INITIAL_FORMS": "1",
        "comments-0-id": str(comment.pk),
        "comments-0-body": "Forged",
        "comments-0-DELETE": "on",
    }
    assert client.post(page_of(change), {**form["fields"], **forged}).status_code < 500
    assert [each.body for each in Comment.objects.all()] == ["As it was"]


@pytest.mark.parametrize(
    ("body", "expected"), [("x" * 100_001, "100000"), ("a\x00b", "Null characters"), (" \r\n\u2800", "Write something")]
)
def test_a_bad_comment_is_an_error_and_nothing_is_saved(alice, change, body, expected):
    response = post_form(web(alice), page_of(change), **{"comments-0-body": body, "title": "Other"})
    assert response.status_code == 200
    assert expected in " ".join(errors(response)["comments-0-body"])
    assert not Comment.objects.exists()
    assert Change.objects.get().title == change.title


def test_an_attachment_is_added_with_its_name_type_size_and_checksum(alice, change):
    upload = SimpleUploadedFile("plan.pdf", b"%PDF-1.7", content_type="application/pdf")
    assert post_form(web(alice), page_of(change), **{"attachments-0-file": upload}).status_code == 302
    attachment = change.attachments.get()
    assert (attachment.file_name, attachment.content_type, attachment.size) == ("plan.pdf", "application/pdf", 8)
    assert attachment.sha256 == hashlib.sha256(b"%PDF-1.7").hexdigest()
    assert attachment.author == alice
    shown = web(alice).get(page_of(change)).content.decode()
    assert reverse("changes:attachment", args=[change.number, attachment.pk]) in shown


@pytest.mark.parametrize(("content", "expected"), [(b"", "empty"), (b"x" * 2001, "at most 2000")])
def test_a_bad_attachment_is_an_error_and_nothing_is_saved(alice, change, settings, content, expected):
    settings.ATTACHMENT_MAX_BYTES = 2000
    upload = SimpleUploadedFile("plan.pdf", content)
    response = post_form(web(alice), page_of(change), **{"attachments-0-file": upload, "title": "Other"})
    assert response.status_code == 200
    assert expected in " ".join(errors(response)["attachments-0-file"])
    assert not Attachment.objects.exists()
    assert Change.objects.get().title == change.title


@pytest.mark.parametrize("sent", ["bad\x01name.txt", "x" * 300 + ".txt"])
def test_a_file_name_that_cannot_be_kept_is_refused(alice, change, sent):
    upload = SimpleUploadedFile("x", b"x")
    upload._name = sent
    page = post_form(web(alice), page_of(change), **{"attachments-0-file": upload})
    assert page.status_code == 200
    assert errors(page)["attachments-0-file"]
    assert not change.attachments.exists()


def test_approvals_are_shown_and_not_given_here(root, carol):
    change = change_in(Phase.DEPLOY)
    page = web(root).get(page_of(change))
    assert "Approvals" in text(page)
    assert "carol" in text(page)
    form = read_form(page, "title")
    assert not any(name.startswith("approvals-0") for name in form["names"])
    forged = {"approvals-TOTAL_FORMS": "1", "approvals-0-decision": "Denied"}
    web(root).post(page_of(change), {**form["fields"], **forged})
    assert change.approvals.count() == 1


def test_comments_that_are_there_already_are_not_posted_back(alice, change):
    # A form for each existing comment would exceed Django's limit on the number of fields.
    for number in range(40):
        Comment(change=change, author=alice, body=f"Comment {number}").save()
    form = read_form(web(alice).get(page_of(change)), "title")
    assert len(form["names"]) < 60
    assert post_form(web(alice), page_of(change), title="Still editable").status_code == 302
    assert Change.objects.get().title == "Still editable"
