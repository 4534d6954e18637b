"""The second factor: who must have one, and what somebody tries who knows the password or has seen a code."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from changes.choices import Role
from tests.pages import text
from tests.rows import each_row

from .people import LOGIN, SECOND_STEP, SECURITY, attempt, code_of, give_code, is_signed_in, set_up_app, signed_in

DEFAULT = frozenset({Role.INTEGRATION_ADMINISTRATOR.value, "superuser"})
PAGES = ["/", "/changes/", "/exchange/", "/exchange/status/", "/preferences/", "/admin/", "/admin/knox/authtoken/add/"]


@pytest.fixture
def required(settings):
    settings.REQUIRE_SECOND_FACTOR_FOR = DEFAULT


@pytest.fixture
def phone(ingrid):
    """The secret in ingrid's authenticator app, and her recovery codes."""
    return set_up_app(signed_in("ingrid"))


def half_signed_in(name="ingrid", **headers):
    """A browser in which the right password was given, and nothing else."""
    client = Client()
    assert attempt(client, name, **headers)["Location"] == SECOND_STEP
    return client


# --- Who must have one ---


@pytest.mark.any_database
@each_row("path", PAGES)
@each_row("name", ["ingrid", "root"])
def test_who_must_have_one_and_has_none_reaches_nothing_but_the_page_to_set_it_up(required, ingrid, root, name, path):
    client = signed_in(name)
    for response in (client.get(path), client.post(path)):
        assert response["Location"] == SECURITY
    assert client.get(path, headers={"HX-Request": "true"}).status_code == 403
    assert "Your role needs a second factor." in text(client.get(SECURITY))


@pytest.mark.any_database
@each_row("name", ["alice", "carol", "audrey"])
def test_others_are_not_asked(required, alice, carol, audrey, name):
    client = signed_in(name)
    assert client.get("/").status_code == 200
    assert "Your role needs" not in text(client.get(SECURITY))


@pytest.mark.any_database
def test_a_role_that_is_given_later_asks_on_the_next_page(required, alice, ingrid):
    client = signed_in("alice")
    assert client.get("/").status_code == 200
    alice.groups.set(ingrid.groups.all())
    assert client.get("/")["Location"] == SECURITY


@pytest.mark.any_database
def test_the_api_is_called_by_token_and_asks_for_none(required, ingrid, api):
    assert api(ingrid).get("/api/v1/changes/").status_code == 200


@pytest.mark.any_database
def test_after_setting_it_up_all_pages_are_open_and_a_sign_in_takes_two_steps(required, ingrid):
    client = signed_in("ingrid")
    secret, codes = set_up_app(client)
    assert len({*codes}) == 10
    assert client.get("/exchange/").status_code == 200
    again = half_signed_in()
    assert not is_signed_in(again)
    assert again.get("/exchange/")["Location"].startswith(LOGIN)
    assert give_code(again, code_of(secret))["Location"] == "/"
    assert again.get("/exchange/").status_code == 200


@pytest.mark.any_database
def test_recovery_codes_are_shown_once(ingrid):
    client = signed_in("ingrid")
    _, codes = set_up_app(client)
    again = client.get("/accounts/security/recovery-codes/").content.decode()
    assert not any(code in again for code in codes)
    assert client.get("/accounts/security/recovery-codes/download/").status_code == 403


@pytest.mark.any_database
def test_the_last_one_is_not_removed_while_the_role_needs_it(required, ingrid, phone):
    client = half_signed_in()
    give_code(client, code_of(phone[0]))
    page = client.post("/accounts/security/totp/deactivate/")
    assert "Your role needs a second factor: add another one" in text(page)
    assert Authenticator.objects.filter(type="totp").exists()


@pytest.mark.any_database
def test_who_does_not_need_it_may_remove_it(alice):
    client = signed_in("alice")
    set_up_app(client)
    client.post("/accounts/security/totp/deactivate/")
    assert not Authenticator.objects.exists()


# --- What an attacker tries ---


def test_a_code_is_accepted_once(phone):
    secret, _ = phone
    code = code_of(secret)
    assert give_code(half_signed_in(), code)["Location"] == "/"
    cache.clear()  # as in another process, which shares nothing but the database
    thief = half_signed_in()
    assert "This is not right." in text(give_code(thief, code))
    for written in (f"{code[:3]} {code[3:]}", f"{code[:3]}-{code[3:]}", f" {code}\t"):
        assert "This is not right." in text(give_code(thief, written))
    assert not is_signed_in(thief)


def test_a_code_with_which_somebody_confirmed_is_used_up_too(settings, phone):
    secret, _ = phone
    client = half_signed_in()
    now = time.time()
    give_code(client, code_of(secret, now))
    client.post("/accounts/security/reauthenticate/", {"code": code_of(secret, now + 30)})
    cache.clear()
    assert "This is not right." in text(give_code(half_signed_in(), code_of(secret, now + 30)))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_send_the_same_code_at_once_one_gets_in(settings, phone):
    # Without a cache only the database can tell that the code was used.
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    code = code_of(phone[0])
    clients = [half_signed_in() for _ in range(4)]
    together = threading.Barrier(len(clients))

    def send(client):
        together.wait(10)
        try:
            give_code(client, code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(is_signed_in(client) for client in clients) == 1


@pytest.mark.any_database
@each_row("minutes, accepted", [(-2, False), (0, True), (2, False)])
def test_an_old_or_a_future_code_is_not_accepted(phone, minutes, accepted):
    client = half_signed_in()
    give_code(client, code_of(phone[0], time.time() + minutes * 60))
    assert is_signed_in(client) == accepted


def test_a_recovery_code_works_once(phone):
    _, codes = phone
    assert give_code(half_signed_in(), codes[0])["Location"] == "/"
    thief = half_signed_in()
    assert give_code(thief, codes[0]).status_code == 200
    assert not is_signed_in(thief)
    assert give_code(thief, codes[1])["Location"] == "/"


def test_guessing_codes_locks_the_account_and_the_right_password_in_between_does_not_help(phone):
    wrong = "000000" if code_of(phone[0]) != "000000" else "111111"
    for number in range(10):
        response = give_code(half_signed_in(), wrong)
        assert response.status_code == (429 if number == 9 else 200)
    assert "Locked until" in text(response)
    with time_machine.travel(timezone.now() + timedelta(seconds=61), tick=False):
        waiting = half_signed_in()
        assert give_code(waiting, wrong)["Retry-After"] == "120"
        assert give_code(waiting, code_of(phone[0])).status_code == 429
        assert not is_signed_in(waiting)


@pytest.mark.any_database
def test_wrong_codes_while_confirming_count_as_well(phone):
    client = half_signed_in()
    give_code(client, code_of(phone[0]))
    for _ in range(10):
        response = client.post("/accounts/security/reauthenticate/", {"code": "12"})
    assert response.status_code == 429
    assert is_signed_in(client)


@pytest.mark.any_database
@each_row("path", [SECOND_STEP, "/accounts/security/", "/accounts/security/totp/activate/", "/accounts/confirm/"])
def test_without_the_password_there_is_no_second_step(phone, path):
    client = Client()
    assert client.get(path)["Location"].startswith(LOGIN)
    assert client.post(path, {"code": code_of(phone[0])})["Location"].startswith(LOGIN)
    assert not is_signed_in(client)


@pytest.mark.any_database
@each_row(
    "path", ["/accounts/security/", "/accounts/security/totp/activate/", "/accounts/sessions/", "/accounts/password/"]
)
def test_the_password_alone_does_not_reach_the_pages_that_would_set_up_another_factor(phone, path):
    assert half_signed_in().get(path)["Location"].startswith(LOGIN)


@pytest.mark.any_database
@each_row("credential", ["{}", "null", "[]", "nonsense", '{"id": "x"}', '{"id":"AA","rawId":"AA","type":"public-key"}'])
def test_a_forged_security_key_is_refused_and_counts(phone, credential):
    client = half_signed_in()
    answers = [client.post(SECOND_STEP, {"credential": credential}).status_code for _ in range(10)]
    # What is no object at all is refused before it counts.
    assert answers in ([200] * 9 + [429], [200] * 10)
    assert not is_signed_in(client)


@pytest.mark.any_database
@each_row("credential", ["{}", "[]", "nonsense", '{"id": "x"}', '{"id":"AA","rawId":"AA","response":{},"type":"x"}'])
def test_a_forged_new_key_is_refused(alice, credential):
    client = signed_in("alice")
    address = f"{SECURITY}webauthn/add/"
    client.get(address)
    assert client.post(address, {"credential": credential, "name": "x"}).status_code == 200
    assert not Authenticator.objects.exists()


@pytest.mark.any_database
def test_a_session_changes_its_key_at_the_second_step(phone):
    client = half_signed_in()
    before = client.cookies["sessionid"].value
    give_code(client, code_of(phone[0]))
    assert client.cookies["sessionid"].value != before
    thief = Client()
    thief.cookies["sessionid"] = before
    assert not is_signed_in(thief)


@pytest.mark.any_database
def test_half_a_sign_in_ends_after_a_quarter_of_an_hour(phone):
    client = half_signed_in()
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        assert give_code(client, code_of(phone[0]))["Location"].startswith(LOGIN)


def test_the_secret_is_not_readable_in_the_database(phone):
    secret, codes = phone
    stored = str([*Authenticator.objects.values_list("data", flat=True)])
    assert secret not in stored
    assert not any(code in stored for code in codes)


@pytest.mark.any_database
def test_a_new_key_is_brought_in_without_losing_a_second_factor(settings, phone):
    secret, codes = phone
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEYS]
    call_command("rotate_secrets")
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    settings.SECRET_KEY = "the former key reads nothing any more"
    client = half_signed_in()
    give_code(client, code_of(secret))
    assert is_signed_in(client)
    assert give_code(half_signed_in(), codes[0])["Location"] == "/"


@pytest.mark.any_database
def test_without_its_key_a_second_factor_lets_nobody_in_and_says_so(settings, phone):
    settings.SECRET_KEY, settings.FIELD_ENCRYPTION_KEYS = "another key", []
    client = half_signed_in()
    for code in (code_of(phone[0]), code_of(""), phone[1][0]):
        assert "cannot be read any more. Ask an administrator" in text(give_code(client, code))
    assert not is_signed_in(client)


# --- When it is lost ---


@pytest.mark.any_database
def test_an_administrator_removes_it_others_see_that_and_the_sessions_end(phone, ingrid, root):
    lost = half_signed_in()
    give_code(lost, code_of(phone[0]))
    client = signed_in("root")
    chosen = {"action": "take_away_second_factor", "_selected_action": [str(ingrid.pk)]}
    page = client.post("/admin/auth/user/", chosen, follow=True)
    assert "The second factor of ingrid is removed. Their sessions are ended." in text(page)
    assert "Second factor removed" in text(client.get(f"/admin/auth/user/{ingrid.pk}/history/"))
    assert not is_signed_in(lost)
    assert attempt(Client(), "ingrid")["Location"] == "/"


@pytest.mark.any_database
def test_a_user_administrator_without_the_right_does_not_remove_it(phone, ingrid, audrey):
    chosen = {"action": "take_away_second_factor", "_selected_action": [str(ingrid.pk)]}
    signed_in("audrey").post("/admin/auth/user/", chosen)
    assert Authenticator.objects.exists()


@pytest.mark.any_database
def test_a_command_removes_it(phone, capsys):
    call_command("remove_second_factor", "ingrid")
    assert "ingrid" in capsys.readouterr().out
    assert not Authenticator.objects.exists()
    with pytest.raises(CommandError, match="no second factor"):
        call_command("remove_second_factor", "ingrid")
    with pytest.raises(CommandError, match="no user named nobody"):
        call_command("remove_second_factor", "nobody")
