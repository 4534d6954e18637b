"""How calls prove who we are, and how a token is got."""

from __future__ import annotations

import base64

import pytest

from integrations.connections.document import connection_of
from integrations.connections.evaluation.auth import Auth, AuthRefused, Token
from integrations.connections.templating.faults import EvaluationFailed
from integrations.transports.base import Response
from tests.rows import each_row

from .evaluation import SECRETS, answer

pytestmark = pytest.mark.any_database


def auth(text: str) -> Auth:
    return connection_of(f"base_url: https://desk.example.com/api\nauth: {text}").auth


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


LOGIN = "{kind: login, request: {post: /login, json: {key: '{{ secret.KEY }}'}}, token: '{{ body.t }}', send: %s}"
OAUTH = (
    "{kind: oauth2, token_url: 'https://login.example.com/token', client_id: me, client_secret: '{{ secret.KEY }}'%s}"
)
KINDS = [
    ("{kind: none}", {}, {}),
    ("none", {}, {}),
    (
        "{kind: basic, username: Jörg, password: '{{ secret.KEY }}'}",
        {"Authorization": f"Basic {basic('Jörg:key-of-the-desk')}"},
        {"Authorization": "Basic •••"},
    ),
    (
        "{kind: bearer, token: '{{ secret.KEY }}'}",
        {"Authorization": "Bearer key-of-the-desk"},
        {"Authorization": "Bearer •••"},
    ),
    ("{kind: header, name: X-Key, value: 'k {{ secret.KEY }}'}", {"X-Key": "k key-of-the-desk"}, {"X-Key": "•••"}),
    (OAUTH % "", {"Authorization": "Bearer T"}, {"Authorization": "Bearer •••"}),
    (LOGIN % "{header: Session-Token}", {"Session-Token": "T"}, {"Session-Token": "•••"}),
    (LOGIN % "{header: Authorization, prefix: 'Token '}", {"Authorization": "Token T"}, {"Authorization": "Token •••"}),
    (LOGIN % "{cookie: session}", {"Cookie": "session=T"}, {"Cookie": "session=•••"}),
    ("{kind: certificate, certificate: '{{ secret.KEY }}', key: '{{ secret.OTHER }}'}", {}, {}),
]


@each_row(("text", "headers", "shown"), KINDS)
def test_the_headers_of_a_call(text, headers, shown):
    made = auth(text)
    assert made.headers(SECRETS, "T") == headers
    assert made.shown_headers() == shown
    assert made.has_token == (made.kind in ("oauth2", "login"))


def test_without_auth_there_is_none():
    assert connection_of("base_url: https://desk.example.com").auth.kind == "none"


FAILING = [
    ("{kind: bearer, token: '{{ secret.MISSING }}'}", {}, "auth.token: `secret.MISSING` is undefined"),
    ("{kind: bearer, token: '{{ secret.KEY }}'}", {"KEY": ""}, "auth.token: the value is empty"),
    ("{kind: bearer, token: '{{ secret.KEY }}'}", {"KEY": "a\nB: c"}, "auth: a header has no line ends"),
    ("{kind: basic, username: '', password: '{{ secret.KEY }}'}", SECRETS, "auth.username: the value is empty"),
    (LOGIN % "{header: X}", SECRETS, "auth: the value is empty"),
]


@each_row(("text", "secrets", "message"), FAILING)
def test_what_cannot_be_proved(text, secrets, message):
    with pytest.raises(EvaluationFailed) as failed:
        auth(text).headers(secrets, "")
    assert str(failed.value).startswith(message)


def test_a_certificate_and_an_authority_of_their_own():
    made = connection_of(
        "base_url: https://desk.example.com\nca: '{{ secret.CA }}'\n"
        "auth: {kind: certificate, certificate: '{{ secret.CERT }}', key: '{{ secret.PRIVATE }}'}"
    )
    secrets = {"CA": "-----BEGIN a", "CERT": "-----BEGIN b", "PRIVATE": "-----BEGIN c"}
    assert made.ca_pem(secrets) == "-----BEGIN a"
    assert made.auth.certificate(secrets) == ("-----BEGIN b", "-----BEGIN c")
    assert made.secret_names == {"CA", "CERT", "PRIVATE"}
    assert connection_of("base_url: https://desk.example.com").ca_pem({}) is None
    assert auth("{kind: none}").certificate({}) is None


# --- Tokens ---


def test_the_call_for_a_token_of_oauth2():
    call = auth(OAUTH % ", scope: 'read write'").token_call({"KEY": "s:1 ü"})
    assert (call.method, call.url) == ("POST", "https://login.example.com/token")
    assert call.body == b"grant_type=client_credentials&scope=read%20write"
    assert call.headers["Authorization"] == f"Basic {basic('me:s%3A1+%C3%BC')}"
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
    shown = call.shown().text()
    assert call.headers["Authorization"] not in shown
    assert "scope=read%20write" in shown
    assert auth(OAUTH % "").token_call(SECRETS).body == b"grant_type=client_credentials"


def test_the_call_for_a_token_of_a_login():
    call = auth(LOGIN % "{header: X}").token_call(SECRETS)
    assert (call.method, call.url, call.body) == (
        "POST",
        "https://desk.example.com/api/login",
        b'{"key":"key-of-the-desk"}',
    )
    assert call.shown().body == '{"key":"•••"}'


TOKENS = [
    (OAUTH % "", {"access_token": "T", "expires_in": 3600}, Token("T", 3600.0)),
    (OAUTH % "", {"access_token": "T", "expires_in": "3600"}, Token("T", 3600.0)),
    (OAUTH % "", {"access_token": "T", "expires_in": "soon"}, Token("T")),
    (OAUTH % "", {"access_token": "T"}, Token("T")),
    (LOGIN % "{header: X}", {"t": "T"}, Token("T")),
    (LOGIN % "{header: X}", {"t": 5}, Token("5")),
]


@each_row(("text", "body", "token"), TOKENS)
def test_the_token(text, body, token):
    assert auth(text).token_of(answer(200, body)) == token


NO_TOKENS = [
    (OAUTH % "", answer(400, {"error": "invalid_client", "error_description": "no"}), "400 (invalid_client, no)"),
    (OAUTH % "", answer(500, "down"), "it answered 500"),
    (OAUTH % "", answer(200, {"token": "x"}), "its answer has no access_token"),
    (OAUTH % "", answer(200, "x"), "its answer has no access_token"),
    (OAUTH % "", answer(200, {"access_token": ""}), "its answer has no access_token"),
    (LOGIN % "{header: X}", answer(403, "no"), "it answered 403"),
    (LOGIN % "{header: X}", answer(200, {}), "auth.token: `body.t` is undefined"),
    (LOGIN % "{header: X}", answer(200, {"t": ""}), "auth.token: the value is empty"),
    (LOGIN % "{header: X}", Response(200, {}, b"{", is_complete=False), "the answer is too long"),
]


@each_row(("text", "response", "message"), NO_TOKENS)
def test_no_token(text, response, message):
    with pytest.raises((AuthRefused, EvaluationFailed)) as failed:
        auth(text).token_of(response)
    assert message in str(failed.value)


def test_no_token_is_in_a_representation():
    assert "T0ken" not in repr(Token("T0ken"))
