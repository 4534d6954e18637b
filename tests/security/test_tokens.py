"""The tokens of a closed account do not go on working: what revokes them, and where pages say so."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from unittest.mock import patch

import pytest
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from integrations import tasks
from tests.factories import PASSWORD
from tests.html_forms import errors, messages, post_form
from tests.pages import text, web
from tests.rows import each_row

from .people import answer_to, attempt, signed_in

NEW = "a quite different long password"
LIST = "/admin/knox/authtoken/"
DAY = timedelta(days=1)


# --- What revokes the tokens of an account, and what does not ---


def admin_page(user, part="change"):
    return f"/admin/auth/user/{user.pk}/{part}/"


def root_client():
    return web(User.objects.get(username="root"))


def deactivated_in_the_administration(user):
    post_form(root_client(), admin_page(user), is_active=None)
    assert not User.objects.get(pk=user.pk).is_active


def deactivated_in_a_shell(user):
    user.is_active = False
    user.save()


def deactivated_by_one_field(user):
    user.is_active = False
    user.save(update_fields=["is_active"])


def deactivated_around_save(user):
    User.objects.filter(pk=user.pk).update(is_active=False)
    tasks.tend_tokens()


def deactivated_and_activated_around_the_sweep(user):
    User.objects.filter(pk=user.pk).update(is_active=False)
    post_form(root_client(), admin_page(user), is_active="on")
    assert User.objects.get(pk=user.pk).is_active


def new_password_in_the_administration(user):
    post_form(root_client(), admin_page(user, "password"), password1=NEW, password2=NEW, usable_password="true")
    assert User.objects.get(pk=user.pk).check_password(NEW)


def no_password_by_the_administration(user):
    typed = {"usable_password": "false", "unset-password": "1"}
    root_client().post(admin_page(user, "password"), typed)
    assert not User.objects.get(pk=user.pk).has_usable_password()


def new_password_on_the_own_page(user):
    typed = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert signed_in(user.username).post("/accounts/password/", typed).status_code == 302


def new_password_by_the_link_in_a_mail(user):
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    client = Client()
    form = client.get(f"/accounts/password/reset/{key}/")
    client.post(form["Location"], {"password1": NEW, "password2": NEW})
    assert User.objects.get(pk=user.pk).check_password(NEW)


def new_password_by_a_command(user):
    with patch("getpass.getpass", return_value=NEW):
        call_command("changepassword", user.username, stdout=StringIO())


def new_password_in_a_shell(user):
    user.password = make_password(NEW)
    user.save()


def new_password_by_one_field(user):
    user.password = make_password(NEW)
    user.save(update_fields=["password"])


def signed_out_everywhere(user):
    assert signed_in(user.username).post("/accounts/sessions/").status_code == 302


REVOKES = [
    deactivated_in_the_administration,
    deactivated_in_a_shell,
    deactivated_by_one_field,
    deactivated_around_save,
    deactivated_and_activated_around_the_sweep,
    new_password_in_the_administration,
    no_password_by_the_administration,
    new_password_on_the_own_page,
    new_password_by_the_link_in_a_mail,
    new_password_by_a_command,
    new_password_in_a_shell,
    new_password_by_one_field,
    signed_out_everywhere,
]


@pytest.fixture
def tokens(alice, carol, acme, root):
    """Two tokens of alice, and one each of carol and of ACME's account."""
    owners = {"alice": alice, "alice again": alice, "carol": carol, "acme": acme.authorized_user}
    return {name: AuthToken.objects.create(user)[1] for name, user in owners.items()}


def answers(tokens):
    return {name: answer_to(token) for name, token in tokens.items()}


@pytest.mark.any_database
@each_row("way", REVOKES)
def test_the_tokens_of_an_account_end_with_it_and_do_not_come_back(tokens, alice, way):
    assert set(answers(tokens).values()) == {200}
    way(alice)
    after = {"alice": 401, "alice again": 401, "carol": 200, "acme": 200}
    assert answers(tokens) == after
    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert answers(tokens) == after, "a reactivated account has none of its old ones"
    assert not AuthToken.objects.filter(user=alice).exists()


@each_row("way", [deactivated_in_the_administration, new_password_in_the_administration, deactivated_around_save])
def test_a_partner_stops_with_its_account(tokens, acme, way):
    way(acme.authorized_user)
    assert answers(tokens) == {"alice": 200, "alice again": 200, "carol": 200, "acme": 401}
    body = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "x"}}
    refused = APIClient().post(
        "/api/v1/operations/", body, format="json", HTTP_AUTHORIZATION=f"Bearer {tokens['acme']}"
    )
    assert refused.status_code == 401


def signs_in_with_a_hash_that_is_out_of_date(user):
    User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    before = User.objects.get(pk=user.pk).password
    assert attempt(Client(), user.username).status_code == 302
    assert User.objects.get(pk=user.pk).password != before, "the same password, hashed again"


def signs_in_and_out(user):
    client = signed_in(user.username)
    client.post("/accounts/logout/")


def tries_a_wrong_password(user):
    attempt(Client(), user.username, "wrong")
    typed = {"oldpassword": "wrong", "password1": NEW, "password2": NEW}
    signed_in(user.username).post("/accounts/password/", typed)


def is_renamed_and_gets_another_role(user):
    roles = [str(role.pk) for role in Group.objects.all()]
    post_form(root_client(), admin_page(user), first_name="Alice", email="alice@example.com", groups=roles)
    assert User.objects.get(pk=user.pk).groups.count() == len(roles)


def has_no_password_and_gets_none_again(user):
    User.objects.filter(pk=user.pk).update(password=make_password(None))
    user.refresh_from_db()
    user.set_unusable_password()
    user.save()


def a_save_that_is_refused(user):
    response = post_form(root_client(), admin_page(user), username="", is_active=None)
    assert errors(response)["username"]


@pytest.mark.any_database
@each_row(
    "way",
    [
        signs_in_with_a_hash_that_is_out_of_date,
        signs_in_and_out,
        tries_a_wrong_password,
        is_renamed_and_gets_another_role,
        has_no_password_and_gets_none_again,
        a_save_that_is_refused,
    ],
)
def test_nothing_else_revokes_tokens(tokens, alice, settings, way):
    settings.PASSWORD_HASHERS = [*settings.PASSWORD_HASHERS, "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    way(alice)
    assert set(answers(tokens).values()) == {200}


# --- Pages say it before, and afterwards ---


@pytest.mark.any_database
@each_row(
    "path, person, said",
    [
        ("/admin/auth/user/{alice}/change/", "root", "2. They are revoked, for good, if Active is unticked"),
        ("/admin/auth/user/{acme}/change/", "root", "One. It is revoked, for good, if Active is unticked"),
        ("/admin/auth/user/{alice}/password/", "root", "With the new password 2 API tokens of this user are revoked"),
        ("/accounts/password/", "alice", "This also revokes 2 API tokens of this account"),
        ("/accounts/sessions/", "alice", "This also revokes 2 API tokens of this account"),
        ("/accounts/security/", "alice", "A new password, and signing out everywhere else, revoke them."),
    ],
)
def test_a_page_says_before_how_many_tokens_are_revoked(tokens, alice, acme, root, path, person, said):
    keys = {"alice": alice.pk, "acme": acme.authorized_user.pk}
    assert said in text(web(User.objects.get(username=person)).get(path.format(**keys)))
    AuthToken.objects.all().delete()
    assert "revoke" not in text(web(User.objects.get(username=person)).get(path.format(**keys)))


@pytest.mark.any_database
def test_the_page_of_the_link_in_a_mail_says_it_too(tokens, alice):
    key = f"{user_pk_to_url_str(alice)}-{default_token_generator.make_token(alice)}"
    assert "This also revokes 2 API tokens of this account" in text(
        Client().get(f"/accounts/password/reset/{key}/", follow=True)
    )


@pytest.mark.any_database
def test_afterwards_the_administration_says_how_many_it_were(tokens, alice):
    page = post_form(root_client(), admin_page(alice), is_active=None, follow=True)
    assert "2 API tokens of alice are revoked." in messages(page)
