"""What each role may in the administration, beyond what security/test_access.py tries at every address."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.models import User as UserModel
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from knox.models import AuthToken

from changes.choices import Role
from changes.models import Change, Comment
from integrations.models import DeliveryAttempt, ExternalReference, ExternalSystem, IncomingOperation, OutgoingOperation

from .factories import ChangeFactory, ExternalGroupFactory, ExternalSystemFactory, UserFactory
from .html_forms import read_form
from .pages import text, web
from .rows import each_row
from .security.access_matrix import ADMIN

PEOPLE = {
    "alice": Role.AGENT,
    "carol": Role.CHANGE_MANAGER,
    "ingrid": Role.INTEGRATION_ADMINISTRATOR,
    "audrey": Role.AUDITOR,
}
ALL = set(PEOPLE) | {"root"}
INTEGRATORS = {"ingrid", "root"}
NAMES = dict(zip(PEOPLE, ("agent", "manager", "integrator", "auditor"), strict=True)) | {"root": "superuser"}


def sees(who, kind):
    return NAMES[who] in ADMIN[kind][0].who


@pytest.fixture
def records(db):
    """One record for each list of the administration, and a user for each role."""
    acme = ExternalSystemFactory(system_id="ACME")
    external = ExternalGroupFactory(group__name="ACME Networks", system=acme)
    for name, role in PEOPLE.items():
        UserFactory(username=name, roles=[role])
    UserFactory(username="root", is_superuser=True, is_staff=True)
    change = ChangeFactory(owning_group=external.group)
    Comment(change=change, author=UserModel.objects.get(username="alice"), body="Hello").save()
    operation = change.outgoing_operations.first()
    DeliveryAttempt(operation=operation, claim=1, started_at=timezone.now(), duration=0.1, http_status=503).save()
    reference = ExternalReference(change=change, system=acme, external_id="C-1")
    reference.save()
    came = IncomingOperation(
        system=acme, user=acme.authorized_user, operation="Update", status="Applied", http_status=200, payload={}
    )
    came.save()
    token, _ = AuthToken.objects.create(acme.authorized_user)
    return {
        "changes/change": change,
        "changes/supportgroup": external.group,
        "integrations/externalsystem": acme,
        "integrations/externalreference": reference,
        "integrations/exchange": change.exchanges.get(),
        "integrations/outgoingoperation": operation,
        "integrations/incomingoperation": came,
        "auth/user": acme.authorized_user,
        "auth/group": Group.objects.get(name=Role.AUDITOR.value),
        "knox/authtoken": token,
    }


@pytest.fixture
def client_of(records):
    return lambda name: web(UserModel.objects.get(username=name))


@each_row("who", sorted(ALL))
def test_the_index_names_the_lists_that_somebody_may_see(client_of, who):
    page = client_of(who).get("/admin/").content.decode()
    named = {kind for kind in ADMIN if f'href="/admin/{kind}/"' in page}
    assert named == {kind for kind in ADMIN if sees(who, kind)}


@pytest.mark.parametrize("who", sorted(ALL))
def test_enabling_a_system_is_for_integration_administrators(client_of, records, who):
    acme = records["integrations/externalsystem"]
    ExternalSystem.objects.filter(pk=acme.pk).update(enabled=False)
    address = f"/admin/integrations/externalsystem/{acme.pk}/start/"
    client = client_of(who)
    allowed = who in INTEGRATORS
    assert client.get(address).status_code == (200 if allowed else 403)
    assert client.post(address, {"decision": "send"}).status_code == (302 if allowed else 403)
    acme.refresh_from_db()
    assert acme.enabled == allowed


def test_without_the_permission_to_skip_enabling_offers_no_skipping(client_of, records):
    acme = records["integrations/externalsystem"]
    ExternalSystem.objects.filter(pk=acme.pk).update(enabled=False)
    role = Group.objects.get(name=Role.INTEGRATION_ADMINISTRATOR.value)
    role.permissions.remove(Permission.objects.get(codename="skip_outgoingoperation"))
    address = f"/admin/integrations/externalsystem/{acme.pk}/start/"
    client = client_of("ingrid")
    page = client.get(address)
    assert "Or skip them" not in text(page)
    moment = read_form(page, "shown_until")["fields"]["shown_until"]
    response = client.post(address, {"decision": "skip", "reason": "x", "shown_until": moment})
    assert "You may not skip operations" in text(response)
    acme.refresh_from_db()
    assert not acme.enabled
    assert not OutgoingOperation.objects.filter(status="Skipped").exists()


@pytest.mark.parametrize("who", sorted(PEOPLE))
@pytest.mark.parametrize("action", ["revoke", "delete_selected"])
def test_actions_are_for_integration_administrators_alone(client_of, records, who, action):
    offered = {
        kind: action in _actions(client_of(who), kind)
        for kind in ("integrations/outgoingoperation", "integrations/externalsystem", "knox/authtoken")
        if sees(who, kind)
    }
    expected = {
        "revoke": "knox/authtoken",
        "delete_selected": "integrations/externalsystem",
    }[action]
    assert {kind for kind, found in offered.items() if found} == ({expected} if who == "ingrid" else set())


def _actions(client, kind):
    form = client.get(f"/admin/{kind}/").context["action_form"]
    return {value for value, _ in form.fields["action"].choices} if form else set()


def test_an_auditor_finds_no_form_to_post(client_of, records):
    client = client_of("audrey")
    for kind, record in records.items():
        for address in (f"/admin/{kind}/", f"/admin/{kind}/{record.pk}/change/"):
            page = client.get(address).content.decode()
            assert 'name="_save"' not in page
            assert "_selected_action" not in page
            assert 'class="decisions"' not in page
            assert "addlink" not in page


def test_an_auditors_posts_change_nothing(client_of, records):
    client = client_of("audrey")
    change = records["changes/change"]
    agent = client_of("alice")
    form = read_form(agent.get(f"/admin/changes/change/{change.pk}/change/"), "title")
    data = {**form["fields"], "title": "Forged", "comments-0-body": "Forged"}
    assert client.post(f"/admin/changes/change/{change.pk}/change/", data).status_code == 403
    assert Change.objects.get().title == change.title
    assert [comment.body for comment in Comment.objects.all()] == ["Hello"]


def test_an_integration_administrator_cannot_give_herself_a_role(client_of, records):
    ingrid = UserModel.objects.get(username="ingrid")
    client = client_of("ingrid")
    manager = Group.objects.get(name=Role.CHANGE_MANAGER.value)
    address = f"/admin/auth/user/{ingrid.pk}/change/"
    assert client.post(address, {"username": "ingrid", "groups": [manager.pk], "is_superuser": "on"}).status_code == 403
    assert client.post(f"/admin/auth/user/{ingrid.pk}/password/", {}).status_code == 403
    assert client.post(f"/admin/auth/group/{manager.pk}/change/", {"name": "x"}).status_code == 403
    ingrid.refresh_from_db()
    assert [role.name for role in ingrid.groups.all()] == [Role.INTEGRATION_ADMINISTRATOR.value]
    assert not ingrid.is_superuser


def test_a_partners_user_is_given_no_role(acme):
    """With a role the user would be staff, and would see all changes."""
    role = Group.objects.get(name=Role.CHANGE_MANAGER.value)
    for give in (lambda: acme.authorized_user.groups.add(role), lambda: role.user_set.add(acme.authorized_user)):
        with pytest.raises(ValidationError, match="authorized user of ACME"), transaction.atomic():
            give()
    acme.authorized_user.refresh_from_db()
    assert (acme.authorized_user.is_staff, acme.authorized_user.groups.count()) == (False, 0)
