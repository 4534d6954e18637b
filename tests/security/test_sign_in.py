"""Signing in, attacked as an outsider would: guessing, finding out names, redirects, fixed sessions, busy servers."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.pages.sign_in import hashing
from tests.factories import PASSWORD, UserFactory
from tests.pages import text
from tests.rows import each_row

from .people import LOGIN, attempt, is_signed_in, signed_in

ELSEWHERE = {"REMOTE_ADDR": "203.0.113.7"}


def guess(times, name="alice", client=None, **headers):
    client = client or Client()
    for _ in range(times):
        response = attempt(client, name, "wrong", **headers)
    return response


# --- Guessing a password ---


@each_row("name", ["alice", "nobody"])
def test_an_account_is_locked_from_everywhere_and_the_page_says_until_when(alice, name):
    with time_machine.travel("2026-03-04 09:00:00+00:00", tick=False):
        assert guess(9, name).status_code == 200
        response = guess(1, name, **ELSEWHERE)
        assert response.status_code == 429
        assert response["Retry-After"] == "60"
        assert "Try again in a minute. Locked until 2026-03-04 09:02." in text(response)
        for address in ("127.0.0.1", "203.0.113.7", "2001:db8::1"):
            assert attempt(Client(), name, REMOTE_ADDR=address).status_code == 429


@pytest.mark.any_database
def test_a_wrong_password_is_told_in_the_language_of_the_page(alice):
    for language, said in (
        ("en", "Please enter a correct username and password."),
        ("de", "Bitte Benutzername und Passwort eingeben."),
    ):
        page = text(attempt(Client(headers={"Accept-Language": language}), "alice", "wrong"))
        assert said in page


def test_the_pause_grows_with_each_wrong_password_up_to_a_quarter_of_an_hour(alice):
    now = timezone.now()
    with time_machine.travel(now, tick=False) as clock:
        guess(9)
        for minutes in (1, 2, 4, 8, 15, 15, 15):
            assert guess(1)["Retry-After"] == str(minutes * 60)
            clock.shift(minutes * 60 - 1)
            assert attempt(Client(), "alice").status_code == 429
            clock.shift(1)
        assert attempt(Client(), "alice").status_code == 302
        # Who has signed in may mistype again.
        assert guess(9).status_code == 200


@pytest.mark.any_database
def test_a_try_while_it_is_locked_does_not_make_the_pause_longer(alice):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        guess(10)
        clock.shift(30)
        assert guess(5)["Retry-After"] == "30"


@pytest.mark.any_database
def test_who_is_signed_in_goes_on_while_somebody_locks_the_account(alice):
    client = signed_in("alice")
    guess(30, **ELSEWHERE)
    assert is_signed_in(client)


def test_an_address_is_locked_however_many_names_it_tries(alice):
    for number in range(49):
        assert guess(1, f"name{number}", **ELSEWHERE).status_code == 200
    assert guess(1, "another", **ELSEWHERE).status_code == 429
    assert attempt(Client(), "alice", **ELSEWHERE).status_code == 429
    assert attempt(Client(), "alice", REMOTE_ADDR="203.0.113.8").status_code == 302


def test_an_insider_who_signs_in_between_guesses_does_not_free_the_address(alice, carol):
    for number in range(49):
        guess(1, f"name{number}", **ELSEWHERE)
        if number % 10 == 9:
            signed_in("carol", **ELSEWHERE)
    assert guess(1, **ELSEWHERE).status_code == 429


@pytest.mark.any_database
def test_an_address_in_a_header_that_anybody_can_write_changes_nothing(alice):
    for number in range(10):
        response = guess(1, **ELSEWHERE, HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")
    assert response.status_code == 429
    assert {*AccessAttempt.objects.values_list("ip_address", flat=True)} == {ELSEWHERE["REMOTE_ADDR"]}


@pytest.mark.any_database
def test_a_server_behind_a_unix_socket_sees_no_address_and_counts_all_the_same(alice):
    signed_in("alice", REMOTE_ADDR="")
    assert guess(10, REMOTE_ADDR="").status_code == 429


@pytest.mark.any_database
def test_another_browser_makes_no_difference(alice):
    for number in range(10):
        response = guess(1, HTTP_USER_AGENT=f"Browser/{number}")
    assert response.status_code == 429


def test_wrong_passwords_are_forgotten_after_a_day(alice):
    guess(9)
    with time_machine.travel(timezone.now() + timedelta(hours=24, minutes=1)):
        assert guess(9).status_code == 200


def test_what_was_typed_is_not_kept(alice):
    attempt(Client(), "alice", "my password with a typo")
    assert "typo" not in str([*AccessAttempt.objects.values()])


def test_german_errors_of_the_password_page_are_as_formal_as_the_page(alice):
    client = signed_in("alice")
    for own, second, said in (
        ("wrong", "Another password 1", "Bitte geben Sie Ihr aktuelles Passwort ein."),
        (PASSWORD, "Another password 2", "Geben Sie zweimal dasselbe Passwort ein."),
    ):
        typed = {"oldpassword": own, "password1": "Another password 1", "password2": second}
        assert said in text(client.post("/accounts/password/", typed, headers={"Accept-Language": "de"}))


# --- Finding out who has an account ---


@pytest.mark.any_database
def test_the_answer_is_the_same_whether_or_not_the_account_exists(alice, acme):
    UserFactory(username="gone", is_active=False)
    User.objects.create_user("machine")
    answers = set()
    for name in ("alice", "gone", "machine", acme.authorized_user.username, "nobody"):
        response = attempt(Client(), name, "wrong")
        answers.add((response.status_code, text(response).replace(name, "")))
    assert len(answers) == 1


@pytest.mark.any_database
def test_as_many_passwords_are_hashed_for_a_name_without_an_account(alice, monkeypatch):
    made = []
    monkeypatch.setattr(
        "django.contrib.auth.hashers.MD5PasswordHasher.encode",
        lambda self, password, salt: made.append(1) or f"md5${salt}$0",
    )
    for name, expected in (("alice", 1), ("nobody", 2)):
        attempt(Client(), name, "wrong")
        assert len(made) == expected


# --- Being led elsewhere ---


@pytest.mark.any_database
@each_row(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "javascript:alert(1)",
        "http:///evil.example",
        "\t//x",
    ],
)
def test_signing_in_leads_to_no_other_host(alice, wanted):
    response = attempt(Client(), "alice", wanted=wanted)
    assert response["Location"] == "/"
    assert signed_in("alice").get(LOGIN, {"next": wanted})["Location"] == "/"
    page = Client().get(LOGIN, {"next": wanted}).content.decode()
    assert f'href="{wanted}' not in page


@pytest.mark.any_database
def test_a_session_that_somebody_fixed_before_is_not_signed_in(alice):
    victim = Client()
    victim.get("/changes/")
    planted = "a" * 32
    victim.cookies["sessionid"] = planted
    attempt(victim, "alice")
    assert is_signed_in(victim)
    assert victim.cookies["sessionid"].value != planted
    attacker = Client()
    attacker.cookies["sessionid"] = planted
    assert not is_signed_in(attacker)


@pytest.mark.any_database
def test_a_form_from_elsewhere_signs_nobody_in(alice):
    client = Client(enforce_csrf_checks=True)
    assert attempt(client, "alice").status_code == 403
    assert not is_signed_in(client)


# --- Accounts and passwords from before ---


@pytest.mark.any_database
def test_a_password_that_django_hashed_before_goes_on_working(db, settings):
    settings.PASSWORD_HASHERS = ["changes.pages.sign_in.hashing.FewAtOnce"]
    known = PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000)
    User.objects.create(username="old", password=known, is_superuser=True, is_staff=True)
    assert signed_in("old").get("/").status_code == 200
    assert User.objects.get().password.startswith("pbkdf2_sha256$1000000$")


def test_a_sign_in_works_behind_a_pool_of_connections_that_loses_cursors(alice):
    with CaptureQueriesContext(connection) as queries:
        signed_in("alice")
    assert queries.captured_queries
    assert [query["sql"] for query in queries if "CURSOR" in query["sql"]] == []


@pytest.mark.any_database
def test_there_is_no_sign_up(client):
    for address in ("/accounts/signup/", "/accounts/email/", "/accounts/login/code/", "/accounts/social/signup/"):
        assert client.get(address).status_code == 404


# --- A flood of passwords ---


@pytest.mark.any_database
@pytest.mark.django_db(transaction=True)
def test_two_passwords_are_hashed_at_a_time_and_a_flood_is_told_to_come_back(settings, alice, monkeypatch):
    settings.PASSWORD_HASHERS = ["changes.pages.sign_in.hashing.FewAtOnce"]
    running, most, lock = [], [], threading.Lock()
    release = threading.Event()

    def slowly(self, password, salt, iterations=None):
        with lock:
            running.append(1)
            most.append(len(running))
        release.wait(10)
        with lock:
            running.pop()
        return "pbkdf2_sha256$1$salt$hash"

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", slowly)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(in_thread("nobody"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    while len(answers) < 5 and time.monotonic() - started < 10:
        time.sleep(0.01)
    # Two are at work and one may wait; the others are answered at once, and a page that needs no password too.
    assert [status for status, _ in answers] == [503] * len(answers)
    assert len(answers) >= 5
    assert {again for _, again in answers} == {"2"}
    assert Client().get(LOGIN).status_code == 200
    release.set()
    for thread in threads:
        thread.join(10)
    assert max(most) == settings.PASSWORD_HASHES_AT_ONCE
    # None of them counts as a wrong password.
    assert sum(AccessAttempt.objects.values_list("failures_since_start", flat=True)) <= 3


def in_thread(name):
    try:
        response = attempt(Client(), name, "wrong")
        if response.status_code == 503:
            assert "Nothing was done." in text(response)
        return response.status_code, response.get("Retry-After")
    finally:
        connection.close()


@pytest.mark.any_database
def test_a_third_password_waits_for_its_turn(monkeypatch):
    monkeypatch.setattr(hashing._turns, "seconds", 5)
    order, busy = [], threading.Barrier(3)

    def hold():
        with hashing._turns:
            busy.wait(5)
            time.sleep(0.05)
            order.append("held")

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    busy.wait(5)
    with hashing._turns:
        order.append("third")
    for thread in threads:
        thread.join()
    assert order[0] == "held"
    assert len(order) == 3
