"""The headers of answers, and the checks of a deployment."""

from __future__ import annotations

import os
from ipaddress import ip_network

import pytest
from django.core.checks import run_checks
from django.test import Client

from tests import warm
from tests.factories import ChangeFactory, UserFactory
from tests.pages import web

# The policy of pages, by directive. Nothing is left to `default-src`, and nothing may be inline.
POLICY = {
    **dict.fromkeys(("default-src", "script-src", "style-src", "font-src", "connect-src", "manifest-src"), "'self'"),
    **dict.fromkeys(("frame-src", "media-src", "form-action"), "'self'"),
    **dict.fromkeys(("object-src", "base-uri", "frame-ancestors", "worker-src"), "'none'"),
    "img-src": "'self' data:",
}


@pytest.fixture
def change_of_alice(alice):
    return ChangeFactory(requested_by=alice).number


def policy(answer):
    parts = (part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


def test_the_policy_of_pages_says_each_thing(alice):
    for answer in (web(alice).get("/"), Client().get("/accounts/login/"), Client().get("/api/v1/changes/")):
        assert policy(answer) == POLICY
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "same-origin"
        assert "camera=(), " in answer["Permissions-Policy"]
        assert "publickey-credentials" not in answer["Permissions-Policy"]


def test_no_cache_keeps_what_is_for_one_person(alice, api, acme, change_of_alice):
    """Neither a proxy between, nor a browser without asking the server again."""
    private = [
        *(
            web(alice).get(path)
            for path in ("/", "/changes/", f"/changes/{change_of_alice}/", "/exchange/", "/status/")
        ),
        *(api(alice).get(path) for path in ("/api/v1/changes/", f"/api/v1/changes/{change_of_alice}/")),
        web(UserFactory(is_superuser=True, is_staff=True)).get("/admin/auth/user/"),
        Client().get("/accounts/login/"),
        Client().get("/api/v1/changes/"),
    ]
    for answer in private:
        said = {part.strip() for part in answer["Cache-Control"].split(",")}
        assert "private" in said, answer.request["PATH_INFO"]
        assert said & {"no-cache", "no-store"}, answer.request["PATH_INFO"]


def test_a_header_with_an_underscore_does_not_pass_for_the_one_with_a_hyphen(running_exchange):
    """A proxy overwrites `X-Forwarded-For`, but lets `X_Forwarded_For` through: WSGI would not tell them apart."""
    partner = running_exchange.partner_api("ACME")
    body = {"system_id": "ACME", "operation": "Create", "external_id": "UNDERSCORE-1", "properties": {"title": "x"}}
    answers = [partner.post("/api/v1/operations/", json=body, headers={"Idempotency_Key": "u-1"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 409]  # no replay: the key was not read


def test_a_deployment_with_https_passes_djangos_checks_and_asks_for_https_only(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    environment |= {"DEBUG": "0", "BASE_URL": "https://desk.example.com", "ALLOWED_HOSTS": "desk.example.com"}
    environment["TRUSTED_PROXIES"] = "127.0.0.1/32"
    environment["DATABASE_URL"] = f"sqlite:///{tmp_path / 'db.sqlite3'}"
    code = (
        "from django.core.management import call_command; from django.test import Client\n"
        "call_command('check', deploy=True, fail_level='WARNING')\n"
        "told = dict(HTTP_HOST='desk.example.com', HTTP_X_FORWARDED_PROTO='https')\n"
        "print(Client().get('/api/v1/nothing/', **told)['Strict-Transport-Security'])\n"
        "print(Client().get('/accounts/login/', HTTP_HOST='desk.example.com')['Location'])\n"
        "print(*Client().get('/accounts/login/', **told).cookies.values())\n"
    )
    done = warm.manage(["shell", "--verbosity=0", "--command", code], environment, is_once=True)
    assert done.returncode == 0, done.stderr
    *_, hsts, location, cookie = done.stdout.splitlines()
    assert (hsts, location) == ("max-age=31536000", "https://desk.example.com/accounts/login/")
    assert cookie.startswith("Set-Cookie: __Host-csrftoken=")
    assert "; Path=/; SameSite=Lax; Secure" in cookie


# What is set, and which check names it.
@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("FIELD_ENCRYPTION_KEYS", [], "integrations.W005"),
        ("TRUSTED_PROXIES", [], "integrations.W006"),
        ("ATTACHMENT_SCAN_COMMAND", "no-such-scanner -", "integrations.W007"),
    ],
)
def test_what_is_missing_for_a_deployment_is_named(settings, name, value, check):
    settings.BASE_URL, settings.TRUSTED_PROXIES = "https://desk.example.com", [ip_network("127.0.0.1/32")]
    before = {message.id for message in run_checks(include_deployment_checks=True)}
    setattr(settings, name, value)
    after = {message.id for message in run_checks(include_deployment_checks=True)}
    assert (check in before, check in after) == (False, True)
