"""After a session expired, its owner gets the typed text back, once, and without it being sent."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from changes.actor import acting
from changes.choices import Phase
from changes.models import Change, Comment
from tests.factories import PASSWORD, UserFactory, change_in
from tests.html_forms import read_form
from tests.pages import text, web


@pytest.fixture
def change(alice):
    return change_in(Phase.PLAN, requested_by=alice)


def signed_out(client):
    """The client as it is after its session expired."""
    del client.cookies[settings.SESSION_COOKIE_NAME]
    return client


def sign_in(client, user, response):
    """Follows `response` to the sign-in page, signs in, and returns the page after it."""
    assert response.status_code == 302 and response["Location"].startswith("/accounts/login/?next=")
    page = client.get(response["Location"])
    data = read_form(page, "username")["fields"] | {"username": user.username, "password": PASSWORD}
    return client.post(response["Location"], data, follow=True)


def typed_comment(client, change, body="Half a novel", **typed):
    form = read_form(client.get(f"/changes/{change.number}/"), "body")
    data = form["fields"] | {"body": body, "visibility": "private"} | typed
    return form["attrs"]["action"], data


def test_a_comment_is_shown_again_after_signing_in_and_not_sent_by_itself(alice, change):
    client = web(alice)
    address, data = typed_comment(client, change)
    response = signed_out(client).post(address, data)
    assert "what you typed is kept and shown again" in text(client.get(response["Location"]))
    back = sign_in(client, alice, response)
    form = read_form(back, "body")["fields"]
    assert (form["body"], form["visibility"]) == (["Half a novel"], ["private"])
    assert "It is shown again as you typed it, and is not saved yet." in text(back)
    assert not Comment.objects.exists()
    client.post(address, form)
    assert Comment.objects.get().body == "Half a novel"


def test_a_preview_that_was_asked_for_signed_out_is_shown_after_signing_in(alice, change):
    client = web(alice)
    address, data = typed_comment(client, change, "**Bold**")
    back = sign_in(client, alice, signed_out(client).post(f"{address}preview/", data))
    assert "<strong>Bold</strong>" in back.content.decode()


def test_it_is_shown_once(alice, change):
    client = web(alice)
    address, data = typed_comment(client, change)
    sign_in(client, alice, signed_out(client).post(address, data))
    assert "Half a novel" not in client.get(address, follow=True).content.decode()


def test_somebody_else_who_signs_in_sees_nothing_of_it_nor_does_the_owner_later(alice, carol, change):
    client = web(alice)
    address, data = typed_comment(client, change)
    response = signed_out(client).post(address, data)
    assert "Half a novel" not in sign_in(client, carol, response).content.decode()
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    assert "Half a novel" not in client.get(address, follow=True).content.decode()
    assert not Comment.objects.exists()


@pytest.mark.parametrize("mark", ["", "1", "1:x:y", None])
def test_without_the_signed_mark_of_whose_page_it_was_nothing_is_kept(alice, change, mark):
    client = web(alice)
    address, data = typed_comment(client, change)
    data |= {"page_of": mark} if mark is not None else {}
    if mark is None:
        del data["page_of"]
    response = signed_out(client).post(address, data)
    assert "so nothing was done. Sign in, and do it again." in text(client.get(response["Location"]))
    assert "Half a novel" not in sign_in(client, alice, response).content.decode()


def test_a_mark_of_long_ago_keeps_nothing(alice, change):
    client = web(alice)
    with time_machine.travel(timezone.now() - timedelta(days=5)):
        address, data = typed_comment(client, change)
    response = signed_out(client).post(address, data)
    assert "Half a novel" not in sign_in(client, alice, response).content.decode()


def test_what_is_kept_is_forgotten_after_an_hour(alice, change):
    client = web(alice)
    address, data = typed_comment(client, change)
    response = signed_out(client).post(address, data)
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assert "Half a novel" not in sign_in(client, alice, response).content.decode()


def test_too_much_is_not_kept_and_said_so(alice, change):
    client = web(alice)
    address, data = typed_comment(client, change, "x" * 200_001)
    # As a browser sends it; the test client would send multipart.
    response = signed_out(client).post(address, urlencode(data, doseq=True), "application/x-www-form-urlencoded")
    assert "nothing was done" in text(client.get(response["Location"]))
    assert "typed_before" not in client.session


def test_the_longest_comment_is_kept(alice, change):
    client = web(alice)
    address, data = typed_comment(client, change, "x" * 100_000)
    # As a browser sends it; the test client would send multipart.
    response = signed_out(client).post(address, urlencode(data, doseq=True), "application/x-www-form-urlencoded")
    assert read_form(sign_in(client, alice, response), "body")["fields"]["body"] == ["x" * 100_000]


@pytest.mark.parametrize("taken", ["is_active", "is_staff"])
def test_for_an_account_that_works_here_no_more_nothing_is_kept(alice, change, taken):
    client = web(alice)
    address, data = typed_comment(client, change)
    type(alice).objects.filter(pk=alice.pk).update(**{taken: False})
    response = signed_out(client).post(address, data)
    assert "nothing was done" in text(client.get(response["Location"]))
    assert "typed_before" not in client.session


def test_passwords_and_files_are_not_kept_and_the_files_must_be_chosen_again(alice, change):
    client = web(alice)
    address, data = typed_comment(client, change, a_password="hidden", extra=SimpleUploadedFile("a.txt", b"contents"))
    response = signed_out(client).post(address, data)
    kept = client.session["typed_before"]
    assert {*kept["typed"]} == {"body", "visibility", "recipients"}
    assert "hidden" not in str(kept) and "contents" not in str(kept)
    assert "Files cannot be kept: choose them again." in text(sign_in(client, alice, response))


def test_a_halved_character_does_not_break_it(alice, change):
    client = web(alice)
    address, data = typed_comment(client, change, "a\x00b")
    back = sign_in(client, alice, signed_out(client).post(address, data))
    assert read_form(back, "body")["fields"]["body"] == ["ab"]


def test_a_part_of_a_page_gets_401_and_the_page_stays(alice, change):
    client = web(alice)
    address, data = typed_comment(client, change)
    response = signed_out(client).post(f"{address}preview/", data, headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert "typed_before" not in client.session


# --- A form opened before a new sign-in in another tab ---


def strict(user=None):
    client = Client(enforce_csrf_checks=True)
    if user is not None:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_form_from_before_the_same_person_signed_in_again_is_shown_with_what_was_typed(alice, change):
    client = strict(alice)
    address, data = typed_comment(client, change)
    data["csrfmiddlewaretoken"] = "x" * 32  # of the session before
    response = client.post(address, data, follow=True)
    assert read_form(response, "body")["fields"]["body"] == ["Half a novel"]
    assert not Comment.objects.exists()


def test_a_form_of_somebody_else_is_refused_and_shows_nothing(alice, carol, change):
    _, data = typed_comment(web(alice), change)
    data["csrfmiddlewaretoken"] = "x" * 32
    client = strict(carol)
    address = f"/changes/{change.number}/comments/"
    response = client.post(address, data)
    assert response.status_code == 403
    assert "The form was out of date" in text(response)
    assert "Half a novel" not in client.get(address, follow=True).content.decode()


def test_without_any_cookie_it_is_kept_all_the_same(alice, change):
    _, data = typed_comment(web(alice), change)
    client = strict()
    back = sign_in(client, alice, client.post(f"/changes/{change.number}/comments/", data))
    assert read_form(back, "body")["fields"]["body"] == ["Half a novel"]


def test_a_form_that_was_forged_from_elsewhere_is_refused_as_ever(alice, change):
    client = strict(alice)
    response = client.post(f"/changes/{change.number}/comments/", {"body": "Forged", "visibility": "public"})
    assert response.status_code == 403
    assert "Forged" not in client.get(f"/changes/{change.number}/").content.decode()
    assert not Comment.objects.exists()
    assert Change.objects.get().version == change.version


# --- Other forms with text fields ---


def test_the_reason_of_a_decision_that_was_made_without_its_author_is_shown_to_copy(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    client = web(carol)
    form = read_form(client.get(f"/changes/{change.number}/"), "comment")
    data = form["fields"] | {"comment": "No way back after step 3", "decision": "Denied"}
    response = signed_out(client).post(form["attrs"]["action"], data)
    with acting(alice):
        change.move_to(Phase.PLAN)
        change.save()
    said = text(sign_in(client, carol, response))
    assert "Copy it, into a comment for example: No way back after step 3" in said
    assert not change.approvals.exists()


def test_what_was_typed_in_any_form_is_shown_again_by_its_page(alice, carol, acme, change):
    at_acme = change_in(Phase.APPROVE_PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)
    admin = UserFactory(username="root", is_staff=True, is_superuser=True)
    operation = at_acme.outgoing_operations.get(operation="Assign")
    forms = {
        "/changes/new/": ("title", {}),
        f"/changes/{change.number}/edit/": ("description", {}),
        f"/changes/{at_acme.number}/approvals/": ("comment", {"decision": "Denied"}),
        f"/changes/bulk/comment/?change={change.number}": ("body", {"preview": "yes"}),
        f"/exchange/{operation.pk}/skip/": ("reason", {}),
        "/exchange/status/ACME/open/": ("reason", {}),
    }
    for address, (field, more) in forms.items():
        client = web(admin)
        page = client.get(f"/changes/{at_acme.number}/" if "approvals" in address else address)
        form = read_form(page, field)
        data = form["fields"] | {field: "Typed while signed out"} | more
        back = sign_in(client, admin, signed_out(client).post(form["attrs"].get("action") or address, data))
        assert read_form(back, field)["fields"][field] == ["Typed while signed out"], address
        assert "is not saved yet" in text(back), address
    assert not at_acme.approvals.filter(author=admin).exists()
    assert {*Change.objects.values_list("title", flat=True)} == {change.title}
    operation.refresh_from_db()
    assert operation.status == "Waiting"
