"""How long API tokens live: the default, when they were last used, and how people are told that they end."""

from __future__ import annotations

import threading
from datetime import timedelta
from io import StringIO
from ipaddress import ip_network

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import AuthToken

from changes.models import Preferences
from integrations import tasks
from integrations.api import authentication
from integrations.models import TokenLife
from integrations.statements import token_with_user
from integrations.tokens.revoking import revoke_of
from tests.html_forms import errors, post_form
from tests.pages import text, web
from tests.processes import until
from tests.rows import each_row

from .people import answer_to

LIST = "/admin/knox/authtoken/"
DAY = timedelta(days=1)


# --- How long a token lives ---


@pytest.mark.any_database
def test_a_new_token_lives_for_a_year_or_as_the_setting_says(root, alice, settings):
    for days in (365, 30):
        settings.API_TOKEN_DAYS = days
        post_form(web(root), f"{LIST}add/", user=str(alice.pk))
        by_page = AuthToken.objects.latest("created")
        call_command("create_api_token", "alice", stdout=StringIO(), stderr=StringIO())
        by_command = AuthToken.objects.latest("created")
        for token in (by_page, by_command):
            assert abs(token.expiry - timezone.now() - days * DAY) < timedelta(minutes=5)


@pytest.mark.any_database
def test_no_end_is_chosen_explicitly(root, alice):
    page = post_form(web(root), f"{LIST}add/", user=str(alice.pk), expiry="")
    assert errors(page) == {"expiry": ["Give a time, or tick “No end”."]}
    assert not AuthToken.objects.exists()
    post_form(web(root), f"{LIST}add/", user=str(alice.pk), has_no_end="on")
    call_command("create_api_token", "alice", "--no-expiry", stdout=StringIO(), stderr=StringIO())
    assert [token.expiry for token in AuthToken.objects.all()] == [None, None]


def test_a_token_that_has_expired_is_listed_and_at_its_next_use_refused_and_removed(root, alice):
    token = AuthToken.objects.create(alice, expiry=DAY)[1]
    with time_machine.travel(timezone.now() + DAY + timedelta(seconds=1)):
        assert "Expired" in text(web(root).get(LIST))
        assert answer_to(token) == 401
        assert not AuthToken.objects.exists()
    assert not TokenLife.objects.exists()


# --- When and from where it was used ---


def test_a_use_is_noted_with_the_callers_address_and_not_at_each_call(alice, acme, settings):
    for user in (alice, acme.authorized_user):
        row, token = AuthToken.objects.create(user)
        noted = []
        for minutes, address in ((0, "203.0.113.1"), (4, "203.0.113.2"), (6, "203.0.113.3"), (9, "203.0.113.4")):
            with time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=False):
                assert answer_to(token, REMOTE_ADDR=address) == 200
                life = TokenLife.objects.get(token=row)
                noted.append((life.last_used_from, round((timezone.now() - life.last_used_at).total_seconds() / 60)))
        assert noted == [("203.0.113.1", 0), ("203.0.113.1", 4), ("203.0.113.3", 0), ("203.0.113.3", 3)]


@pytest.mark.any_database
def test_the_address_is_the_one_that_our_own_proxy_names(alice, settings):
    row, token = AuthToken.objects.create(alice)
    forged = {"HTTP_X_FORWARDED_FOR": "198.51.100.7", "REMOTE_ADDR": "203.0.113.1"}
    answer_to(token, **forged)
    assert TokenLife.objects.get().last_used_from == "203.0.113.1"
    TokenLife.objects.all().delete()
    settings.TRUSTED_PROXIES = [ip_network("203.0.113.1/32")]
    answer_to(token, **forged)
    assert TokenLife.objects.get(token=row).last_used_from == "198.51.100.7"


@pytest.mark.any_database
def test_a_call_costs_one_query_for_the_caller_as_ever(alice, acme):
    for user in (alice, acme.authorized_user):
        token = AuthToken.objects.create(user)[1]
        answer_to(token)
        with CaptureQueriesContext(connection) as queries:
            assert answer_to(token) == 200
        about = [each["sql"] for each in queries if "knox_authtoken" in each["sql"] or "tokenlife" in each["sql"]]
        assert len(about) == 1
        assert about[0].lstrip().startswith("SELECT")


@pytest.mark.any_database
@each_row("status", ["expired", "of an inactive account", "made up"])
def test_a_refused_call_is_no_use(alice, status):
    _row, token = AuthToken.objects.create(alice)
    if status == "expired":
        AuthToken.objects.update(expiry=timezone.now())
    elif status == "of an inactive account":
        User.objects.update(is_active=False)
    else:
        token = token[:-1] + ("0" if token[-1] != "0" else "1")
    assert answer_to(token) == 401
    assert not TokenLife.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_token_that_is_revoked_while_a_call_reads_it_is_refused_and_stays_revoked(alice, monkeypatch):
    row, token = AuthToken.objects.create(alice)

    def revoked_meanwhile(digest):
        found = token_with_user(digest)
        revoke_of(alice, "test")
        return found

    monkeypatch.setattr(authentication, "token_with_user", revoked_meanwhile)
    assert answer_to(token) == 401
    assert not AuthToken.objects.filter(pk=row.pk).exists()
    assert not TokenLife.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_first_use_does_not_keep_a_token_from_being_revoked(alice):
    row, token = AuthToken.objects.create(alice)
    answers = []

    def is_waiting():
        if connection.vendor != "postgresql":
            return True
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return cursor.fetchone()[0] > 0

    def call():
        answers.append(answer_to(token))
        connection.close()

    caller = threading.Thread(target=call)

    def begun(sender, instance, **kwargs):
        # The token is locked, and so the call waits; on SQLite for the whole transaction.
        caller.start()
        until("the call waits for the token", is_waiting)

    pre_delete.connect(begun, sender=AuthToken)
    try:
        assert revoke_of(alice, "test") == 1
    finally:
        pre_delete.disconnect(begun, sender=AuthToken)
    caller.join()
    assert answers == [401]
    assert not AuthToken.objects.filter(pk=row.pk).exists()


def test_the_list_sorts_and_filters_by_the_last_use(root, alice):
    ages = {"today": timedelta(), "in spring": 200 * DAY, "never": None}
    names = {}
    for name, age in ages.items():
        row, _token = AuthToken.objects.create(alice)
        names[row.pk] = name
        if age is not None:
            used = timezone.now() - age
            TokenLife.objects.create(token=row, last_used_at=used, last_used_from="203.0.113.9")
    client = web(root)

    def listed(**query):
        return [names[row.pk] for row in client.get(LIST, query).context["cl"].result_list]

    column = client.get(LIST).context["cl"].list_display.index("last_used")
    assert [name for name in listed(o=str(column)) if name != "never"] == ["in spring", "today"]
    assert listed(used="never") == ["never"]
    assert listed(used="long-ago") == ["in spring"]
    assert listed(used="lately") == ["today"]
    page = text(client.get(LIST))
    assert "203.0.113.9" in page
    assert "Never used" in page
    assert "203.0.113.9" in text(client.get(f"{LIST}{next(iter(names))}/change/"))


# --- People are told before it ends ---


@pytest.fixture
def addresses(settings, ingrid, alice, acme):
    settings.HAS_MAIL = True
    settings.BASE_URL = "https://desk.example.com"
    for user in (ingrid, alice, acme.authorized_user):
        user.email = f"{user.username}@example.com"
        user.save()


def told():
    """To whom the next sweep sends mail."""
    mail.outbox.clear()
    tasks.tend_tokens()
    return sorted(address for each in mail.outbox for address in each.to)


def made(user, days):
    return AuthToken.objects.create(user, expiry=days * DAY)[0]


@each_row(
    "days, before, expected",
    [
        (365, 15, False),
        (365, 13, True),
        (365, 1, True),
        (7, 6, False),  # it was made for a week, as its maker knows
        (7, 3, True),
    ],
)
def test_people_are_told_two_weeks_before_and_once(addresses, alice, days, before, expected):
    made(alice, days)
    with time_machine.travel(timezone.now() + (days - before) * DAY):
        assert told() == (["alice@example.com", "ingrid@example.com"] if expected else [])
        assert told() == []


@pytest.mark.any_database
def test_the_mail_says_which_token_and_does_not_tell_a_partner_who_administers(addresses, acme, ingrid):
    token = made(acme.authorized_user, 365)
    Preferences.objects.create(user=ingrid, language="de", time_zone="Europe/Berlin")
    with time_machine.travel(timezone.now() + 360 * DAY):
        assert told() == ["acme-integration@example.com", "ingrid@example.com"]
    (partner,) = [each for each in mail.outbox if each.to == ["acme-integration@example.com"]]
    (administrator,) = [each for each in mail.outbox if each.to == ["ingrid@example.com"]]
    for each in (partner, administrator):
        assert f"{token.token_key[:8]}…" in each.subject and "acme-integration" in each.subject
        assert "ACME" in each.body
        assert token.digest not in each.body
    assert "It has never been used." in partner.body
    assert "ingrid" not in partner.body and "/admin/" not in partner.body
    assert "https://desk.example.com/admin/knox/authtoken/" in administrator.body
    assert "läuft" in administrator.body


@each_row("why", ["no mail server", "no address", "the mail server refuses", "an inactive account"])
def test_who_could_not_be_told_is_told_later(addresses, settings, alice, ingrid, why):
    made(alice, 365)
    with time_machine.travel(timezone.now() + 360 * DAY):
        if why == "no mail server":
            settings.HAS_MAIL = False
            assert told() == []
            settings.HAS_MAIL = True
        elif why == "no address":
            User.objects.update(email="")
            assert told() == []
            User.objects.filter(username="ingrid").update(email="ingrid@example.com")
            assert told() == ["ingrid@example.com"]
            return
        elif why == "the mail server refuses":
            settings.EMAIL_BACKEND = "tests.security.people.NoMail"
            assert told() == []
            settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        else:
            User.objects.filter(username="alice").update(is_active=False)
            assert told() == []
            return
        assert told() == ["alice@example.com", "ingrid@example.com"]


def test_one_refused_address_does_not_send_the_others_twice(addresses, settings, alice):
    made(alice, 365)
    settings.EMAIL_BACKEND = "tests.security.people.RefusesAlice"
    with time_machine.travel(timezone.now() + 360 * DAY):
        assert told() == ["ingrid@example.com"]
        assert told() == []


@pytest.mark.any_database
@each_row(
    "left, said",
    [
        (timedelta(days=9, hours=1), "Expires in 9 days"),
        (timedelta(days=1, hours=1), "Expires in 1 day"),
        (timedelta(hours=2), "Expires in less than a day"),
        (timedelta(days=-2), "Expired"),
        (timedelta(days=15), None),
        (timedelta(days=-15), "Expired"),
    ],
)
def test_pages_say_it_too(root, acme, ingrid, left, said):
    for user in (acme.authorized_user, ingrid):
        AuthToken.objects.create(user, expiry=left)
    assert (said or "Valid") in text(web(root).get(LIST))
    status = text(web(ingrid).get("/exchange/status/"))
    shown = said is not None and left > timedelta(days=-14)
    assert (f"…: {said}" in status) == shown
    output = StringIO()
    call_command("exchange_status", stdout=output)
    assert (f"…: {said}" in output.getvalue()) == shown
    if said:
        assert said in text(web(ingrid).get("/accounts/security/"))
