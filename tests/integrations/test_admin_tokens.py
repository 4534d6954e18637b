"""The administration of API tokens: shown once, revoked individually, and never with more rights than allowed."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from tests.factories import ExternalSystemFactory, UserFactory
from tests.html_forms import errors, messages, post_form, read_form
from tests.pages import text, web

LIST = "/admin/knox/authtoken/"
ADD = f"{LIST}add/"


def page_of(token):
    return f"{LIST}{token.pk}/change/"


@pytest.fixture
def root(db):
    return UserFactory(username="root", is_superuser=True, is_staff=True)


def make(client, user, **typed):
    """Creates a token through the form. Returns the page that shows it, and the token."""
    response = post_form(client, ADD, user=str(user.pk), **typed)
    code = response.content.decode().partition('<code class="shown-once">')[2].partition("</code>")[0]
    return response, code.strip()


def answers(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client.get("/api/v1/changes/").status_code


# --- Made ---


def test_a_token_is_shown_once_and_works(ingrid, acme):
    client = web(ingrid)
    response, token = make(client, acme.authorized_user)
    assert len(token) == 64
    assert "The new token of acme-integration" in text(response)
    assert "no-store" in response["Cache-Control"]
    assert answers(token) == 200
    kept = AuthToken.objects.get()
    assert kept.user == acme.authorized_user
    assert not any(token in cookie.value for cookie in client.cookies.values())
    for address in (LIST, page_of(kept), "/admin/"):
        page = client.get(address).content.decode()
        assert token not in page
        assert f"{token[:8]}…" in page
    entry = LogEntry.objects.get()
    assert entry.object_repr == f"Token {token[:8]}… of acme-integration"
    assert kept.digest not in f"{entry.object_repr}{entry.object_id}{entry.change_message}"


def test_a_token_can_expire(ingrid, acme):
    expiry = (timezone.now() + timedelta(days=30)).replace(second=0, microsecond=0)
    make(web(ingrid), acme.authorized_user, expiry=f"{expiry:%Y-%m-%dT%H:%M}")
    assert AuthToken.objects.get().expiry == expiry


def test_a_moment_that_has_passed_is_refused(ingrid, acme):
    response = post_form(web(ingrid), ADD, user=str(acme.authorized_user.pk), expiry="2020-01-01T00:00")
    assert "passed already" in " ".join(errors(response)["expiry"])
    assert not AuthToken.objects.exists()


# --- For whom ---


def test_an_integration_administrator_makes_tokens_for_partners_and_herself(ingrid, acme, beta, alice, root):
    form = read_form(web(ingrid).get(ADD), "user")
    assert "user" in form["names"]
    offered = web(ingrid).get(ADD).context["adminform"].form.fields["user"].queryset
    assert {user.get_username() for user in offered} == {"acme-integration", "beta-integration", "ingrid"}
    _, token = make(web(ingrid), ingrid)
    assert answers(token) == 200


@pytest.mark.parametrize(
    "who", ["superuser", "agent", "partner who is staff", "hidden superuser", "nobody's", "inactive"]
)
def test_an_integration_administrator_gets_no_token_with_more_rights(ingrid, acme, alice, root, who):
    partner_who_is_staff = ExternalSystemFactory(system_id="GAMMA").authorized_user
    partner_who_is_staff.is_staff = True
    partner_who_is_staff.save()
    hidden = ExternalSystemFactory(system_id="DELTA").authorized_user
    hidden.is_superuser = True
    hidden.save()
    inactive = ExternalSystemFactory(system_id="OMEGA").authorized_user
    inactive.is_active = False
    inactive.save()
    user = {
        "superuser": root,
        "agent": alice,
        "partner who is staff": partner_who_is_staff,
        "hidden superuser": hidden,
        "nobody's": UserFactory(username="nobody"),
        "inactive": inactive,
    }[who]
    client = web(ingrid)
    form = read_form(client.get(ADD), "user")
    response = client.post(ADD, {**form["fields"], "user": str(user.pk)})
    assert response.status_code == 200
    assert "valid choice" in " ".join(errors(response)["user"])
    assert not AuthToken.objects.exists()


def test_a_superuser_makes_tokens_for_anybody(root, alice):
    _, token = make(web(root), alice)
    assert answers(token) == 200
    assert AuthToken.objects.get().user == alice


# --- Shown ---


def test_the_list_says_what_a_token_is_worth(ingrid, acme, beta):
    beta.enabled = False
    beta.save()
    gone = UserFactory(username="gone", is_active=False)
    AuthToken.objects.create(acme.authorized_user)
    AuthToken.objects.create(beta.authorized_user)
    AuthToken.objects.create(gone)
    AuthToken.objects.create(ingrid, expiry=timedelta(seconds=-1))
    client = web(ingrid)
    admin = client.get(LIST).context["cl"].model_admin
    states = {row.user.get_username(): admin.state(row) for row in client.get(LIST).context["cl"].result_list}
    assert states == {
        "acme-integration": "Valid",
        "beta-integration": "Unusable: BETA is disabled",
        "gone": "Unusable: the user is inactive",
        "ingrid": "Expired",
    }
    for query, expected in (({"expired": "yes"}, 1), ({"expired": "no"}, 3), ({"q": "acme"}, 1)):
        assert len(client.get(LIST, query).context["cl"].result_list) == expected


def test_a_token_is_not_edited(root, acme):
    token, _ = AuthToken.objects.create(acme.authorized_user)
    client = web(root)
    assert client.get(page_of(token)).status_code == 200
    assert client.post(page_of(token), {"user": str(root.pk)}).status_code == 403
    assert AuthToken.objects.get().user == acme.authorized_user


def test_the_list_takes_a_constant_number_of_queries(ingrid, acme, django_assert_max_num_queries):
    client = web(ingrid)
    AuthToken.objects.create(acme.authorized_user)
    client.get(LIST)
    with django_assert_max_num_queries(100) as few:
        client.get(LIST)
    for number in range(8):
        AuthToken.objects.create(ExternalSystemFactory(system_id=f"MORE{number}").authorized_user)
    with django_assert_max_num_queries(len(few)):
        client.get(LIST)


# --- Revoked ---


def test_a_token_is_revoked_from_its_page_after_a_question_that_names_it(ingrid, acme):
    kept, token = AuthToken.objects.create(acme.authorized_user)
    client = web(ingrid)
    asked = post_form(client, page_of(kept), action="revoke")
    assert f"Token {token[:8]}… of acme-integration" in text(asked)
    assert answers(token) == 200, "a question revokes nothing"
    response = post_form(client, LIST, page=asked, confirmed="yes", follow=True)
    assert messages(response) == [f"Token {token[:8]}… of acme-integration is revoked."]
    assert answers(token) == 401
    assert LogEntry.objects.get().object_repr == f"Token {token[:8]}… of acme-integration"


def test_several_are_revoked_from_the_list(ingrid, acme, beta):
    tokens = [AuthToken.objects.create(system.authorized_user)[0] for system in (acme, beta)]
    client = web(ingrid)
    chosen = {"_selected_action": [token.pk for token in tokens], "action": "revoke", "index": "0"}
    asked = client.post(LIST, chosen)
    post_form(client, LIST, page=asked, confirmed="yes")
    assert not AuthToken.objects.exists()


def test_more_than_the_page_can_carry_are_not_revoked(root):
    AuthToken.objects.bulk_create(AuthToken(digest=f"{number:0128}", user=root) for number in range(501))
    chosen = {"_selected_action": [f"{0:0128}"], "action": "revoke", "index": "0", "select_across": "1"}
    client = web(root)
    for more in ({}, {"confirmed": "yes"}):
        (refusal,) = messages(client.post(LIST, {**chosen, **more}, follow=True))
        assert refusal == "Nothing was changed: 501 are chosen, but at most 500 are possible at a time. Choose fewer."
    assert AuthToken.objects.count() == 501


def test_there_is_no_other_way_to_delete_one(root, acme):
    token, _ = AuthToken.objects.create(acme.authorized_user)
    client = web(root)
    assert client.post(f"{LIST}{token.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(LIST, {"_selected_action": [token.pk], "action": "delete_selected", "post": "yes"})
    assert AuthToken.objects.exists()


def test_an_auditor_sees_tokens_and_revokes_none(audrey, acme):
    token, _ = AuthToken.objects.create(acme.authorized_user)
    client = web(audrey)
    assert "acme-integration" in text(client.get(LIST))
    assert client.get(ADD).status_code == 403
    assert "Revoke" not in text(client.get(page_of(token)))
    client.post(LIST, {"_selected_action": [token.pk], "action": "revoke", "confirmed": "yes"})
    assert AuthToken.objects.exists()
