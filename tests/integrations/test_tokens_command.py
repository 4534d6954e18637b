"""`create_api_token` prints only the token to stdout, and notes to stderr."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from tests.factories import UserFactory


def create(*arguments):
    output, notes = StringIO(), StringIO()
    call_command("create_api_token", *arguments, stdout=output, stderr=notes)
    return output.getvalue(), notes.getvalue()


def test_it_prints_the_token_alone_and_the_notes_beside_it(alice):
    output, notes = create("alice")

    token = output.removesuffix("\n")
    assert token
    assert not set(token) & set(" \n")
    assert token not in notes
    row = AuthToken.objects.get()
    assert row.user == alice
    assert "acts with the permissions of alice" in notes
    assert f"/admin/knox/authtoken/, where it begins with {row.token_key}." in notes


def test_the_token_opens_the_api_and_is_stored_hashed(alice):
    token = create("alice")[0].strip()

    client = APIClient()
    assert client.get("/api/v1/changes/").status_code == 401
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert client.get("/api/v1/changes/").status_code == 200
    row = AuthToken.objects.get()
    assert token not in (row.digest, row.token_key)


def test_the_notes_name_the_partner_that_the_token_speaks_for(acme):
    assert "speaks for ACME" in create("acme-integration")[1]


def test_it_expires_after_the_days_that_are_given(alice):
    notes = create("alice", "--days", "30")[1]
    row = AuthToken.objects.get()
    assert abs(row.expiry - timezone.now() - timedelta(days=30)) < timedelta(minutes=5)
    assert f"It expires on {row.expiry:%Y-%m-%d at %H:%M} UTC." in notes


@pytest.mark.parametrize("days", ["0", "-1", "36501"])
def test_days_out_of_range_are_refused(alice, days):
    with pytest.raises(CommandError, match="give a number from 1 to 36500"):
        create("alice", f"--days={days}")
    assert not AuthToken.objects.exists()


def test_an_unknown_user_is_refused(db):
    with pytest.raises(CommandError, match=r"There is no user zoe\."):
        create("zoe")
    assert not AuthToken.objects.exists()


def test_an_inactive_user_is_refused(db):
    UserFactory(username="bob", is_active=False)
    with pytest.raises(CommandError, match="bob is not active"):
        create("bob")
    assert not AuthToken.objects.exists()
