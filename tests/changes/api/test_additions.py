"""Comments, attachments and approvals: listing, adding, and downloading an attachment."""

import hashlib

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

from changes.choices import ChangeType, Phase
from changes.models import Approval, Attachment, Change, Comment
from tests.factories import ChangeFactory, UserFactory, change_in
from tests.rows import each_row

PDF = b"%PDF-1.7 \x00\xff content"


def address(change, kind):
    return f"/api/v1/changes/{change.number}/{kind}/"


def upload(name="plan.pdf", content=PDF, content_type="application/pdf"):
    return SimpleUploadedFile(name, content, content_type)


class TestComments:
    @pytest.mark.parametrize(
        ("sent", "visibility"),
        [({}, "public"), ({"visibility": "public"}, "public"), ({"visibility": "private"}, "private")],
    )
    def test_a_comment_is_public_unless_said(self, api, alice, sent, visibility):
        change = ChangeFactory()
        answer = api(alice).post(address(change, "comments"), {"body": "  Parts ordered\n", **sent})
        assert answer.status_code == 201
        comment = Comment.objects.get()
        assert answer.json() == {
            "id": comment.pk,
            "body": "  Parts ordered\n",
            "visibility": visibility,
            "author": "alice",
            "system_id": None,
            "created_at": comment.created_at.isoformat().replace("+00:00", "Z"),
        }
        listed = api(alice).get(address(change, "comments")).json()
        assert listed == {"next": None, "previous": None, "results": [answer.json()]}

    def test_comments_come_oldest_first_in_pages(self, api, audrey, alice):
        change, other = ChangeFactory(), ChangeFactory()
        for text in "abcde":
            Comment(change=change, author=alice, body=text).save()
            Comment(change=other, author=alice, body="of another").save()
        first = api(audrey).get(address(change, "comments") + "?limit=3").json()
        second = api(audrey).get(first["next"]).json()
        assert [[row["body"] for row in page["results"]] for page in (first, second)] == [list("abc"), list("de")]
        assert api(audrey).get(second["previous"]).json() == first

    @pytest.mark.parametrize("phase", [Phase.CLOSE, Phase.ABANDON])
    def test_a_closed_change_still_takes_comments(self, api, alice, phase):
        change = change_in(phase)
        api(alice).post(address(change, "comments"), {"body": "Late"})
        assert change.comments.get().body == "Late"


class TestAttachments:
    def test_a_file_is_kept_with_its_size_and_checksum(self, api, alice):
        change = ChangeFactory()
        answer = api(alice).post(address(change, "attachments"), {"file": upload()}, format="multipart")
        assert answer.status_code == 201
        attachment = Attachment.objects.get()
        assert answer.json() == {
            "id": attachment.pk,
            "file_name": "plan.pdf",
            "content_type": "application/pdf",
            "size": len(PDF),
            "sha256": hashlib.sha256(PDF).hexdigest(),
            "url": f"{settings.BASE_URL}/api/v1/attachments/{attachment.pk}/content/",
            "author": "alice",
            "system_id": None,
            "created_at": attachment.created_at.isoformat().replace("+00:00", "Z"),
        }
        listed = api(alice).get(address(change, "attachments")).json()
        assert listed == {"next": None, "previous": None, "results": [answer.json()]}

    def test_a_large_file_is_streamed(self, api, alice):
        change = ChangeFactory()
        content = bytes(range(256)) * 20_000
        file = upload("big.bin", content, "application/octet-stream")
        answer = api(alice).post(address(change, "attachments"), {"file": file}, format="multipart")
        assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()
        download = api(alice).get(answer.json()["url"].removeprefix(settings.BASE_URL))
        assert download.streaming
        assert b"".join(download) == content

    @pytest.mark.django_db(transaction=True)  # an error while writing aborts the whole transaction
    def test_a_file_whose_row_cannot_be_kept_does_not_stay(self, api, alice, settings, tmp_path, monkeypatch):
        settings.MEDIA_ROOT = tmp_path
        change = ChangeFactory()
        client = api(alice)
        client.raise_request_exception = False
        monkeypatch.setattr("integrations.outgoing.outbox.context_of", lambda change: 1 / 0)
        answer = client.post(address(change, "attachments"), {"file": upload()}, format="multipart")
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
        assert not Attachment.objects.exists()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    @pytest.mark.parametrize("size", [1, 1000])
    def test_a_file_up_to_the_full_size_is_taken(self, api, alice, settings, size):
        settings.ATTACHMENT_MAX_BYTES = 1000
        change = ChangeFactory()
        file = upload(content=b"x" * size)
        answer = api(alice).post(address(change, "attachments"), {"file": file}, format="multipart")
        assert (answer.status_code, answer.json()["size"]) == (201, size)

    @pytest.mark.parametrize(
        ("name", "content_type", "disposition"),
        [
            ("plan.pdf", "application/pdf", 'attachment; filename="plan.pdf"'),
            (
                "Prüf “plan”.txt",
                "text/plain",
                "attachment; filename=\"Pruf _plan_.txt\"; filename*=UTF-8''Pr%C3%BCf%20%E2%80%9Cplan%E2%80%9D.txt",
            ),
            ('a"b.html', "text/html", "attachment; filename=\"a_b.html\"; filename*=UTF-8''a%22b.html"),
            ("no-extension", "application/octet-stream", 'attachment; filename="no-extension"'),
        ],
    )
    def test_a_download_is_a_file_and_never_a_page(self, api, alice, audrey, name, content_type, disposition):
        file = ContentFile(PDF, name="x")
        attachment = Attachment(
            change=ChangeFactory(), author=alice, file=file, file_name=name, content_type=content_type
        )
        attachment.save()
        answer = api(audrey).get(f"/api/v1/attachments/{attachment.pk}/content/", HTTP_ACCEPT="image/png")
        assert answer.status_code == 200
        assert b"".join(answer) == PDF
        headers = answer.headers
        assert (headers["Content-Type"], headers["Content-Disposition"]) == (content_type, disposition)
        assert headers["Content-Length"] == str(len(PDF))
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"

    def test_a_stored_content_type_that_is_none_is_served_as_bytes(self, api, alice):
        attachment = Attachment(
            change=ChangeFactory(),
            author=alice,
            file=ContentFile(b"x", name="x"),
            file_name="x",
            content_type="a\r\nb: c",
        )
        attachment.save()
        answer = api(alice).get(f"/api/v1/attachments/{attachment.pk}/content/")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/octet-stream")

    @each_row(
        ("name", "words"),
        [
            ("../../etc/passwd", "plain file name"),
            ("..\\\\boot.ini", "plain file name"),
            ("/etc/passwd", "plain file name"),
            ("..", "plain file name"),
            ("a\x01b", "plain file name"),
            ("inv\u202egpj.exe", "U+202E"),
            ("x" * 256, "at most 255"),
        ],
    )
    def test_a_file_under_a_name_that_is_no_plain_name_is_not_taken(self, api, alice, name, words):
        part = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/plain'
        body = f"--x\r\n{part}\r\n\r\ncontent\r\n--x--\r\n"
        path = address(ChangeFactory(), "attachments")
        answer = api(alice).generic("POST", path, body, "multipart/form-data; boundary=x")
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "file")
        assert words in answer.json()["detail"]
        assert not Attachment.objects.exists()

    @pytest.mark.parametrize("pk", ["0", "999999", "99999999999999999999999999", "9" * 5000])
    def test_an_unknown_attachment_is_not_found(self, api, alice, pk):
        answer = api(alice).get(f"/api/v1/attachments/{pk}/content/")
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


class TestApprovals:
    @pytest.fixture
    def change(self, db):
        return change_in(Phase.APPROVE_PLAN)

    @pytest.mark.parametrize("decision", ["Approved", "Denied"])
    def test_a_decision_is_kept_with_its_round(self, api, carol, change, decision):
        answer = api(carol).post(address(change, "approvals"), {"decision": decision, "comment": "Seen"})
        assert answer.status_code == 201
        approval = Approval.objects.get()
        assert answer.json() == {
            "id": approval.pk,
            "round": 1,
            "decision": decision,
            "comment": "Seen",
            "approver": "carol",
            "created_at": approval.created_at.isoformat().replace("+00:00", "Z"),
        }
        listed = api(carol).get(address(change, "approvals")).json()
        assert listed == {"next": None, "previous": None, "results": [answer.json()]}

    def test_only_the_current_round_is_listed(self, api, carol, change):
        api(carol).post(address(change, "approvals"), {"decision": "Denied", "comment": "No backout"})
        for target in (Phase.PLAN, Phase.APPROVE_PLAN):
            change = Change.objects.get()
            change.move_to(target)
            change.save()
        assert api(carol).get(address(change, "approvals")).json()["results"] == []
        assert api(carol).post(address(change, "approvals"), {"decision": "Approved"}).json()["round"] == 2
        assert [row["round"] for row in api(carol).get(address(change, "approvals")).json()["results"]] == [2]

    def test_a_change_without_a_round_has_none(self, api, carol):
        assert api(carol).get(address(ChangeFactory(), "approvals")).json()["results"] == []

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda carol: change_in(Phase.PLAN), "is in Plan: a plan is decided in ApprovePlan."),
            (lambda carol: change_in(Phase.DEPLOY, ChangeType.STANDARD), "is in Deploy"),
        ],
        ids=["before", "after"],
    )
    def test_a_decision_that_cannot_be_made_is_a_conflict(self, api, carol, make, words):
        change = make(carol)
        answer = api(carol).post(address(change, "approvals"), {"decision": "Approved"})
        assert answer.status_code == 409
        (error,) = answer.json()["errors"]
        assert error["attr"] == "decision"
        assert words in error["detail"]
        assert not change.approvals.exists()

    def test_nobody_decides_twice_in_a_round(self, api, carol, change):
        api(carol).post(address(change, "approvals"), {"decision": "Approved"})
        answer = api(carol).post(address(change, "approvals"), {"decision": "Denied"})
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (409, "decision")
        assert Approval.objects.get().decision == "Approved"

    def test_who_asked_for_a_change_may_deny_it(self, api, carol):
        change = change_in(Phase.APPROVE_PLAN, requested_by=carol)
        api(carol).post(address(change, "approvals"), {"decision": "Denied", "comment": "No backout"})
        assert change.approvals.get().decision == "Denied"


@pytest.mark.parametrize("kind", ["comments", "attachments"])
def test_what_a_partner_added_names_its_system(api, alice, kind):
    change = ChangeFactory()
    partner = UserFactory(username="acme-integration")
    fields = {"change": change, "author": partner, "author_name": "J. Doe", "source_system": "ACME"}
    if kind == "comments":
        Comment(**fields, body="Hello").save()
    else:
        Attachment(**fields, file=ContentFile(b"x", name="x"), file_name="x").save()
    (row,) = api(alice).get(address(change, kind)).json()["results"]
    assert (row["author"], row["system_id"]) == ("J. Doe (ACME)", "ACME")


@each_row("kind", ["comments", "attachments", "approvals", "transitions"])
@each_row("number", ["CHG0000000", "CHG9999999999999999999", "CHG1", "chg0000001", "x", "CHG0000001%00"])
def test_additions_of_an_unknown_change_are_not_found(api, carol, kind, number):
    for call in (api(carol).get, api(carol).post):
        answer = call(f"/api/v1/changes/{number}/{kind}/")
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.django_db
def test_an_attachment_whose_file_is_lost_is_404(api, alice):
    change = ChangeFactory()
    attachment = Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="x.txt")
    attachment.save()
    attachment.discard_file()
    response = api(alice).get(f"/api/v1/attachments/{attachment.pk}/content/")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


def test_the_page_of_the_description_is_only_read(client):
    assert client.options("/api/v1/docs/").status_code == 405
    assert "<title>casexchange API</title>" in client.get("/api/v1/docs/").content.decode()
