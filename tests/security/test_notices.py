"""A person is told by mail when their password or a second factor changes: they notice if it was not they."""

from __future__ import annotations

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client

from tests.factories import PASSWORD
from tests.html_forms import post_form
from tests.processes import until

from .people import set_up_app, signed_in
from .test_sessions import with_mail  # noqa: F401 - a fixture

NEW = "another-long-secret"


@pytest.fixture
def client(with_mail, alice) -> Client:  # noqa: F811 - the fixture
    alice.email = "alice@example.com"
    alice.save()
    return signed_in("alice")


def new_password(client: Client) -> None:
    post_form(client, "/accounts/password/", oldpassword=PASSWORD, password1=NEW, password2=NEW)


def remove_app(client: Client) -> None:
    set_up_app(client)
    mail.outbox.clear()
    client.post("/accounts/security/totp/deactivate/")


def new_codes(client: Client) -> None:
    set_up_app(client)
    mail.outbox.clear()
    client.post("/accounts/security/recovery-codes/generate/")


def told(said: str) -> list[EmailMessage]:
    return [message for message in mail.outbox if said in message.body]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (new_password, "Your password has been changed."),
        (set_up_app, "Authenticator app activated."),
        (remove_app, "Authenticator app deactivated."),
        (new_codes, "A new set of Two-Factor Authentication recovery codes has been generated."),
    ],
)
def test_a_change_of_the_account_is_told_to_its_owner(client, change, said, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        change(client)
    until("the mail is sent", lambda: told(said), 5)  # by a thread: no answer waits for the mail server
    (message,) = told(said)
    assert message.to == ["alice@example.com"]
    for expected in ("Hello alice,", "tell an administrator", "127.0.0.1", "https://desk.example.com"):
        assert expected in message.body


def test_without_an_address_nobody_is_told_and_all_goes_on(with_mail, alice):  # noqa: F811 - the fixture
    new_password(signed_in("alice"))
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert mail.outbox == []
