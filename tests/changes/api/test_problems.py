"""Every error is application/problem+json according to RFC 9457."""

import io
import posixpath
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone
from knox.models import AuthToken

from changes.models import Attachment, Change
from tests.factories import ChangeFactory
from tests.rows import each_row

CHANGES = "/api/v1/changes/"


def problem(answer, status):
    """Checks the status and the form of a problem. Returns the body."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert list(body) == ["type", "title", "status", "detail", "errors"]
    assert (body["type"], body["status"], body["title"]) == ("about:blank", status, answer.reason_phrase)
    assert body["detail"]
    assert body["errors"]
    for error in body["errors"]:
        assert list(error) == ["code", "detail", "attr"]
        assert error["detail"]
        assert error["attr"] is None or error["attr"]
    return body


@each_row(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer x y",
        "Bearer " + "0" * 64,
        "Bearer " + "x" * 5000,
        "Bearer t\u00f6ken",
        "Basic YWxpY2U6c2VjcmV0",
        "Token x",
    ],
)
def test_without_a_good_token_the_answer_says_how_to_authenticate(api, authorization):
    headers = {} if authorization is None else {"HTTP_AUTHORIZATION": authorization}
    answer = api().get(CHANGES, **headers)
    assert problem(answer, 401)["errors"][0]["code"] in {"not_authenticated", "authentication_failed"}
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_scheme_is_read_in_any_case(api, alice):
    _, token = AuthToken.objects.create(alice)
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert api().get(CHANGES, HTTP_AUTHORIZATION=f"{scheme} {token}").json()["results"] == []


def test_a_token_with_one_letter_changed_is_refused(api, alice):
    _, token = AuthToken.objects.create(alice)
    for wrong in (token[:-1] + ("0" if token[-1] != "0" else "1"), token[:-1], token.upper(), token[:15], token + "0"):
        problem(api().get(CHANGES, HTTP_AUTHORIZATION=f"Bearer {wrong}"), 401)


def test_an_expired_or_revoked_token_and_an_inactive_user_are_refused(api, alice):
    expired, revoked = (AuthToken.objects.create(alice, timedelta(hours=1)) for _ in range(2))
    expired[0].expiry = timezone.now() - timedelta(seconds=1)
    expired[0].save()
    assert api().get(CHANGES, HTTP_AUTHORIZATION=f"Bearer {revoked[1]}").status_code == 200
    revoked[0].delete()
    for _, token in (expired, revoked):
        problem(api().get(CHANGES, HTTP_AUTHORIZATION=f"Bearer {token}"), 401)
    client = api(alice)
    alice.is_active = False
    alice.save()
    problem(client.get(CHANGES), 401)


@each_row(
    "path",
    ["", "nothing/", "changes", "changes/CHG0000001", "changes/x/", "operations", "attachments/", "schema", "../x/"],
)
@each_row("signed_in", [True, False])
def test_an_unknown_address_is_a_problem_too(api, alice, path, signed_in):
    client = api(alice) if signed_in else api()
    for method in ("get", "post", "put", "patch", "delete", "options"):
        problem(getattr(client, method)(f"/api/v1/{path}"), 404)


def test_an_unknown_change_reads_as_any_unknown_address(api, alice):
    unknown = api(alice).get(f"{CHANGES}CHG0000000/")
    assert problem(unknown, 404) == problem(api(alice).get("/api/v1/nothing/"), 404)
    problem(api(alice).patch(f"{CHANGES}CHG0000000/", {"title": 5}), 404)


@each_row(
    ("path", "method", "allowed"),
    [
        ("", "put", "GET, POST, HEAD"),
        ("", "patch", "GET, POST, HEAD"),
        ("{number}/", "delete", "GET, PATCH, HEAD"),
        ("{number}/", "put", "GET, PATCH, HEAD"),
        ("{number}/", "post", "GET, PATCH, HEAD"),
        ("{number}/", "options", "GET, PATCH, HEAD"),
        ("{number}/comments/", "patch", "GET, POST, HEAD"),
        ("{number}/transitions/", "delete", "GET, POST, HEAD"),
    ],
)
def test_a_method_that_an_address_does_not_have(api, alice, path, method, allowed):
    change = ChangeFactory()
    answer = getattr(api(alice), method)(CHANGES + path.format(number=change.number))
    assert problem(answer, 405)["errors"][0]["code"] == "method_not_allowed"
    assert set(answer.headers["Allow"].split(", ")) == set(allowed.split(", "))
    assert Change.objects.get().version == 1


@pytest.mark.parametrize("path", ["schema/", "docs/"])
@pytest.mark.parametrize(("method", "accept", "status"), [("post", "*/*", 405), ("get", "image/png", 406)])
def test_a_page_that_is_no_json_has_problems_in_json_too(api, path, method, accept, status):
    problem(getattr(api(), method)(f"/api/v1/{path}", HTTP_ACCEPT=accept), status)


def test_a_head_is_a_get_without_its_body(api, alice):
    answer = api(alice).head(f"{CHANGES}{ChangeFactory().number}/")
    assert (answer.status_code, answer.content, answer.headers["ETag"][:3]) == (200, b"", '"1-')


@each_row(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("application/*", 200),
        ("*/*", 200),
        ("application/problem+json, application/json;q=0.5", 200),
        ("application/problem+json", 200),
        ("Application/Problem+JSON; charset=utf-8", 200),
        ("", 200),
        (" , ", 200),
        ("text/html", 406),
        ("garbage", 406),
        ("application/json; q*=bogus''x", 406),
    ],
)
def test_answers_are_json(api, alice, accept, status):
    answer = api(alice).get(CHANGES, HTTP_ACCEPT=accept)
    if status == 200:
        assert answer.json()["results"] == []
    else:
        problem(answer, status)


@each_row(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "",
        "x",
        "application/json; charset=latin-1",
        "application/merge-patch+json",
    ],
)
def test_a_body_that_is_not_json_is_not_read(api, alice, content_type):
    change = ChangeFactory()
    answer = api(alice).generic("PATCH", f"{CHANGES}{change.number}/", '{"title": "Another"}', content_type)
    assert problem(answer, 415)["errors"][0]["code"] == "unsupported_media_type"
    assert Change.objects.get().version == 1


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_known_by_its_content_type(api, alice, content_type):
    answer = api(alice).generic("POST", CHANGES, '{"title": "Zürich"}', content_type)
    assert (answer.status_code, answer.json()["title"]) == (201, "Zürich")


def test_an_attachment_is_a_form_and_not_json(api, alice):
    problem(api(alice).post(f"{CHANGES}{ChangeFactory().number}/attachments/", {"file": "x"}, format="json"), 415)


class Unreadable(io.BytesIO):
    """A request body that fails the test if it is read."""

    def read(self, *args):
        raise AssertionError("read")

    readline = readinto = read


@pytest.mark.parametrize("path", ["", "{number}/comments/", "{number}/attachments/"])
def test_a_body_over_the_limit_is_refused_without_being_read(api, alice, settings, path):
    change = ChangeFactory()
    kind = "multipart/form-data; boundary=x" if path.endswith("attachments/") else "application/json"
    size = 50 * 1024 * 1024
    assert size > settings.API_REQUEST_MAX_BYTES
    answer = api(alice).generic(
        "POST",
        CHANGES + path.format(number=change.number),
        b"x",
        kind,
        CONTENT_LENGTH=str(size),
        **{"wsgi.input": Unreadable()},
    )
    assert "too large" in problem(answer, 413)["detail"]
    assert not change.comments.exists() and not change.attachments.exists()
    assert Change.objects.count() == 1


@pytest.mark.parametrize("path", ["", "{number}/transitions/", "{number}/attachments/", "../operations/"])
def test_a_body_in_chunks_is_refused_and_not_taken_for_an_empty_one(api, alice, path):
    address = posixpath.normpath(CHANGES + path.format(number=ChangeFactory().number)) + "/"
    answer = api(alice).post(address, HTTP_TRANSFER_ENCODING="chunked")
    assert problem(answer, 411)["errors"][0]["code"] == "length_required"
    assert Change.objects.values("version").get() == {"version": 1}


@pytest.mark.parametrize("debug", [True, False])
def test_an_error_of_the_server_tells_nothing_and_is_logged(api, alice, caplog, settings, debug):
    settings.DEBUG = debug
    attachment = Attachment(change=ChangeFactory(), author=alice, file=ContentFile(b"x", name="x"), file_name="x")
    attachment.save()
    attachment.discard_file()
    Path(attachment.file.path).mkdir()  # the storage fails; a missing file would be another error
    client = api(alice)
    client.raise_request_exception = False
    answer = client.get(f"/api/v1/attachments/{attachment.pk}/content/")
    assert attachment.file.name not in answer.content.decode()
    assert problem(answer, 500)["errors"][0]["code"] == "error"
    assert "IsADirectoryError" in caplog.text


def test_many_errors_are_counted_in_the_detail(api, alice):
    body = problem(api(alice).post(CHANGES, {"risk": "x", "urgency": None}), 400)
    assert body["detail"].startswith("The request has 3 errors")
    assert {error["attr"] for error in body["errors"]} == {"title", "risk", "urgency"}


def test_what_is_quoted_from_a_request_is_cut(api, alice):
    answer = api(alice).post(CHANGES, {"title": "x", "y" * 50_000: 1})
    assert problem(answer, 400)["errors"][0]["attr"] == "y" * 2000 + "…"
    assert len(answer.content) < 10_000


def test_a_single_error_is_the_detail(api, alice):
    assert problem(api(alice).post(CHANGES, {"title": "  "}), 400)["detail"] == "title: This field may not be blank."
