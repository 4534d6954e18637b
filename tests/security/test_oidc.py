"""OpenID Connect, with a real provider that runs in the test and signs its tokens: who may sign in, and as whom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import time_machine
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from oidc_provider_mock import run_server_in_thread

from changes.choices import Role
from tests.factories import UserFactory
from tests.pages import text
from tests.rows import each_row

from .people import LOGIN, SECOND_STEP, SECURITY, is_signed_in, set_up_app, signed_in
from .security_log import last, told

START = "/accounts/oidc/staff/login/"
CALLBACK = f"{START}callback/"
AGENT = {"preferred_username": "dora", "name": "Dora Doe", "email": "dora@example.com", "roles": ["Service desk agent"]}


class Provider:
    def __init__(self, url: str) -> None:
        self.url = url

    def know(self, subject: str, **claims: Any) -> None:
        """Sets what the provider says about this person."""
        assert requests.put(f"{self.url}/users/{subject}", json=claims, timeout=10).ok

    def agree(self, address: str, subject: str) -> str:
        """What a browser does at the provider. Returns the address of ours to which it is led back."""
        answer = requests.post(address, data={"sub": subject}, allow_redirects=False, timeout=10)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]


@pytest.fixture(scope="module")
def running_provider() -> Iterator[Provider]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        with run_server_in_thread() as server:
            yield Provider(f"http://localhost:{server.server_port}")


@pytest.fixture
def provider(running_provider, settings, db) -> Provider:
    app = {
        "provider_id": "staff",
        "name": "Company login",
        "client_id": "casexchange",
        "secret": "client-secret",
        "settings": {"server_url": running_provider.url},
    }
    settings.OIDC_SERVER_URL = running_provider.url
    settings.OIDC_NAME = "Company login"
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
    return running_provider


def sign_in(provider, subject, client=None, start=START, **claims):
    """Returns the last answer of ours, and the browser."""
    client = client or Client()
    if claims:
        provider.know(subject, **claims)
    back = provider.agree(client.get(start)["Location"], subject)
    return client.get(back.removeprefix("http://testserver")), client


def roles_of(name):
    return {*User.objects.get(username=name).groups.values_list("name", flat=True)}


# --- Signing in ---


def test_the_sign_in_page_offers_it_and_leads_back_to_the_page_that_was_wanted(provider):
    page = Client().get(f"{LOGIN}?next=/calendar/")
    assert "Sign in with Company login" in text(page)
    assert f'href="{START}?next=%2Fcalendar%2F"' in page.content.decode()
    answer, client = sign_in(provider, "dora-1", start=f"{START}?next=/calendar/", **AGENT)
    assert answer["Location"] == "/calendar/"
    assert client.get("/calendar/").status_code == 200


def test_without_a_provider_there_is_no_such_page(db):
    assert "Sign in with" not in text(Client().get(LOGIN))
    for address in (START, CALLBACK, "/accounts/oidc/other/login/"):
        assert Client().get(address).status_code == 404


def test_a_new_account_gets_its_name_and_roles_from_the_provider_and_no_password(provider):
    sign_in(provider, "dora-2", **AGENT)
    dora = User.objects.get()
    assert (dora.username, dora.first_name, dora.email) == ("dora", "Dora", "dora@example.com")
    assert dora.is_staff and not dora.is_superuser and not dora.has_usable_password()
    assert roles_of("dora") == {Role.AGENT.value}
    assert not SocialToken.objects.exists()


def test_the_security_log_tells_what_the_provider_did(provider):
    before = last()
    sign_in(provider, "dora-2", **AGENT)
    sign_in(provider, "dora-2", **{**AGENT, "roles": []})
    assert told(before) == [
        "Company login created the account dora.",
        "Company login linked dora with an account of the OpenID provider.",
        "Company login gave the role Service desk agent to dora.",
        "dora signed in by Company login.",
        "Company login took the role Service desk agent from dora.",
        "Refused sign-in by Company login from 127.0.0.1.",
    ]


@each_row(
    "said, expected",
    [
        (["Auditor", "Change manager"], {"Auditor", "Change manager"}),
        ("Auditor", {"Auditor"}),
        (["AUDITOR", "Cook"], {"Auditor"}),
        (["desk-admins"], {"Integration administrator"}),
    ],
)
def test_roles_follow_the_claim_at_each_sign_in(provider, settings, said, expected):
    settings.OIDC_ROLES = {**settings.OIDC_ROLES, "desk-admins": "Integration administrator"}
    sign_in(provider, "dora-3", **AGENT)
    answer, _ = sign_in(provider, "dora-3", **{**AGENT, "roles": said})
    assert answer["Location"] == "/"
    assert roles_of("dora") == expected


def test_a_claim_within_an_object_is_found(provider, settings):
    settings.OIDC_ROLES_CLAIM = "realm_access.roles"
    sign_in(provider, "dora-4", preferred_username="dora", realm_access={"roles": ["Auditor"]})
    assert roles_of("dora") == {"Auditor"}


# --- Who may not ---


@each_row("roles", [[], ["Cook"], None, {"Auditor": True}, 7, [["Auditor"]]])
def test_without_a_role_nobody_signs_in_and_no_account_is_made(provider, roles):
    answer, client = sign_in(provider, "cook", preferred_username="cook", roles=roles)
    assert answer.status_code == 403
    assert "Company login gives your account no role of this service desk." in text(answer)
    assert not is_signed_in(client)
    assert not User.objects.filter(username="cook").exists()


def test_who_loses_the_roles_is_not_let_in_any_more_and_has_none_here(provider):
    sign_in(provider, "dora-5", **AGENT)
    answer, client = sign_in(provider, "dora-5", **{**AGENT, "roles": []})
    assert answer.status_code == 403
    assert not is_signed_in(client)
    assert roles_of("dora") == set()
    assert not User.objects.get().is_staff


@each_row("name", ["alice", "ALICE"])
def test_an_account_of_that_name_is_not_taken_over(provider, alice, name):
    answer, client = sign_in(provider, "mallory", preferred_username=name, roles=["Integration administrator"])
    assert answer.status_code == 403
    assert f"There is an account named {name} already." in text(answer)
    assert not is_signed_in(client)
    assert roles_of("alice") == {Role.AGENT.value}
    assert not SocialAccount.objects.exists()


def test_an_account_with_that_mail_address_is_not_taken_over(provider, alice):
    alice.email = "alice@example.com"
    alice.save()
    sign_in(
        provider,
        "mallory-2",
        preferred_username="mallory",
        email="alice@example.com",
        email_verified=True,
        roles=["Auditor"],
    )
    assert SocialAccount.objects.get().user.username == "mallory"
    assert roles_of("alice") == {Role.AGENT.value}


def test_the_account_of_a_partner_is_not_taken_over_and_gets_no_role(provider, acme):
    partner = acme.authorized_user
    answer, _ = sign_in(provider, "p", preferred_username=partner.username, roles=["Auditor"])
    assert answer.status_code == 403
    # An account of the provider that was made a partner's user afterwards.
    sign_in(provider, "dora-6", **AGENT)
    dora = User.objects.get(username="dora")
    dora.groups.clear()
    acme.authorized_user = dora
    acme.save()
    answer, client = sign_in(provider, "dora-6")
    assert answer.status_code == 403
    assert "a partner's account holds no role" in text(answer)
    assert not is_signed_in(client)
    assert roles_of("dora") == set()


def test_an_account_that_is_not_active_stays_shut_out(provider):
    sign_in(provider, "dora-7", **AGENT)
    User.objects.update(is_active=False)
    _, client = sign_in(provider, "dora-7")
    assert not is_signed_in(client)
    assert "deactivated" in text(client.get("/accounts/inactive/"))


@each_row("name", ["", None, "a b", "x" * 151, "<script>"])
def test_a_name_that_is_not_possible_here_is_refused(provider, name):
    answer, _ = sign_in(provider, "odd", preferred_username=name, roles=["Auditor"])
    assert answer.status_code == 403
    assert "which is not possible here" in text(answer)
    assert not User.objects.exists()


def test_the_provider_makes_nobody_a_superuser(provider):
    claims = {**AGENT, "roles": ["superuser", "Auditor"], "is_superuser": True}
    sign_in(provider, "dora-8", **claims)
    assert not User.objects.get().is_superuser


# --- Linking an account that was here before ---


def test_an_administrator_links_an_account_that_was_here_before(provider, alice):
    call_command("link_oidc", "alice", "alice-at-company")
    answer, client = sign_in(provider, "alice-at-company", preferred_username="a.lice", roles=["Auditor"])
    assert answer["Location"] == "/"
    assert "alice" in client.get("/preferences/").content.decode()
    assert roles_of("alice") == {"Auditor"}
    assert signed_in("alice"), "the password goes on working"
    with pytest.raises(CommandError, match="linked with alice already"):
        call_command("link_oidc", "alice", "alice-at-company")
    with pytest.raises(CommandError, match="no user named nobody"):
        call_command("link_oidc", "nobody", "x")


# --- Forged answers ---


def test_an_answer_that_this_browser_did_not_ask_for_signs_nobody_in(provider):
    provider.know("mallory-3", preferred_username="mallory", roles=["Auditor"])
    attacker, victim = Client(), Client()
    back = provider.agree(attacker.get(START)["Location"], "mallory-3").removeprefix("http://testserver")
    answer = victim.get(back)
    assert "did not work" in text(answer)
    assert not is_signed_in(victim)


@each_row(
    "more", ["process=connect", "process=redirect", "action=reauthenticate", "auth_params=redirect_uri=http://x/"]
)
def test_a_link_from_elsewhere_cannot_connect_another_account_with_the_one_that_is_signed_in(provider, alice, more):
    claims = {"preferred_username": "mallory", "roles": ["Auditor"]}
    start = f"{START}?{more}"
    asked = parse_qs(urlsplit(Client().get(start)["Location"]).query)
    assert asked["redirect_uri"] == [f"http://testserver{CALLBACK}"]
    sign_in(provider, "mallory-4", signed_in("alice"), start, **claims)
    assert SocialAccount.objects.get().user.username == "mallory"


def test_an_answer_is_accepted_once(provider):
    provider.know("dora-9", **AGENT)
    client = Client()
    back = provider.agree(client.get(START)["Location"], "dora-9").removeprefix("http://testserver")
    assert client.get(back).status_code == 302
    client.logout()
    assert "did not work" in text(client.get(back))


@each_row("query", ["", "?error=access_denied", "?code=x", "?code=x&state=y", "?error=server_error&state=y"])
def test_a_made_up_answer_is_refused(provider, query):
    answer = Client().get(CALLBACK + query)
    assert answer.status_code in (200, 302, 401, 403)
    assert not User.objects.exists()


def test_the_code_is_bound_to_this_browser_by_pkce_and_the_link_leads_nowhere_else(provider):
    asked = parse_qs(urlsplit(Client().get(f"{START}?next=https://evil.example/")["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"http://testserver{CALLBACK}"]
    answer, _ = sign_in(provider, "dora-10", start=f"{START}?next=https://evil.example/", **AGENT)
    assert answer["Location"] == "/"


def test_a_provider_that_does_not_answer_is_said_so(provider, settings):
    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]["settings"]["server_url"] = "http://localhost:9"
    answer = Client().get(START)
    assert answer.status_code == 502
    assert "did not work" in text(answer)


# --- Second factor and confirming ---


ADMIN = {**AGENT, "roles": ["Integration administrator"]}


@each_row("amr, is_asked", [(None, True), (["pwd"], True), (["pwd", "mfa"], False), (["hwk"], False), ("mfa", True)])
def test_a_second_factor_at_the_provider_counts_if_the_provider_says_so(provider, settings, amr, is_asked):
    settings.REQUIRE_SECOND_FACTOR_FOR = frozenset({"Integration administrator"})
    claims = ADMIN if amr is None else {**ADMIN, "amr": amr}
    _, client = sign_in(provider, "dora-11", **claims)
    answer = client.get("/exchange/")
    assert (answer.get("Location") == SECURITY) == is_asked


def test_a_second_factor_that_was_set_up_here_is_asked_for(provider, alice):
    call_command("link_oidc", "alice", "alice-2")
    set_up_app(signed_in("alice"))
    answer, client = sign_in(provider, "alice-2", roles=["Auditor"])
    assert answer["Location"] == SECOND_STEP
    assert not is_signed_in(client)


def test_who_has_no_password_confirms_with_the_provider(provider, settings):
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    guarded = "/admin/knox/authtoken/add/"
    _, client = sign_in(provider, "dora-12", **ADMIN, auth_time=int(time.time()) - 3600)
    asked = client.get(guarded)
    assert asked["Location"].startswith("/accounts/confirm/provider/")
    query = parse_qs(urlsplit(client.get(asked["Location"])["Location"]).query)
    assert (query["prompt"], query["max_age"]) == (["login"], ["0"])
    # The provider signs in without asking: that confirms nothing.
    landed, _ = sign_in(provider, "dora-12", client, asked["Location"])
    refused = client.get(landed["Location"])
    assert refused.status_code == 403
    assert "does not say that it asked for your password" in text(refused)
    assert client.get(guarded).status_code == 302
    landed, _ = sign_in(provider, "dora-12", client, asked["Location"], **ADMIN, auth_time=int(time.time()))
    assert client.get(landed["Location"])["Location"] == guarded
    assert client.get(guarded).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert client.get(guarded).status_code == 302


@each_row("said", [None, "now", 10**12, True])
def test_a_strange_time_of_asking_confirms_nothing(provider, settings, said):
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    _, client = sign_in(provider, "dora-13", **ADMIN, auth_time=said)
    assert client.get("/admin/knox/authtoken/add/").status_code == 302


def test_who_never_signed_in_by_the_provider_cannot_confirm_there(provider, alice):
    assert signed_in("alice").get("/accounts/confirm/provider/").status_code == 404


def test_a_password_is_neither_offered_nor_set(provider):
    _, client = sign_in(provider, "dora-14", **AGENT)
    assert client.get("/accounts/password/").status_code == 403
    assert "You sign in with Company login. There is no password here." in text(client.get(SECURITY))
    assert UserFactory._meta.model.objects.get().has_usable_password() is False
