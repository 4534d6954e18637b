"""`manage.py export_person` and `manage.py erase_person`."""

import json
import stat

import pytest
from django.contrib.auth import get_user_model
from knox.models import AuthToken

from changes.choices import Role
from changes.models import Comment, Preferences, SecurityEvent
from changes.security_log import chain
from tests.commands import manage
from tests.factories import ChangeFactory, PartnerUserFactory, UserFactory
from tests.pages import text, web
from tests.security.people import signed_in

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
    digest = AuthToken.objects.get().digest
    assert not [secret for secret in (erika.password, erika.token, digest) if secret in written]
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
