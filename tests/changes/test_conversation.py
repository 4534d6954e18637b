"""Comments and attachments on the page of a change: preview, validation, and contents that are never shown."""

import zlib

import pytest
from django.conf import settings as project
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

from changes.choices import Phase
from changes.models import Attachment, Comment
from changes.pages.conversation.forms import MOST_FILES
from tests.factories import change_in
from tests.html_forms import read_form
from tests.pages import text, web
from tests.rows import each_row

HTMX = {"HX-Request": "true"}


@pytest.fixture
def change(alice):
    return change_in(Phase.PLAN, requested_by=alice)


@pytest.fixture
def at_acme(alice, acme):
    return change_in(Phase.PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)


# --- Comments ---


def preview(user, change, body, visibility="public", **headers):
    data = {"body": body, "visibility": visibility}
    return web(user).post(f"/changes/{change.number}/comments/preview/", data, headers=headers)


def test_a_preview_without_script_shows_the_page_again_with_what_was_typed_and_how_it_looks(alice, change):
    response = preview(alice, change, "Some **bold** words", "private")
    assert response.status_code == 200
    assert "Some <strong>bold</strong> words" in response.content.decode()
    form = read_form(response, "body")
    assert (form["fields"]["body"], form["fields"]["visibility"]) == (["Some **bold** words"], ["private"])
    assert not Comment.objects.exists()


def test_a_preview_with_htmx_is_only_the_comment(alice, change):
    response = preview(alice, change, "Some **bold** <b>words</b>", **HTMX)
    content = response.content.decode()
    assert "Some <strong>bold</strong> &lt;b&gt;words&lt;/b&gt;" in content
    assert "<html" not in content and "<form" not in content
    assert not Comment.objects.exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [("", "Write something first."), (" \n\u200b", "Write something first."), ("x" * 100_001, "at most 100000")],
)
def test_what_cannot_be_added_is_not_previewed_but_said(alice, change, body, said):
    content = preview(alice, change, body, **HTMX).content.decode()
    assert said in content
    assert "written" not in content


def test_who_may_not_comment_gets_no_preview(audrey, change):
    assert preview(audrey, change, "x").status_code == 403


def test_a_comment_goes_out_as_it_was_typed_and_is_rendered_on_the_page_only(alice, at_acme):
    web(alice).post(f"/changes/{at_acme.number}/comments/", {"body": "**Parts** ordered", "visibility": "public"})
    assert Comment.objects.get().body == "**Parts** ordered"
    assert at_acme.outgoing_operations.get(operation="Update").payload["comment"]["body"] == "**Parts** ordered"
    assert "<strong>Parts</strong> ordered" in web(alice).get(f"/changes/{at_acme.number}/").content.decode()


def test_the_form_says_what_stays_here_and_who_gets_the_rest(alice, at_acme):
    said = text(web(alice).get(f"/changes/{at_acme.number}/"))
    assert "Private stays here and is never sent to a partner" in said
    assert "Public is sent to ACME" in said


# --- Several files ---


def attach(user, change, *files, **headers):
    return web(user).post(f"/changes/{change.number}/attachments/", {"file": files}, follow=True, headers=headers)


def names():
    return [*Attachment.objects.values_list("file_name", flat=True)]


def test_each_of_several_files_is_an_attachment_and_an_update_of_its_own(alice, at_acme):
    said = text(attach(alice, at_acme, SimpleUploadedFile("a.txt", b"a"), SimpleUploadedFile("b.txt", b"b")))
    assert "a.txt was attached. b.txt was attached." in said
    assert names() == ["a.txt", "b.txt"]
    updates = at_acme.outgoing_operations.filter(operation="Update").order_by("sequence")
    assert [row.payload["attachment"]["file_name"] for row in updates] == ["a.txt", "b.txt"]


def test_of_several_files_the_good_ones_are_attached_and_the_others_named_with_the_reason(alice, change, settings):
    settings.ATTACHMENT_MAX_BYTES = 10
    files = [("big.txt", b"x" * 11), ("good.txt", b"x"), ("empty.txt", b"")]
    answer = attach(alice, change, *(SimpleUploadedFile(*file) for file in files))
    said = text(answer)
    assert answer.redirect_chain == [(f"/changes/{change.number}/", 302)], "the reasons are at the top of the page"
    assert "big.txt was not attached. The file has 11 bytes; at most 10 are taken." in said
    assert "good.txt was attached." in said
    assert "empty.txt was not attached. The file is empty" in said
    assert names() == ["good.txt"]


def test_more_files_than_a_request_takes_are_named_as_not_attached(alice, change):
    files = [SimpleUploadedFile(f"{number}.txt", b"x") for number in range(MOST_FILES + 1)]
    said = text(attach(alice, change, *files))
    assert f"{MOST_FILES}.txt was not attached. At most {MOST_FILES} files are taken at once." in said
    assert len(names()) == MOST_FILES


def test_a_form_without_a_file_says_so(alice, change):
    assert "Choose a file first." in text(attach(alice, change))
    assert not names()


@pytest.mark.parametrize(
    ("content", "status", "said"), [(b"x", 201, ""), (b"x" * 11, 413, "at most 10"), (b"", 422, "empty")]
)
def test_the_script_is_told_of_each_file_how_it_ended(alice, change, settings, content, status, said):
    settings.ATTACHMENT_MAX_BYTES = 10
    response = attach(alice, change, SimpleUploadedFile("a.txt", content), **HTMX)
    assert response.status_code == status
    assert said in response.json()["error"]
    assert len(names()) == (status == 201)


def test_the_form_carries_the_largest_size_for_the_script(alice, change):
    content = web(alice).get(f"/changes/{change.number}/").content.decode()
    assert f'data-max-bytes="{project.ATTACHMENT_MAX_BYTES}"' in content
    assert " multiple" in content


# --- What is shown of a file ---


def png(width=1, height=1):
    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    rows = zlib.compress(b"".join(b"\0" + b"\x0b\x64\x75" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01"
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L"
PDF = b"%PDF-1.7\n1 0 obj\n"
HTML = b"<!DOCTYPE html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"></svg>'


def attached(change, author, content, name="file.bin", content_type="application/octet-stream"):
    file = ContentFile(content, name=name)
    made = Attachment(change=change, author=author, file=file, file_name=name, content_type=content_type)
    made.save()
    return made


def shown(user, attachment, **headers):
    return web(user).get(f"/changes/{attachment.change.number}/attachments/{attachment.pk}/preview/", headers=headers)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(png(), "image/png"), (GIF, "image/gif"), (JPEG, "image/jpeg"), (WEBP, "image/webp")],
)
def test_an_image_is_shown_as_what_its_content_is_in_a_box_of_its_own(alice, change, content, media_type):
    file = attached(change, alice, content, "a.html", "text/html")
    response = shown(alice, file)
    assert response["Content-Type"] == media_type
    assert response["Content-Disposition"].startswith("inline")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    assert response["X-Frame-Options"] == "DENY"
    assert "private" in response["Cache-Control"]
    assert b"".join(response.streaming_content) == content
    page = web(alice).get(f"/changes/{change.number}/").content.decode()
    assert f'<img src="/changes/{change.number}/attachments/{file.pk}/preview/" loading="lazy"' in page


def test_a_pdf_may_stand_in_a_frame_of_our_own_pages_and_nowhere_else(alice, change):
    file = attached(change, alice, PDF, "plan.pdf")
    response = shown(alice, file)
    assert response["Content-Type"] == "application/pdf"
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy and "script" not in policy
    page = web(alice).get(f"/changes/{change.number}/")
    assert page["X-Frame-Options"] == "DENY" and "frame-ancestors 'none'" in page["Content-Security-Policy"]
    assert f'<iframe src="/changes/{change.number}/attachments/{file.pk}/preview/" loading="lazy"' in (
        page.content.decode()
    )


@each_row(
    ("content", "name", "content_type"),
    [
        (HTML, "a.png", "image/png"),
        (SVG, "a.svg", "image/svg+xml"),
        (SVG, "a.png", "image/png"),
        (b"<?xml version='1.0'?>" + SVG, "a.gif", "image/gif"),
        (b"GIF89a/*" + HTML, "a.gif", "image/gif"),
        (b"%PDF-1.7\n" + HTML, "a.pdf", "application/pdf"),
        (b"\n " + PDF, "a.pdf", "application/pdf"),
        (b"\xff\xd8\xff" + b"\0" * 2000 + b"<SCRIPT>", "a.jpg", "image/jpeg"),
        (b"BM" + b"\0" * 60, "a.bmp", "image/bmp"),
        (b"\x89PN", "a.png", "image/png"),
        (b"just text", "a.txt", "text/plain"),
    ],
)
def test_what_is_not_surely_an_image_or_a_pdf_is_never_shown_only_downloaded(
    alice, change, content, name, content_type
):
    file = attached(change, alice, content, name, content_type)
    response = shown(alice, file)
    assert response.status_code == 404
    assert "cannot be shown here. Download it." in text(response)
    page = web(alice).get(f"/changes/{change.number}/").content.decode()
    assert "/preview/" not in page.replace("/comments/preview/", "")
    download = web(alice).get(f"/changes/{change.number}/attachments/{file.pk}/")
    assert download["Content-Disposition"].startswith("attachment")
    assert download["Content-Type"] == "application/octet-stream"


def test_a_preview_is_not_sent_twice_but_asked_for_each_time(alice, change):
    file = attached(change, alice, GIF)
    tag = shown(alice, file)["ETag"]
    again = shown(alice, file, **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_a_preview_is_for_staff_and_of_its_own_change(alice, acme, change):
    file = attached(change, alice, GIF)
    other = change_in(Phase.PLAN)
    assert web().get(f"/changes/{change.number}/attachments/{file.pk}/preview/").status_code == 302
    assert shown(acme.authorized_user, file).status_code == 403
    assert web(alice).get(f"/changes/{other.number}/attachments/{file.pk}/preview/").status_code == 404


def test_a_file_that_is_missing_in_the_storage_does_not_cost_the_page(alice, change):
    file = attached(change, alice, GIF, "gone.gif")
    file.file.storage.delete(file.file.name)
    assert "gone.gif" in text(web(alice).get(f"/changes/{change.number}/"))
    assert shown(alice, file).status_code == 404


# --- Long comments ---


def test_the_page_stays_small_however_long_the_comments_are(alice, change):
    for _ in range(10):
        Comment(change=change, author=alice, body="x " * 50_000).save()
    assert len(web(alice).get(f"/changes/{change.number}/").content) < 200_000


def test_a_long_comment_is_shown_by_its_beginning_and_whole_at_an_address_of_its_own(alice, audrey, change):
    comment = Comment(change=change, author=alice, body=" ".join(f"word{n}" for n in range(5000)), visibility="private")
    comment.save()
    page = web(audrey).get(f"/changes/{change.number}/")
    own = f"/changes/{change.number}/comments/{comment.pk}/"
    assert "word0 word1" in text(page) and "word4999" not in text(page)
    assert f'href="{own}"' in page.content.decode()
    whole = web(audrey).get(own)
    assert comment.body in text(whole)
    assert "Show all" not in text(whole)
    assert f'href="/changes/{change.number}/#comment-{comment.pk}"' in whole.content.decode()


def test_a_comment_is_cut_between_lines_or_words_and_a_short_one_not_at_all(alice, change):
    for body in ("short", "a" * 3000 + "\n" + "b" * 3000, "long" * 2000):
        Comment(change=change, author=alice, body=body).save()
    page = web(alice).get(f"/changes/{change.number}/")
    assert "a" * 3000 in text(page) and "bbb" not in text(page)
    assert page.content.decode().count("Show all") == 2


def test_a_comment_of_another_change_is_not_found_under_this_one(alice, change):
    comment = Comment(change=change_in(Phase.PLAN), author=alice, body="x")
    comment.save()
    assert web(alice).get(f"/changes/{change.number}/comments/{comment.pk}/").status_code == 404


# --- Names that look like others ---


def test_a_name_with_what_nobody_sees_is_refused_with_its_code(alice, change):
    refused = attach(alice, change, SimpleUploadedFile("inv\u202egpj.exe", b"x"), **HTMX)
    assert refused.status_code == 422 and "U+202E" in refused.json()["error"]
    assert names() == []


@pytest.mark.parametrize("name", ["Größe – Plan (2).pdf", "計画.pdf", "تقرير.pdf"])
def test_a_name_in_any_script_is_taken(alice, change, name):
    assert attach(alice, change, SimpleUploadedFile(name, b"x"), **HTMX).status_code == 201
    assert names() == [name]


def test_a_name_that_is_stored_already_is_shown_and_downloaded_with_the_character_made_visible(alice, change):
    made = attached(change, alice, b"x", "inv\u202egpj.exe")
    response = web(alice).get(f"/changes/{change.number}/")
    assert "\u202e" not in response.content.decode()
    assert "inv[U+202E]gpj.exe" in text(response)
    download = web(alice).get(f"/changes/{change.number}/attachments/{made.pk}/")
    assert "U%2B202E" in download["Content-Disposition"] or "[U+202E]" in download["Content-Disposition"]
    assert "%E2%80%AE" not in download["Content-Disposition"]
