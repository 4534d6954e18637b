"""Every error page says what happened, whether anything was saved, and what to do next, in the usual style."""

import pytest
from django.test import Client

from changes.choices import Phase
from changes.exceptions import NotDecidable
from changes.models import Comment

from .factories import change_in
from .pages import text, web


@pytest.fixture
def change(db):
    return change_in(Phase.PLAN)


def check(response, status, *said):
    assert response.status_code == status
    page = response.content.decode()
    assert f'<p class="error-code">{status}</p>' in page
    assert page.count("<h1>") == 1
    assert 'href="/changes/"' in page
    for words in said:
        assert words in text(response)


def test_400_what_cannot_be_read(alice, change):
    response = web(alice).post(
        f"/changes/{change.number}/comments/", b"--x\r\n", content_type="multipart/form-data; boundary=\xff"
    )
    check(response, 400, "cannot be understood", "Nothing was changed.", "Go back")


def test_403_what_a_role_forbids(audrey, change):
    response = web(audrey).post(f"/changes/{change.number}/comments/", {"body": "x"})
    check(response, 403, "You may not add comments.", "Change manager", "Nothing was changed.")


def test_403_without_the_check_against_forgery(alice, change):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    response = client.post(f"/changes/{change.number}/comments/", {"body": "x", "visibility": "public"})
    check(response, 403, "The form was out of date", "Nothing was changed.", "copy what you typed")
    assert not Comment.objects.exists()


def test_404_what_is_not_there(alice):
    check(web(alice).get("/changes/CHG9999999/"), 404, "There is no change CHG9999999.", "look for the change")


def test_405_a_button_that_was_opened_as_a_link(alice, change):
    response = web(alice).delete(f"/changes/{change.number}/")
    check(response, 405, "takes no DELETE request", "Nothing was changed.")
    assert response["Allow"] == "GET, HEAD, OPTIONS"


def test_409_what_a_change_refuses_without_a_form_that_says_it(alice, change, monkeypatch):
    def refuse(*args, **kwargs):
        raise NotDecidable("This plan was decided already.")

    monkeypatch.setattr("changes.models.Comment.save", refuse)
    response = web(alice).post(f"/changes/{change.number}/comments/", {"body": "x", "visibility": "public"})
    check(response, 409, "This plan was decided already.", "Nothing of it was saved.", "Open the record again")


def test_413_a_form_with_too_much_text(alice, change, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    response = web(alice).post(f"/changes/{change.number}/comments/", {"body": "x" * 2000, "visibility": "public"})
    check(response, 413, "Nothing was changed", "send less")
    assert not Comment.objects.exists()


def test_413_a_form_with_too_many_fields(alice, change):
    response = web(alice).post(f"/changes/{change.number}/comments/", {f"x{n}": "" for n in range(1001)})
    check(response, 413, "Nothing was changed")


def test_413_a_body_that_is_too_large_is_refused_before_it_is_read(alice, change, settings):
    settings.ATTACHMENT_MAX_BYTES = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    response = web(alice).generic(
        "POST", f"/changes/{change.number}/attachments/", b"x" * 70_000, "multipart/form-data; boundary=x"
    )
    check(response, 413, "at most 10 files of 1000")
    assert not change.attachments.exists()


def test_what_the_api_cannot_even_begin_to_read_is_a_problem(api, alice):
    response = api(alice).get("/api/v1/changes/", headers={"Host": "elsewhere.example"})
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert (response.json()["status"], response.json()["errors"][0]["code"]) == (400, "invalid")


def test_500_a_fault_of_ours(alice, change, monkeypatch):
    monkeypatch.setattr("changes.pages.change.views.ChangeDetail.get", lambda *args, **kwargs: 1 / 0)
    client = web(alice)
    client.raise_request_exception = False
    check(client.get(f"/changes/{change.number}/"), 500, "may not have been saved", "tell an administrator")
