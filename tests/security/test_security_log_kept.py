"""What the security log keeps when transactions are rolled back or meet, and in a flood; and its mail."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from smtplib import SMTPServerDisconnected
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from changes.actor import acting
from changes.models import PendingEvent, Preferences, SecurityEvent, SecurityMail
from changes.security_log import chain, floods, mailing, recording
from changes.security_log.recording import Subject, record, unrecorded
from changes.security_log.verifying import Walk
from integrations.models import IncomingOperation
from integrations.tasks import tend_security_log
from tests.factories import SECRET, ExternalGroupFactory, ExternalSystemFactory, SupportGroupFactory, UserFactory
from tests.pages import web
from tests.threads import at_once

from .people import attempt, set_up_app, signed_in
from .security_log import events, last, told

BOB = Subject("auth.user", "7", "bob")


# --- Transactions ---


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_not_told_and_what_was_committed_is_told_at_once():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        UserFactory(username="dora")
        raise ZeroDivisionError
    with transaction.atomic():
        UserFactory(username="emil")
        assert SecurityEvent.objects.count() == 0  # nobody waits for this transaction
    assert [event.object_text for event in SecurityEvent.objects.all()] == ["emil"]
    assert not PendingEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_refusal_is_told_although_the_operation_was_rolled_back(partner_api, acme, beta):
    before = last()
    body = {"system_id": "BETA", "operation": "Create", "properties": {"title": "x"}}
    response = partner_api(acme).post("/api/v1/operations/", body, format="json")
    assert response.status_code == 403
    assert told(before)[-1] == "acme-integration was refused: POST /api/v1/operations/."
    assert IncomingOperation.objects.get().status == "Failed"


@pytest.mark.django_db(transaction=True)
def test_events_of_a_process_that_died_after_its_commit_are_appended_by_the_sweep(monkeypatch):
    monkeypatch.setattr(recording, "seal_after_commit", lambda: None)
    record("role_given", BOB, {"role": "Auditor"})
    assert SecurityEvent.objects.count() == 0
    tend_security_log()
    assert told() == ["A command or a worker gave the role Auditor to bob."]


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_make_one_chain():
    def write(number: int) -> None:
        for step in range(10):
            with transaction.atomic():
                record("role_given", Subject("auth.user", "1", f"{number}.{step}"), {"role": "Auditor"})

    at_once(*(partial(write, number) for number in range(6)))
    chain.seal()
    walk = Walk()
    assert list(walk.faults()) == []
    assert walk.count == 60
    assert len({*SecurityEvent.objects.values_list("object_text", flat=True)}) == 60


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_goes_on_after_an_event_holds_up_nobody():
    """The chain's lock is not held while a transaction waits for anything else."""
    done = threading.Event()

    def other() -> None:
        record("role_given", BOB, {"role": "Agent"})
        connection.close()
        done.set()

    # SQLite has one writing transaction at a time, whatever it writes.
    is_shared = connection.vendor == "postgresql"
    with transaction.atomic():
        record("role_given", BOB, {"role": "Auditor"})
        thread = threading.Thread(target=other)
        thread.start()
        assert done.wait(10 if is_shared else 0.2) == is_shared
    thread.join()
    roles = [event.details["role"] for event in SecurityEvent.objects.all()]
    assert roles == (["Agent", "Auditor"] if is_shared else ["Auditor", "Agent"])


def test_nothing_is_told_of_what_follows_by_itself(db):
    before = last()
    with unrecorded():
        record("role_given", BOB, {"role": "Auditor"})
    assert told(before) == []
    with pytest.raises(KeyError):
        record("no_such_kind")


# --- Floods ---


def test_a_repeated_refusal_is_counted_within_a_minute(alice):
    client = web(alice)
    with time_machine.travel(timezone.now().replace(second=1), tick=False) as clock:
        before = last()
        for _ in range(25):
            client.get("/admin/auth/user/")
        once = "alice was refused: GET /admin/auth/user/."
        assert told(before) == [once, f"{once} (10 times within a minute)"]
        clock.shift(60)
        client.get("/admin/auth/user/")
        assert told(before)[2:] == [once]


def test_one_person_and_all_strangers_have_a_bound_and_more_is_told_once(alice, db):
    with time_machine.travel(timezone.now().replace(second=1), tick=False):
        client, before = web(alice), last()
        for number in range(floods.OF_ONE.most + 10):
            client.get(f"/admin/auth/user/{number}/change/")
        known = told(before)
        assert len(known) == floods.OF_ONE.most + 1
        assert known[-1] == "More was refused within a minute than is listed one by one."
        for number in range(floods.OF_ALL["stranger"].most + 10):
            address = f"198.51.100.{number}"
            stranger = Client(REMOTE_ADDR=address, headers={"Authorization": f"Bearer {number}"})
            assert stranger.get("/api/v1/changes/").status_code == 401
        strangers = told(before)[len(known) :]
        # A budget of their own: they cannot hide what people do.
        assert len(strangers) == floods.OF_ALL["stranger"].most + 1
        attempt(Client(), "alice", "wrong", REMOTE_ADDR="203.0.113.7")
        assert told(before)[-1] == "Refused sign-in for alice from 203.0.113.7."


@pytest.mark.any_database
def test_ten_thousand_wrong_passwords_make_a_bounded_number_of_entries(alice, monkeypatch):
    """The lock lets ten through. What comes meanwhile is counted."""
    with time_machine.travel(timezone.now().replace(second=1), tick=False):
        before = last()
        for _ in range(12):
            attempt(Client(), "alice", "wrong", REMOTE_ADDR="203.0.113.7")
        for _ in range(10_000 - 12):
            recording.refuse("locked", Subject.of(alice))
        assert len(events(before)) <= 20


# --- Secrets ---


@pytest.mark.any_database
def test_no_secret_of_any_kind_is_in_the_log(alice, ingrid, acme, api, settings):
    settings.REQUIRE_SECOND_FACTOR_FOR = frozenset()
    secret, codes = set_up_app(signed_in("alice"))
    _, token = AuthToken.objects.create(acme.authorized_user)
    acme.signing_secret, acme.previous_signing_secret = "whsec_" + "QUJD" * 10, SECRET
    acme.endpoint_url = "https://acme.example/in?key=endpoint-key"
    acme.save()
    attempt(Client(), "a-password-as-a-name", "a-wrong-password")
    Client(headers={"Authorization": "Bearer a-wrong-token"}).get("/api/v1/changes/?q=in-the-query")
    web(alice).get("/admin/auth/user/?q=in-the-query")
    AuthToken.objects.all().delete()
    stored = AuthToken.objects.create(alice)
    chain.seal()
    kept = "\n".join(str(values) for values in SecurityEvent.objects.values())
    assert "changed the account" not in kept and len(kept) > 1000
    hidden = [secret, *codes, token, stored[1], stored[0].digest, alice.password, SECRET, acme.signing_secret]
    hidden += ["endpoint-key", "a-password-as-a-name", "a-wrong-password", "a-wrong-token", "in-the-query"]
    assert [text for text in hidden if text in kept] == []


# --- Mail ---


@pytest.fixture
def administrators(db, settings) -> Any:
    settings.HAS_MAIL = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.BASE_URL = "https://desk.example.com"
    ingrid = UserFactory(username="ingrid", email="ingrid@example.com", roles=["Integration administrator"])
    root = UserFactory(username="root", email="root@example.com", is_superuser=True, is_staff=True)
    Preferences.objects.create(user=root, language="de", time_zone="Europe/Berlin")
    UserFactory(username="gone", email="gone@example.com", is_superuser=True, is_active=False)
    UserFactory(username="silent", roles=["Integration administrator"])
    UserFactory(username="alice", email="alice@example.com", roles=["Service desk agent"])
    chain.seal()
    SecurityMail.objects.all().delete()
    return ingrid, root


def sent() -> list[tuple[str, str]]:
    """To whom, and what about."""
    tend_security_log()
    return sorted((message.to[0], message.subject) for message in mail.outbox)


@pytest.mark.any_database
def test_new_rights_are_mailed_to_the_other_administrators_in_their_language(administrators):
    ingrid, _ = administrators
    with acting(ingrid):
        system = ExternalSystemFactory(system_id="GAMMA")
        ExternalGroupFactory(group=SupportGroupFactory(name="Storage"), system=system)
        token, _ = AuthToken.objects.create(system.authorized_user)
    assert mail.outbox == []  # nobody waits for the mail server
    name = f"{token.token_key[:8]}…"
    subjects = [subject for to, subject in sent() if to == "root@example.com"]
    assert len(subjects) == len(mail.outbox) == 3
    assert all(" hat " in subject for subject in subjects)  # in German
    assert any("gamma-integration" in subject and "GAMMA" in subject for subject in subjects)
    assert any("Storage" in subject for subject in subjects)
    assert any(name in subject for subject in subjects)
    body = mail.outbox[0].body
    assert "https://desk.example.com/security-log/" in body
    assert "CE" in body  # the time zone of the reader
    tend_security_log()
    assert len(mail.outbox) == 3


@pytest.mark.any_database
def test_what_the_system_does_is_mailed_to_all_of_them(administrators):
    AuthToken.objects.create(UserFactory(username="bob"))
    assert [to for to, _ in sent()] == ["ingrid@example.com", "root@example.com"]
    assert "made the API token" in mail.outbox[0].subject + mail.outbox[1].subject


@pytest.mark.any_database
def test_a_mail_server_that_is_away_gets_the_mail_later(administrators, monkeypatch):
    AuthToken.objects.create(UserFactory(username="bob"))

    def fails(*args: object) -> None:
        raise SMTPServerDisconnected("away")

    with monkeypatch.context() as patched:
        patched.setattr(mailing, "send_mail", fails)
        assert sent() == []
    assert SecurityMail.objects.count() == 2
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert len(sent()) == 2
    assert not SecurityMail.objects.exists()


@pytest.mark.any_database
def test_without_a_mail_server_nothing_is_kept_to_be_sent(administrators, settings):
    settings.HAS_MAIL = False
    AuthToken.objects.create(UserFactory(username="bob"))
    assert sent() == []
    assert not SecurityMail.objects.exists()
