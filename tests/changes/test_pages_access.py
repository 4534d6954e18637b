"""Permissions for each page and for each action on it."""

import pytest
from django.test import Client
from django.urls import reverse

from changes.choices import ChangeType, Phase
from changes.models import Change
from tests.factories import PASSWORD, UserFactory, change_in
from tests.pages import text, web
from tests.rows import each_row

READ = ["/", "/changes/", "/changes/{number}/", "/exchange/", "/exchange/?direction=in"]
WRITE_PAGES = ["/changes/new/", "/changes/{number}/edit/", "/changes/{number}/abandon/"]
WRITES = {
    "/changes/new/": {"title": "Another"},
    "/changes/{number}/edit/": {"title": "Another"},
    "/changes/{number}/transition/": {"phase": "Evaluate", "version": "1"},
    "/changes/{number}/transition/?abandon": {"phase": "Abandon", "version": "1"},
    "/changes/{number}/abandon/": {"completion_code": "Withdrawn", "version": "1"},
    "/changes/{number}/comments/": {"body": "Hello", "visibility": "public"},
    "/changes/{number}/attachments/": {},
    "/changes/{number}/approvals/": {"decision": "Approved", "version": "1"},
}
NEEDS = {
    "/changes/new/": {"alice", "carol"},
    "/changes/{number}/edit/": {"alice", "carol"},
    "/changes/{number}/transition/": {"alice", "carol"},
    "/changes/{number}/transition/?abandon": {"carol"},
    "/changes/{number}/abandon/": {"carol"},
    "/changes/{number}/comments/": {"alice", "carol"},
    "/changes/{number}/attachments/": {"alice", "carol"},
    "/changes/{number}/approvals/": {"carol"},
}


@pytest.fixture
def people(alice, carol, ingrid, audrey):
    return {"alice": alice, "carol": carol, "ingrid": ingrid, "audrey": audrey}


@pytest.fixture
def change(db):
    return change_in(Phase.LOG)


@each_row("path", [*READ, *WRITE_PAGES])
def test_without_signing_in_every_page_leads_to_the_sign_in_page_and_back(change, path):
    path = path.format(number=change.number)
    response = web().get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=")


@each_row("path", [*READ, *WRITE_PAGES, *WRITES])
def test_a_partners_user_gets_403_on_every_page(change, acme, path):
    path = path.format(number=change.number)
    client = web(acme.authorized_user)
    for response in (client.get(path), client.post(path)):
        assert response.status_code == 403
        assert "for the staff of this service desk" in text(response)


@each_row("path", READ)
@each_row("person", ["alice", "carol", "ingrid", "audrey"])
def test_all_staff_see_all_pages(people, change, person, path):
    response = web(people[person]).get(path.format(number=change.number))
    assert response.status_code == 200
    assert f"Signed in as </span>{person}" in response.content.decode()


@each_row("path", WRITES)
@each_row("person", ["alice", "carol", "ingrid", "audrey"])
def test_a_write_needs_the_roles_permission_and_a_refusal_names_the_roles(people, change, person, path):
    response = web(people[person]).post(path.format(number=change.number), WRITES[path])
    if person in NEEDS[path]:
        assert response.status_code in (200, 302, 409)
        return
    assert response.status_code == 403
    assert "Change manager" in text(response)
    stored = Change.objects.get()
    assert (stored.version, stored.title, stored.phase) == (1, change.title, "Log")
    assert not stored.comments.exists() and not stored.attachments.exists() and not stored.approvals.exists()


@each_row("person", ["ingrid", "audrey"])
@each_row("path", WRITE_PAGES)
def test_who_may_not_write_does_not_even_see_the_form(people, change, person, path):
    response = web(people[person]).get(path.format(number=change.number))
    assert response.status_code == 403
    assert ("Change manager" if "abandon" in path else "Service desk agent") in text(response)


def test_an_auditor_sees_no_form_but_sign_out_and_search(audrey, acme):
    change = change_in(Phase.APPROVE_PLAN, owning_group=acme.external_groups.get().group)
    client = web(audrey)
    for path in ("/changes/", f"/changes/{change.number}/", "/exchange/", f"/exchange/{operation_of(change)}/"):
        content = client.get(path).content.decode()
        assert content.count('method="post"') == 1, path
        assert "/accounts/logout/" in content
        assert "New change" not in content


def operation_of(change):
    return change.outgoing_operations.first().pk


def test_navigation_offers_what_the_person_may(alice, audrey):
    assert reverse("changes:create") in web(alice).get("/changes/").content.decode()
    assert reverse("changes:create") not in web(audrey).get("/changes/").content.decode()


def test_signing_in_leads_to_the_page_that_was_wanted(alice, change):
    client = Client()
    wanted = f"/changes/{change.number}/"
    response = client.post(
        f"/accounts/login/?next={wanted}", {"username": "alice", "password": PASSWORD, "next": wanted}
    )
    assert response["Location"] == wanted
    assert client.get(wanted).status_code == 200


def test_a_wrong_password_says_so_and_signs_nobody_in(alice):
    client = Client()
    response = client.post("/accounts/login/", {"username": "alice", "password": "wrong"})
    assert response.status_code == 200
    assert "Please enter a correct username and password" in text(response)
    assert "_auth_user_id" not in client.session


def test_ten_wrong_passwords_lock_with_a_page_that_says_until_when(alice):
    client = Client()
    for _ in range(10):
        response = client.post("/accounts/login/", {"username": "alice", "password": "wrong"})
    assert response.status_code == 429
    assert "Try again in a minute. Locked until" in text(response)
    assert client.post("/accounts/login/", {"username": "alice", "password": PASSWORD}).status_code == 429


def test_signing_out_is_a_post(alice):
    client = web(alice)
    assert client.get("/accounts/logout/").status_code == 405
    assert client.get("/changes/").status_code == 200
    client.post("/accounts/logout/")
    assert client.get("/changes/")["Location"].startswith("/accounts/login/?next=")


@each_row("path", WRITES)
def test_every_write_is_refused_without_a_csrf_token(carol, change, path):
    client = Client(enforce_csrf_checks=True)
    client.force_login(carol, backend="django.contrib.auth.backends.ModelBackend")
    response = client.post(path.format(number=change.number), WRITES[path])
    assert response.status_code == 403
    assert "The form was out of date" in text(response)
    assert Change.objects.get().version == 1


@pytest.mark.parametrize("part", ["transition", "comments", "attachments", "approvals"])
def test_an_address_that_takes_posts_leads_back_to_the_change_when_it_is_opened(alice, change, part):
    response = web(alice).get(f"/changes/{change.number}/{part}/")
    assert response["Location"] == f"/changes/{change.number}/"


@pytest.mark.parametrize(
    "path", ["/changes/CHG9999999/", "/changes/CHG9999999/edit/", "/changes/nonsense/", "/changes/CHG%000001/", "/x"]
)
def test_what_is_not_there_answers_404_in_the_pages_style(alice, path):
    response = web(alice).get(path)
    assert response.status_code == 404
    assert "Not found" in text(response)
    assert "Traceback" not in response.content.decode()


def test_an_error_of_ours_answers_500_with_a_page_that_says_what_to_do(alice, monkeypatch):
    client = web(alice)
    client.raise_request_exception = False
    monkeypatch.setattr("changes.pages.list.views.ChangeList.get", lambda *args: 1 / 0)
    response = client.get("/changes/")
    assert response.status_code == 500
    assert "Something broke on our side" in text(response)


def test_too_large_a_form_answers_413_in_the_pages_style(alice, change, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    response = web(alice).post(f"/changes/{change.number}/comments/", {"body": "x" * 5000, "visibility": "public"})
    assert response.status_code == 413
    assert "Nothing was changed" in text(response)
    assert not change.comments.exists()


def test_pages_bring_a_policy_that_lets_nothing_foreign_in_and_have_nothing_inline(alice, acme, change):
    change_in(Phase.DEPLOY, ChangeType.NORMAL, owning_group=acme.external_groups.get().group)
    client = web(alice)
    for path in ("/changes/", f"/changes/{change.number}/", f"/changes/{change.number}/edit/", "/exchange/"):
        response = client.get(path)
        assert "default-src 'self'" in response["Content-Security-Policy"]
        content = response.content.decode()
        for forbidden in (
            "<style",
            "style=",
            "<script>",
            "onclick=",
            "hx-on",
            'src="http',
            'href="http',
            "javascript:",
        ):
            assert forbidden not in content, (path, forbidden)


def test_no_page_is_kept_for_the_next_person_at_this_computer(alice, change):
    assert web(alice).get(f"/changes/{change.number}/")["Cache-Control"] == "private, no-cache"


def test_an_inactive_member_of_staff_is_not_let_in(alice, change):
    client = web(alice)
    alice.is_active = False
    alice.save()
    assert client.get(f"/changes/{change.number}/")["Location"].startswith("/accounts/login/?next=")


def test_a_superuser_may_everything(change):
    boss = UserFactory(username="boss", is_staff=True, is_superuser=True)
    client = web(boss)
    assert "Create change" in text(client.get("/changes/new/"))
    client.post(f"/changes/{change.number}/comments/", {"body": "x", "visibility": "public"})
    assert change.comments.get().author == boss
