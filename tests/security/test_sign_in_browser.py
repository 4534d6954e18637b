"""Setting up and using a security key and an authenticator app in a real browser, under our content security policy."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Page, expect

from tests.factories import PASSWORD

from .people import LOGIN, SECURITY, code_of


@pytest.fixture
def required(settings):
    settings.REQUIRE_SECOND_FACTOR_FOR = frozenset({"Integration administrator"})


@pytest.fixture
def page(open_page, live_server):
    # A security key belongs to a host name, and 127.0.0.1 is none.
    return open_page(base_url=live_server.url.replace("127.0.0.1", "localhost"))


def sign_in(page: Page, name: str) -> None:
    page.goto(LOGIN)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def plug_in_a_key(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "usb",
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_security_key_is_added_signs_in_confirms_and_is_removed(page, required, settings, ingrid):
    plug_in_a_key(page)
    sign_in(page, "ingrid")
    expect(page.get_by_text("Your role needs a second factor.")).to_be_visible()
    page.get_by_role("link", name="Add a security key").click()
    page.get_by_label("Name of the key").fill("Blue key")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Security key “Blue key”")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, "ingrid")
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    page.get_by_role("button", name="Use a security key").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    page.goto(f"{SECURITY}webauthn/reauthenticate/")
    page.get_by_role("button", name="Use a security key").click()
    expect(page.get_by_role("heading", name="Desk", exact=True)).to_be_visible()
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    settings.REQUIRE_SECOND_FACTOR_FOR = frozenset()
    page.goto(SECURITY)
    page.get_by_role("link", name="Remove “Blue key”").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("The security key is removed.")).to_be_visible()
    assert not Authenticator.objects.exists()


def test_an_authenticator_app_is_set_up_by_what_the_page_shows_and_signs_in(page, alice):
    sign_in(page, "alice")
    page.get_by_role("link", name="alice").click()
    page.get_by_role("link", name="Sign-in and security").click()
    page.get_by_role("link", name="Set up an authenticator app").click()
    assert page.locator("img.qr").evaluate("image => image.complete && image.naturalWidth > 0")
    secret = page.locator("code.secret").inner_text()
    page.get_by_label("Authenticator code").fill(code_of(secret))
    page.get_by_role("button", name="Set up").click()
    codes = page.locator(".codes code").all_inner_texts()
    assert len(codes) == 10 and all(re.fullmatch(r"\d{8}", code) for code in codes)
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, "alice")
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.goto(SECURITY)
    expect(page.get_by_text("9 recovery codes are left.")).to_be_visible()
