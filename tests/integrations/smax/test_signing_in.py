"""Signing in: who may, in which forms, what a token opens, when it ends, and how failures are throttled."""

import base64
import json
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import Client, override_settings
from django.utils import timezone

from changes import rate_limits
from changes.models import RateCounter, SecurityEvent
from changes.pages.sign_in.hashing import FewAtOnce
from changes.protection.addresses import counted
from changes.rate_limits import Rate
from integrations import tasks
from integrations.choices import Delivery
from integrations.models import ExternalGroup, SmaxAddress, SmaxToken
from integrations.smax import accounts
from tests.factories import PASSWORD, ExternalSystemFactory, UserFactory
from tests.pages import web
from tests.rows import each_row

from .conftest import LOGIN

TOKEN = "/auth/authentication-endpoint/authenticate/token"
ME = "/rest/default/personalization/person/me"
ACCOUNT = "acme-integration"
GOOD = {"login": ACCOUNT, "password": PASSWORD}
CAPITAL = {"Login": ACCOUNT, "Password": PASSWORD}
JSON = "application/json"


def post(address=LOGIN, body=None, content_type=JSON, **options):
    text = body if isinstance(body, str) else json.dumps(GOOD if body is None else body)
    return Client().generic("POST", address, text, content_type, **options)


# address, body, Content-Type
SIGN_INS = [
    (LOGIN, GOOD, JSON),
    (LOGIN + "/", GOOD, JSON),
    (LOGIN + "?TENANTID=123", CAPITAL, JSON),
    (LOGIN, CAPITAL, ""),
    (LOGIN, GOOD, "text/plain;charset=UTF-8"),
    (LOGIN, GOOD, "application/x-www-form-urlencoded"),
    (TOKEN, GOOD, JSON),
    (TOKEN, CAPITAL, "application/json; charset=utf-8"),
]


@each_row("address, body, content_type", SIGN_INS)
def test_the_answer_is_the_token_alone(acme, address, body, content_type):
    answer = post(address, body, content_type)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    token = answer.content.decode()
    assert token.strip() == token
    assert len(token) > 30
    assert token not in SmaxToken.objects.get().digest
    assert Client().get(ME, HTTP_AUTHORIZATION=f"Bearer {token}").json()["entities"][0]["properties"]["Name"] == ACCOUNT


# method, address, body, status
REFUSED = [
    ("POST", LOGIN, {"login": ACCOUNT, "password": "wrong"}, 401),
    ("POST", LOGIN, {"login": "nobody", "password": PASSWORD}, 401),
    ("POST", LOGIN, {"login": "alice", "password": PASSWORD}, 401),  # a member of staff
    ("POST", LOGIN, {"login": "beta-integration", "password": PASSWORD}, 401),  # of a system that is pushed to
    ("POST", LOGIN, {"login": "locked-integration", "password": PASSWORD}, 401),
    ("POST", LOGIN, {"login": ACCOUNT}, 401),
    ("POST", LOGIN, {"login": [ACCOUNT], "password": {"a": 1}}, 401),
    ("POST", LOGIN, {"login": "x" * 200, "password": PASSWORD}, 401),
    ("POST", LOGIN, {}, 401),
    ("POST", LOGIN, "", 401),
    ("POST", LOGIN, "login=a&password=b", 400),
    ("POST", LOGIN, "[]", 400),
    ("POST", LOGIN, '{"login": "a\\u0000", "password": "b"}', 400),
    ("POST", LOGIN, " " * 20_000, 413),
    ("GET", LOGIN, "", 401),
    ("GET", f"{LOGIN}?login={ACCOUNT}&password={PASSWORD}", "", 401),
    ("GET", f"{TOKEN}?Login={ACCOUNT}", "", 401),
    ("PUT", LOGIN, GOOD, 405),
    ("POST", "/auth/authentication-endpoint/authenticate/logout", GOOD, 404),
]


@each_row("method, address, body, status", REFUSED)
def test_what_is_refused_gets_no_token(acme, beta, alice, method, address, body, status):
    locked = ExternalSystemFactory(system_id="LOCKED", delivery=Delivery.SMAX).authorized_user
    get_user_model().objects.filter(pk=locked.pk).update(is_active=False)
    answer = Client().generic(method, address, body if isinstance(body, str) else json.dumps(body), JSON)
    assert answer.status_code == status
    details = answer.json()["meta"]["errorDetails"]
    assert details["httpStatus"] == status
    assert details["message"]
    assert not SmaxToken.objects.exists()


@each_row("address", [f"{LOGIN}?login={ACCOUNT}&password={PASSWORD}", f"{TOKEN}?Login={ACCOUNT}&Password={PASSWORD}"])
def test_the_oldest_adapters_sign_in_by_the_address_where_the_settings_allow_it(acme, address):
    with override_settings(SMAX_LOGIN_IN_QUERY=True):
        answer = Client().get(address)
    assert answer.status_code == 200
    assert SmaxToken.objects.get().user == acme.authorized_user


def basic(name=ACCOUNT, password=PASSWORD):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


# cookies, header, status. {token} is a valid token.
PROOFS = [
    ({"LWSSO_COOKIE_KEY": "{token}"}, None, 200),
    ({"SMAX_AUTH_TOKEN": "{token}"}, None, 200),
    ({"SMAX_AUTH_TOKEN": "old", "LWSSO_COOKIE_KEY": "{token}"}, None, 200),
    ({"TENANTID": "default", "LWSSO_COOKIE_KEY": "{token}"}, None, 200),
    ({}, "Bearer {token}", 200),
    ({"LWSSO_COOKIE_KEY": "old"}, "Bearer {token}", 200),
    ({}, basic(), 200),
    ({"LWSSO_COOKIE_KEY": "old"}, basic(), 200),
    ({}, None, 401),
    ({"LWSSO_COOKIE_KEY": "old"}, None, 401),
    ({"LWSSO_COOKIE_KEY": ""}, "Bearer", 401),
    ({}, "Bearer old", 401),
    ({}, "Bearer \xe4\xf6", 401),
    ({}, "Negotiate {token}", 401),
    ({}, basic(password="wrong"), 401),
    ({}, basic(name="alice"), 401),
    ({}, "Basic !!", 401),
    ({}, "Basic /w==", 401),
    ({"TENANTID": "other", "LWSSO_COOKIE_KEY": "{token}"}, None, 400),
]


@each_row("cookies, header, status", PROOFS)
def test_what_opens_the_calls(adapter, alice, cookies, header, status):
    token, client = adapter.sign_in(), Client()
    for name, value in cookies.items():
        client.cookies[name] = value.replace("{token}", token)
    headers = {"HTTP_AUTHORIZATION": header.replace("{token}", token)} if header else {}
    answer = client.get(ME, **headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["meta"]["errorDetails"]["httpStatus"] == status
        assert ("WWW-Authenticate" in answer) == (status == 401)


# path, status
TENANTS = [
    ("/rest/default/personalization/person/me?TENANTID=default", 200),
    ("/rest/123456789/personalization/person/me/", 200),
    ("/rest/123456789/personalization/person/me?TENANTID=default", 400),
    ("/rest/other/personalization/person/me", 404),
    ("/rest//personalization/person/me", 404),
    ("/rest/default/nothing", 404),
    ("/rest/default", 404),
    ("/rest/", 404),
]


@each_row("path, status", TENANTS)
def test_tenants(adapter, path, status):
    adapter.sign_in()
    with override_settings(SMAX_TENANTS=["default", "123456789"]):
        answer = adapter.client.get(path)
    assert answer.status_code == status
    meta = answer.json()["meta"]
    assert meta["completion_status"] == ("OK" if status == 200 else "FAILED")
    assert meta["query_time"] >= 0


def test_sessions_and_api_tokens_open_nothing_here_and_no_csrf_token_is_asked(acme, alice, partner_api):
    for user in (alice, acme.authorized_user):
        assert web(user).get(ME).status_code == 401
    assert partner_api(acme).get(ME).status_code == 401
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(LOGIN, json.dumps(GOOD), content_type=JSON)
    strict.cookies["LWSSO_COOKIE_KEY"] = answer.content.decode()
    assert strict.post("/rest/default/ces", "{}", content_type=JSON).status_code == 400


def test_a_token_of_the_face_opens_nothing_else(adapter, partner_api):
    header = {"HTTP_AUTHORIZATION": f"Bearer {adapter.sign_in()}"}
    assert Client().get("/api/v1/changes/", **header).status_code == 401
    assert adapter.client.get("/changes/").status_code == 302


def test_a_partner_account_opens_no_page_with_its_password(acme, alice):
    for name, is_in in ((ACCOUNT, False), ("alice", True)):
        client = Client()
        client.post("/accounts/login/", {"login": name, "username": name, "password": PASSWORD})
        assert ("_auth_user_id" in client.session) == is_in


def _new_password(user):
    user.set_password("another good password")
    user.save()


def _deactivated(user):
    user.is_active = False
    user.save()


def _deleted(user):
    ExternalGroup.objects.all().delete()
    user.authorized_systems.all().delete()
    user.delete()


@each_row("ending", [_new_password, _deactivated, _deleted])
def test_tokens_end_with_the_account(adapter, ending):
    adapter.sign_in()
    ending(get_user_model().objects.get(username=ACCOUNT))
    assert adapter.client.get(ME).status_code == 401
    assert post().status_code == 401
    assert not SmaxToken.objects.exists()


# what is altered of the system, status
REGISTERED = [({"enabled": False}, 403), ({"delivery": Delivery.PULL}, 403), ({"enabled": True}, 200)]


@each_row("altered, status", REGISTERED)
def test_a_token_opens_only_what_the_registration_allows_now(acme, adapter, altered, status):
    adapter.sign_in()
    for name, value in altered.items():
        setattr(acme, name, value)
    acme.save()
    assert adapter.client.get(ME).status_code == status
    assert adapter.client.get("/rest/default/ces", {"system": "ACME", "time": 0}).status_code == status


def test_a_token_lives_so_long_and_is_swept_away(adapter):
    adapter.sign_in()
    ends = timezone.now() + timedelta(seconds=settings.SMAX_TOKEN_SECONDS)
    assert SmaxToken.objects.count() == 2  # many at once
    with time_machine.travel(ends - timedelta(seconds=60), tick=False):
        assert adapter.client.get(ME).status_code == 200
    with time_machine.travel(ends + timedelta(seconds=60), tick=False):
        assert adapter.client.get(ME).status_code == 401
        tasks.tend_tokens()
    assert not SmaxToken.objects.exists()


def test_a_password_is_hashed_once_and_again_after_it_changed(acme, monkeypatch):
    hashed = []
    real = PBKDF2PasswordHasher.encode
    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", lambda *args: (hashed.append(1), real(*args))[1])
    monkeypatch.setattr(FewAtOnce, "iterations", 1)
    with override_settings(PASSWORD_HASHERS=[f"{FewAtOnce.__module__}.FewAtOnce"]):
        _new_password(acme.authorized_user)
        body = {"login": ACCOUNT, "password": "another good password"}
        hashed.clear()
        assert [post(body=body).status_code for _ in range(5)] == [200] * 5
        assert len(hashed) == 1
        assert post(body={**body, "password": PASSWORD}).status_code == 401
        # Another address is checked in full.
        assert post(body=body, REMOTE_ADDR="192.0.2.7").status_code == 200
        assert len(hashed) == 3
        acme.authorized_user.set_password("a third good password")
        acme.authorized_user.save()
        assert post(body=body).status_code == 401


@pytest.mark.django_db
def test_failures_are_throttled_and_successes_are_not(new_day, acme):
    assert [post().status_code for _ in range(30)] == [200] * 30
    bad = {"login": ACCOUNT, "password": "wrong"}
    statuses = [post(body=bad, REMOTE_ADDR="192.0.2.7").status_code for _ in range(15)]
    assert statuses[:10] == [401] * 10
    assert {*statuses[11:]} == {429}
    # Not even the right password is taken from there now, and the answer says when to try again.
    refused = post(REMOTE_ADDR="192.0.2.7")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 300
    assert refused.json()["meta"]["errorDetails"]["httpStatus"] == 429
    # The adapter itself goes on, from its address.
    assert post().status_code == 200
    assert Client().get(ME, HTTP_AUTHORIZATION=basic()).status_code == 200


# the adapter's address, days since it last signed in there, status
AFTER_MANY_FAILURES = [
    ("198.51.100.1", 0, 200),
    ("198.51.100.2", 29, 200),
    ("2001:db8::1", 29, 200),
    ("198.51.100.3", 31, 429),
    ("198.51.100.4", None, 429),
]


@each_row("address, days, status", AFTER_MANY_FAILURES)
def test_strangers_failures_do_not_lock_an_adapter_out_of_its_own_address(
    new_day, acme, monkeypatch, address, days, status
):
    monkeypatch.setattr(accounts, "OF_ACCOUNT", Rate(15, 3600))
    rate_limits.forget()
    RateCounter.objects.all().delete()
    if days is not None:
        with time_machine.travel(timezone.now() - timedelta(days=days), tick=False):
            assert post(REMOTE_ADDR=address).status_code == 200
    accounts.forget()  # a process that has just begun
    bad = {"login": ACCOUNT, "password": "wrong"}
    tried = [post(body=bad, REMOTE_ADDR=f"192.0.2.{stranger}").status_code for stranger in range(16)]
    assert tried == [401] * 15 + [429]
    assert post(REMOTE_ADDR=address).status_code == status
    tasks.tend_tokens()
    assert SmaxAddress.objects.filter(address=counted(address)).exists() == (status == 200)
    # Of its own it has no more guesses than any other.
    tried = [post(body=bad, REMOTE_ADDR=address).status_code for _ in range(12)]
    assert tried[-1] == 429


def test_the_security_log_has_sign_ins_and_failures_without_secrets(new_day, acme):
    UserFactory(username="stranger")
    post()
    post()
    post(body={"login": ACCOUNT, "password": "a wrong secret"})
    post(body={"login": "some-secret", "password": PASSWORD})
    Client().get(ME, HTTP_AUTHORIZATION="Bearer stale")
    tasks.tend_security_log()
    events = list(SecurityEvent.objects.exclude(kind__startswith="account").order_by("pk"))
    seen = [(event.kind, event.object_text) for event in events if event.kind not in _SETUP]
    assert seen == [
        ("adapter_signed_in", ACCOUNT),
        ("sign_in_refused", ACCOUNT),
        ("sign_in_refused", ""),
        ("token_refused", f"GET {ME}"),
    ]
    text = json.dumps([[event.object_text, event.details, event.actor_name] for event in events])
    assert "secret" not in text
    assert PASSWORD not in text


_SETUP = {"system_created", "system_changed", "authorized_user_set", "group_made_external", "partner_account_made"}
