"""Signing in as a person or as an attacker does: by the pages, with a phone's codes."""

from __future__ import annotations

import base64
import hmac
import re
import struct
import threading
import time
from smtplib import SMTPRecipientsRefused
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData
from rest_framework.test import APIClient

from tests.factories import PASSWORD
from tests.html_forms import post_form

LOGIN = "/accounts/login/"
SECURITY = "/accounts/security/"
SECOND_STEP = "/accounts/security/authenticate/"


def code_of(secret: str, at: float | None = None) -> str:
    """The code that an authenticator app shows (RFC 6238)."""
    counter = struct.pack(">Q", int(time.time() if at is None else at) // 30)
    digest = hmac.digest(base64.b32decode(secret), counter, "sha1")
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def attempt(client: Client, name: str, password: str = PASSWORD, wanted: str = "", **headers: str) -> Any:
    """One sign-in by the page's form. `headers`: as WSGI has them, such as REMOTE_ADDR."""
    address = f"{LOGIN}?next={wanted}" if wanted else LOGIN
    return client.post(address, {"username": name, "password": password, "next": wanted}, **headers)


def signed_in(name: str, **headers: str) -> Client:
    client = Client()
    response = attempt(client, name, **headers)
    assert response.status_code == 302, response.content
    return client


def is_signed_in(client: Client) -> bool:
    return client.get("/preferences/").status_code == 200


def set_up_app(client: Client) -> tuple[str, list[str]]:
    """Sets up an authenticator app by the pages. Returns its secret and the recovery codes."""
    page = client.get("/accounts/security/totp/activate/")
    secret = re.search(r'<code class="secret">(\w+)</code>', page.content.decode())[1]
    done = post_form(client, "/accounts/security/totp/activate/", page=page, code=code_of(secret))
    shown = client.get(done["Location"]).content.decode()
    return secret, re.findall(r"<li><code>(\d+)</code></li>", shown)


def give_code(client: Client, code: str, **headers: str) -> Any:
    return client.post(SECOND_STEP, {"code": code}, **headers)


class SlowMail(EmailBackend):
    """A mail server that takes its time: until `goes_on` is set."""

    goes_on = threading.Event()

    def send_messages(self, messages: Any) -> int:
        assert self.goes_on.wait(30)
        return super().send_messages(messages)


class NoMail(EmailBackend):
    """A mail server that takes no mail."""

    def send_messages(self, messages: Any) -> int:
        raise OSError("mail server away")


class RefusesAlice(EmailBackend):
    """A mail server that refuses one address."""

    def send_messages(self, messages: Any) -> int:
        if any("alice@example.com" in message.to for message in messages):
            raise SMTPRecipientsRefused({"alice@example.com": (550, b"no such user")})
        return super().send_messages(messages)


def made_up_key() -> dict[str, Any]:
    """What a browser sends when a security key is added."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    credential = AttestedCredentialData.create(b"\0" * 16, b"\1" * 16, ES256.from_cryptography_key(public))
    flags = AuthenticatorData.FLAG.USER_PRESENT | AuthenticatorData.FLAG.ATTESTED
    data = AuthenticatorData.create(b"\0" * 32, flags, 0, credential)
    client = CollectedClientData.create("webauthn.create", b"\0" * 16, "https://desk.example.com")
    return {
        "id": websafe_encode(b"\1" * 16),
        "rawId": websafe_encode(b"\1" * 16),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(client),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        },
    }


def answer_to(token: str, **headers: str) -> int:
    """The status of a call of the API with this token."""
    return APIClient().get("/api/v1/changes/", HTTP_AUTHORIZATION=f"Bearer {token}", **headers).status_code
