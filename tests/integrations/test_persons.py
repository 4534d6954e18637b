"""`manage.py export_person` and `manage.py erase_person`."""

import json
import re
import stat

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from knox.models import AuthToken

from changes.choices import Role
from changes.models import Comment, Preferences, SecurityEvent
from changes.security_log import chain
from tests.commands import manage
from tests.factories import ChangeFactory, PartnerUserFactory, UserFactory
from tests.pages import text, web
from tests.security.people import LOGIN, signed_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def erika(transactional_db):
    erika = UserFactory(
        username="erika", first_name="Erika", last_name="Musterfrau", email="erika@desk.example", roles=[Role.AGENT]
    )
    Preferences.objects.create(user=erika, language="de")
    change = ChangeFactory(requested_by=erika, title="Erika asked for it")
    Comment(change=change, author=erika, body="Since ten.").save()
    erika.token = AuthToken.objects.create(user=erika)[1]
    return erika


def test_an_export_has_all_that_names_a_person_and_no_secret(erika, tmp_path):
    signed_in("erika")
    file = tmp_path / "erika.json"
    done = manage("export_person", "erika", str(file))
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    data = json.loads(file.read_text())
    assert data["account"]["email"] == "erika@desk.example"
    assert data["roles"] == [Role.AGENT.value]
    assert [row["body"] for row in data["changes.comment.author"]] == ["Since ten."]
    assert [row["title"] for row in data["changes.change.requested_by"]] == ["Erika asked for it"]
    assert data["usersessions.usersession.user"][0]["ip"]
    assert len(data["knox.authtoken.user"]) == 1
    assert "signed_in" in {event["kind"] for event in data["security_events"]}
    written = file.read_text()
    sessions = UserSession.objects.values_list("session_key", flat=True)
    assert len(sessions) == 1
    secrets = (erika.password, erika.token, AuthToken.objects.get().digest, *sessions)
    assert not [secret for secret in secrets if secret in written]
    again = manage("export_person", "erika", str(file))
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert "There is no user named nobody" in manage("export_person", "nobody", str(tmp_path / "x")).stderr


def test_an_erased_person_is_named_nowhere_but_in_what_cannot_be_erased(erika, alice, api):
    browser = signed_in("erika")
    assert browser.get("/changes/").status_code == 200
    comment = Comment.objects.get(author=erika)
    assert manage("erase_person", "erika").returncode == 1, "it asks"

    done = manage("erase_person", "erika", "--yes")

    assert done.returncode == 0, done.stderr
    assert f"erika is erased-{erika.pk} from now on." in done.stdout
    assert "entries of the security log" in done.stdout
    user = get_user_model().objects.get(pk=erika.pk)
    values = (user.username, user.first_name, user.last_name, user.email, user.is_active, user.is_staff)
    assert values == (f"erased-{erika.pk}", "", "", "", False, False)
    assert not user.groups.exists()
    assert not Preferences.objects.filter(user=user).exists()
    assert not AuthToken.objects.filter(user=user).exists()
    assert browser.get("/changes/").status_code == 302, "signed out"
    page = text(web(alice).get(f"/changes/{comment.change.number}/"))
    assert f"erased-{erika.pk}" in page
    assert "Since ten." in page
    assert "Musterfrau" not in page
    chain.seal()
    assert SecurityEvent.objects.get(kind="person_erased").object_text == f"erased-{erika.pk}"
    assert manage("verify_audit").returncode == 0


def tables_with(text):
    """The tables that have it somewhere, in whatever column."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        found = set()
        for table in tables:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            if any(text in str(row).lower() for row in cursor.fetchall()):
                found.add(table)
    return found


def test_the_name_is_in_no_table_but_the_security_log(acme, ingrid):
    person = UserFactory(username="zzerika", email="zz@desk.example", roles=[Role.INTEGRATION_ADMINISTRATOR])
    EmailAddress.objects.create(user=person, email="zz.other@desk.example", verified=True)
    signed_in("zzerika")
    for name in ("ZZErika", "zz@desk.example", "zz.Other@desk.example"):
        Client().post(LOGIN, {"username": name, "password": "wrong"})
    web(person).post(f"/exchange/status/{acme.system_id}/open/", {"reason": "too slow"})
    with_a_token = AuthToken.objects.create(user=person)[0]
    LogEntry.objects.log_actions(ingrid.pk, [with_a_token], CHANGE, "Revoked.", single_object=True)
    assert "integrations_deliverycontrol" in tables_with("zzerika") and "axes_accessattempt" in tables_with("zz")

    done = manage("erase_person", "zzerika", "--yes")

    assert done.returncode == 0, done.stderr
    chain.seal()
    left = tables_with("zzerika") | tables_with("zz@desk") | tables_with("zz.other")
    assert left == {"changes_securityevent"}
    told = int(re.search(r"(\d+) entries of the security log", done.stdout)[1])
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM changes_securityevent")
        assert told == len([row for row in cursor.fetchall() if re.search("zzerika", str(row), re.IGNORECASE)])


def test_accounts_that_are_needed_are_not_erased(transactional_db, acme):
    UserFactory(username="root", is_superuser=True, is_staff=True)
    PartnerUserFactory(username="delta-integration")
    for name, why in (
        ("root", "is the last superuser"),
        ("delta-integration", "is the account of a partner"),
        (acme.authorized_user.username, "is the account of a partner"),
        ("nobody", "There is no user named nobody"),
    ):
        done = manage("erase_person", name, "--yes")
        assert (done.returncode, why in done.stderr) == (1, True), done.stderr
    UserFactory(username="other", is_superuser=True, is_staff=True)
    assert manage("erase_person", "root", "--yes").returncode == 0
