"""Sessions, and what is asked again in them: left computers, stolen cookies, changed and forgotten passwords."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.core import mail
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from changes import rate_limits
from changes.choices import Role
from integrations.models import ExternalSystem
from tests.factories import PASSWORD, ExternalSystemFactory, UserFactory
from tests.pages import text
from tests.processes import until
from tests.rows import each_row

from .people import LOGIN, SlowMail, attempt, is_signed_in, signed_in
from .security_log import last, told

CONFIRM = "/accounts/confirm/"
NEW = "a quite different long password"


@pytest.fixture(autouse=True)
def five_minutes(settings):
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    settings.CONFIRMED_FORM_AGE = 1800


def later(**duration):
    return time_machine.travel(timezone.now() + timedelta(**duration))


# --- Idle ---


def test_a_session_ends_after_twelve_idle_hours(alice):
    client = signed_in("alice")
    with later(hours=11, minutes=59):
        assert is_signed_in(client)
    with later(hours=24, minutes=1):
        assert client.get("/")["Location"].startswith(LOGIN)


def test_a_session_goes_on_while_the_person_works(alice):
    client = signed_in("alice")
    for hour in range(0, 30, 6):
        with later(hours=hour):
            assert is_signed_in(client)


def test_a_page_that_was_left_open_does_not_keep_its_session(alice):
    client = signed_in("alice")
    for hour in range(12):
        with later(hours=hour):
            assert client.get("/", headers={"HX-Request": "true", "X-Version": "x"}).status_code == 200
    with later(hours=12, minutes=1):
        assert client.get("/")["Location"].startswith(LOGIN)


def test_the_duration_is_a_setting(settings, alice):
    settings.SESSION_COOKIE_AGE = 600
    client = signed_in("alice")
    with later(minutes=11):
        assert not is_signed_in(client)


# --- The list of sessions ---


def test_a_person_sees_where_they_are_signed_in_and_ends_the_other_sessions(alice, carol):
    here = signed_in("alice", HTTP_USER_AGENT="Firefox at work")
    there = signed_in("alice", HTTP_USER_AGENT="Phone", REMOTE_ADDR="203.0.113.9")
    other = signed_in("carol", HTTP_USER_AGENT="Browser of Carol")
    page = text(here.get("/accounts/sessions/"))
    assert "Firefox at work" in page and "Phone" in page and "203.0.113.9" in page
    assert "Browser of Carol" not in page
    assert "signed out everywhere else" in text(here.post("/accounts/sessions/", follow=True))
    assert is_signed_in(here)
    assert not is_signed_in(there)
    assert is_signed_in(other)


def test_a_new_password_ends_the_other_sessions(alice):
    here, there = signed_in("alice"), signed_in("alice")
    typed = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert here.post("/accounts/password/", typed).status_code == 302
    assert is_signed_in(here)
    assert not is_signed_in(there)
    assert attempt(Client(), "alice", NEW).status_code == 302


@each_row(
    "typed, said",
    [
        ({"oldpassword": "wrong"}, "type your current password"),
        ({"password2": "another"}, "same password each time"),
        ({"password1": "short", "password2": "short"}, "too short"),
    ],
)
def test_a_password_that_is_no_good_changes_nothing(alice, typed, said):
    client = signed_in("alice")
    data = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW, **typed}
    response = client.post("/accounts/password/", data)
    assert said in text(response)
    assert attempt(Client(), "alice").status_code == 302


def test_the_old_password_is_not_guessed_on_that_page_either(alice):
    client = signed_in("alice")
    for _ in range(10):
        response = client.post("/accounts/password/", {"oldpassword": "wrong", "password1": NEW, "password2": NEW})
    assert response.status_code == 429
    typed = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert client.post("/accounts/password/", typed).status_code == 429
    assert client.get("/admin/password_change/")["Location"] == "/accounts/password/"


@each_row("path", ["security/", "security/totp/activate/", "sessions/", "password/", "confirm/", "login/"])
def test_no_copy_of_these_pages_is_kept(alice, path):
    response = signed_in("alice").get(f"/accounts/{path}")
    assert {"no-store", "private"} <= {*response["Cache-Control"].split(", ")}


# --- Asked again ---

GUARDED = {
    "/admin/knox/authtoken/add/": "ingrid",
    "/admin/integrations/externalsystem/add/": "ingrid",
    "/admin/integrations/externalsystem/{system}/change/": "ingrid",
    "/admin/integrations/externalsystem/{system}/delete/": "ingrid",
    "/admin/integrations/externalsystem/{disabled}/start/": "ingrid",
    "/admin/auth/user/add/": "root",
    "/admin/auth/user/{user}/change/": "root",
    "/admin/auth/user/{user}/password/": "root",
    "/admin/auth/group/add/": "root",
    "/admin/auth/group/{group}/change/": "root",
    "/accounts/security/totp/activate/": "alice",
    "/accounts/security/webauthn/add/": "alice",
}


@pytest.fixture
def keys(acme, alice, ingrid, root):
    disabled = ExternalSystemFactory(system_id="GAMMA", enabled=False)
    return {
        "disabled": disabled.pk,
        "system": acme.pk,
        "user": alice.pk,
        "group": Group.objects.get(name=Role.AUDITOR.value).pk,
    }


@each_row("path, name", [*GUARDED.items()])
def test_a_session_alone_does_not_reach_secrets_tokens_and_roles(keys, path, name):
    address = path.format(**keys)
    client = signed_in(name)
    assert client.get(address).status_code == 200, "who has just signed in is not asked again"
    with later(minutes=6):
        response = client.get(address)
        assert response["Location"].startswith(f"{CONFIRM}?next=%2F")
        refused = client.post(response["Location"], {"password": "wrong", "next": address})
        assert "Incorrect password" in text(refused)
        assert client.get(address).status_code == 302
        assert client.post(response["Location"], {"password": PASSWORD, "next": address})["Location"] == address
        assert client.get(address).status_code == 200
    with later(minutes=10):
        assert client.get(address).status_code == 200, "not asked twice in five minutes"
    with later(minutes=12):
        assert client.get(address).status_code == 302


def test_who_only_looks_is_not_asked(keys, acme, audrey):
    AuthToken.objects.create(acme.authorized_user)
    client = signed_in("audrey")
    with later(minutes=6):
        for address in ("/admin/auth/user/{user}/change/", "/admin/auth/group/{group}/change/"):
            assert client.get(address.format(**keys)).status_code == 200
        assert client.get("/admin/knox/authtoken/").status_code == 200


WRITES = {
    "/admin/knox/authtoken/add/": {"user": "{user}"},
    "/admin/knox/authtoken/": {"action": "revoke", "_selected_action": "{token}", "confirmed": "yes"},
    "/admin/integrations/externalsystem/{system}/change/": {"new_signing_secret": "whsec_stolen", "delivery": "push"},
    "/admin/integrations/externalsystem/{system}/delete/": {"post": "yes"},
    "/admin/auth/user/{user}/change/": {"username": "alice", "is_superuser": "on", "is_active": "on"},
    "/admin/auth/user/{user}/password/": {"password1": NEW, "password2": NEW},
    "/admin/auth/user/add/": {"username": "mallory", "password1": NEW, "password2": NEW},
    "/admin/auth/group/{group}/change/": {"permissions": "1"},
    "/admin/auth/user/": {"action": "take_away_second_factor", "_selected_action": "{user}"},
}


def state():
    return (
        [*AuthToken.objects.values_list("digest", flat=True)],
        [*ExternalSystem.objects.order_by("pk").values()],
        [*User.objects.order_by("pk").values("username", "password", "is_superuser", "is_active")],
        [*Group.permissions.through.objects.order_by("pk").values_list("group", "permission")],
    )


@each_row("path", WRITES)
def test_a_form_sent_with_a_stolen_session_changes_nothing_and_is_not_kept(keys, path):
    token, _ = AuthToken.objects.create(User.objects.get(username="ingrid"))
    more = {**keys, "token": token.pk}
    client = signed_in("root")
    before = state()
    with later(minutes=31):
        typed = {name: value.format(**more) for name, value in WRITES[path].items()}
        response = client.post(path.format(**more), typed)
        assert response["Location"].startswith(CONFIRM)
        assert "Nothing was changed: too much time has passed." in text(client.get(response["Location"]))
        assert "whsec_stolen" not in str(dict(client.session.items()))
        assert NEW not in str(dict(client.session.items()))
    assert state() == before


def test_a_form_may_take_half_an_hour_to_fill_in(keys):
    client = signed_in("root")
    with later(minutes=29):
        typed = {"username": "bob", "password1": NEW, "password2": NEW, "usable_password": "true"}
        client.post("/admin/auth/user/add/", typed)
    assert User.objects.filter(username="bob").exists()


def test_confirming_leads_to_no_other_host(alice):
    client = signed_in("alice")
    for wanted in ("https://evil.example/", "//evil.example/"):
        response = client.post(CONFIRM, {"password": PASSWORD, "next": wanted})
        assert response["Location"] == "/"


def test_the_password_of_somebody_else_confirms_nothing(alice):
    other = UserFactory(username="carl")
    other.set_password(NEW)
    other.save()
    client = signed_in("alice")
    with later(minutes=6):
        client.post(CONFIRM, {"password": NEW})
        assert client.get("/accounts/security/totp/activate/").status_code == 302


# --- A forgotten password ---


@pytest.fixture
def with_mail(settings):
    settings.HAS_MAIL = True
    settings.BASE_URL = "https://desk.example.com"


def asked(address, client=None):
    response = (client or Client()).post("/accounts/password/reset/", {"email": address}, follow=True)
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline and not mail.outbox:
        time.sleep(0.01)
    return response


def link_in_mail():
    deadline = time.monotonic() + 10
    while not mail.outbox and time.monotonic() < deadline:
        time.sleep(0.01)
    return re.search(r"https://desk\.example\.com(/\S+)", mail.outbox[-1].body)[1]


def test_a_link_by_mail_sets_a_new_password_once_and_ends_all_sessions(with_mail, alice):
    alice.email = "alice@example.com"
    alice.save()
    session = signed_in("alice")
    asked("Alice@example.com")
    link = link_in_mail()
    assert mail.outbox[0].to == ["Alice@example.com"] or mail.outbox[0].to == ["alice@example.com"]
    assert "alice" in mail.outbox[0].body
    client, before = Client(), last()
    form = client.get(link)
    # The key does not stay in the address, from which it would get into logs.
    assert form["Location"] != link
    done = client.post(form["Location"], {"password1": NEW, "password2": NEW}, follow=True)
    assert "Your new password is saved." in text(done)
    assert told(before) == ["The password of alice was reset by mail, from 127.0.0.1."]
    assert not is_signed_in(client), "a link in a mail does not sign in"
    assert not is_signed_in(session)
    assert attempt(Client(), "alice", NEW).status_code == 302
    assert "This link is not valid" in text(Client().get(link, follow=True))


@each_row("address", ["nobody@example.com", "machine@example.com", "gone@example.com", "former@example.com"])
def test_the_answer_does_not_tell_whether_an_account_has_the_address(with_mail, alice, address):
    from allauth.account.models import EmailAddress

    alice.email = "alice@example.com"
    alice.save()
    # An address of before that an administrator has replaced.
    EmailAddress.objects.create(user=alice, email="former@example.com", verified=True)
    User.objects.create_user("machine", "machine@example.com")
    User.objects.create_user("gone", "gone@example.com", PASSWORD, is_active=False)
    mail.outbox.clear()
    unknown = asked(address)
    assert mail.outbox == []
    known = asked("alice@example.com")
    assert link_in_mail()
    assert (unknown.status_code, text(unknown)) == (known.status_code, text(known))


def test_the_answer_does_not_wait_for_the_mail_server_which_would_tell_it_too(with_mail, settings, alice):
    settings.EMAIL_BACKEND = "tests.security.people.SlowMail"
    alice.email = "alice@example.com"
    alice.save()
    SlowMail.goes_on.clear()
    try:
        assert Client().post("/accounts/password/reset/", {"email": "alice@example.com"}).status_code == 302
        assert mail.outbox == []
    finally:
        SlowMail.goes_on.set()
    assert link_in_mail()


@each_row("key", ["x-y", "1-set-password", "zzzz-cabc12-00000000000000000000000000000000"])
def test_a_made_up_link_is_refused(db, key):
    response = Client().get(f"/accounts/password/reset/{key}/", follow=True)
    assert "This link is not valid" in text(response)


def test_a_link_expires_after_three_days(with_mail, alice):
    alice.email = "alice@example.com"
    alice.save()
    asked("alice@example.com")
    link = link_in_mail()
    with later(days=3, minutes=1):
        assert "This link is not valid" in text(Client().get(link, follow=True))


def test_a_link_does_not_get_around_the_second_factor(with_mail, ingrid):
    from .people import set_up_app

    set_up_app(signed_in("ingrid"))
    ingrid.email = "ingrid@example.com"
    ingrid.save()
    asked("ingrid@example.com")
    client = Client()
    form = client.get(link_in_mail())
    client.post(form["Location"], {"password1": NEW, "password2": NEW})
    attempt(client, "ingrid", NEW)
    assert not is_signed_in(client)


def test_nobody_is_flooded_with_mail(new_day, with_mail, alice):
    alice.email = "alice@example.com"
    alice.save()
    pages = []
    for _ in range(7):
        pages.append(text(asked("alice@example.com")))
        rate_limits.forget()  # as another process
    refused = [page for page in pages if "Mail was asked for this address too often. Try again in" in page]
    assert len(refused) == 2
    until("the mails are sent", lambda: len(mail.outbox) == 5)
    for _ in range(5):
        asked("nobody@example.com")
    assert "too often" in text(asked("Nobody@example.com")), "the answer tells who has an account"


def test_without_a_mail_server_the_page_says_so(settings, alice):
    settings.HAS_MAIL = False
    for response in (Client().get("/accounts/password/reset/"), asked("alice@example.com")):
        assert "This server sends no mail. Ask an administrator" in text(response)
    assert mail.outbox == []
