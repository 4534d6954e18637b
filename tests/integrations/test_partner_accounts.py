"""Partners are kept apart from staff: their accounts hold no role, and their groups have no members."""

import re
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction

from changes.choices import Role
from changes.models import SupportGroup
from integrations.models import ExternalGroup, ExternalSystem, PartnerAccount
from tests.factories import (
    PASSWORD,
    ChangeFactory,
    ExternalGroupFactory,
    ExternalSystemFactory,
    PartnerUserFactory,
    SupportGroupFactory,
    UserFactory,
)
from tests.html_forms import errors, post_form, read_form
from tests.pages import text, web
from tests.rows import each_row

USERS = "/admin/auth/user/"
PASSWORDS = {"usable_password": "false", "password1": "", "password2": ""}


@pytest.fixture
def root(db):
    return UserFactory(username="root", is_superuser=True, is_staff=True)


@pytest.fixture
def load(db, tmp_path):
    def load(text):
        file, output = tmp_path / "exchange.yaml", StringIO()
        file.write_text(text)
        call_command("load_exchange", str(file), stdout=output)
        return output.getvalue().splitlines()

    return load


# --- Accounts ---


@each_row(("typed", "is_partner"), [({"is_partner_account": "on"}, True), ({}, False)])
def test_an_account_is_marked_when_it_is_made(root, ingrid, typed, is_partner):
    post_form(web(root), f"{USERS}add/", **{"username": "gamma-integration", **PASSWORDS, **typed})
    user = get_user_model().objects.get(username="gamma-integration")
    assert hasattr(user, "partner_account") == is_partner
    page = web(ingrid).get("/admin/integrations/externalsystem/add/")
    assert (f'value="{user.pk}"' in page.content.decode()) == is_partner
    # It cannot be marked, or unmarked, later.
    assert "is_partner_account" not in read_form(web(root).get(f"{USERS}{user.pk}/change/"), "username")["names"]


def give_in_the_admin(root, user):
    role = str(Group.objects.get(name=Role.AUDITOR.value).pk)
    response = post_form(web(root), f"{USERS}{user.pk}/change/", groups=[role])
    raise ValidationError(errors(response)["groups"])


def make_a_superuser_in_the_admin(root, user):
    response = post_form(web(root), f"{USERS}{user.pk}/change/", is_superuser="on")
    raise ValidationError(errors(response)["is_superuser"])


def give_in_a_shell(root, user):
    user.groups.add(Group.objects.get(name=Role.AUDITOR.value))


def give_from_the_role(root, user):
    Group.objects.get(name=Role.AUDITOR.value).user_set.add(user)


@each_row(
    "give",
    [
        give_in_the_admin,
        make_a_superuser_in_the_admin,
        give_in_a_shell,
        give_from_the_role,
    ],
)
def test_a_partner_s_account_never_becomes_staff(root, give):
    user = PartnerUserFactory(username="gamma-integration")
    refusal = "gamma-integration is a partner's account, which holds no role"
    with pytest.raises(ValidationError, match=refusal), transaction.atomic():
        give(root, user)
    stored = get_user_model().objects.get(pk=user.pk)
    assert not (stored.is_staff or stored.is_superuser or stored.groups.exists())


def test_a_role_from_a_file_is_refused_for_a_partner_s_account(load):
    PartnerUserFactory(username="gamma-integration")
    with pytest.raises(CommandError, match=r"users\[0\].roles: gamma-integration is a partner's account"):
        load("users: [{username: gamma-integration, roles: [Auditor]}]")


def test_a_former_member_of_staff_cannot_become_a_partner(load, alice, acme, ingrid):
    alice.groups.clear()
    alice.refresh_from_db()
    assert not alice.is_staff
    said = "alice was not made as a partner's account, so it may be that of a person."
    with pytest.raises(CommandError) as refusal:
        load("external_systems: [{system_id: ACME, authorized_user: alice}]")
    assert f"external_systems[0].authorized_user: {said}" in str(refusal.value)
    address = f"/admin/integrations/externalsystem/{acme.pk}/change/"
    assert "authorized_user" in errors(post_form(web(ingrid), address, authorized_user=str(alice.pk)))
    acme.refresh_from_db()
    assert acme.authorized_user != alice


def test_staff_cannot_become_a_partner_in_a_shell(alice, acme):
    with pytest.raises(ValidationError, match="must not be a member of staff"):
        ExternalSystem(system_id="GAMMA", authorized_user=alice).save()
    acme.authorized_user = alice
    with pytest.raises(ValidationError, match="must not be a member of staff"):
        acme.save(update_fields=["authorized_user"])
    with pytest.raises(ValidationError, match="alice is a member of staff"):
        PartnerAccount.objects.create(user=alice)
    assert ExternalSystem.objects.get().authorized_user != alice


def test_a_file_makes_the_account_of_a_system_also_when_it_lists_it_among_the_users(load):
    system = "{system_id: GAMMA, authorized_user: gamma-integration, endpoint_url: 'http://127.0.0.1:9/'}"
    load(f"external_systems: [{system}]\nusers: [{{username: gamma-integration}}, {{username: bob}}]")
    assert [account.user.username for account in PartnerAccount.objects.all()] == ["gamma-integration"]


def test_a_member_of_staff_signs_in_and_is_saved_as_before(alice, root):
    stranger = web()
    assert stranger.post("/accounts/login/", {"username": "alice", "password": PASSWORD}).status_code == 302
    assert post_form(web(root), f"{USERS}{alice.pk}/change/", last_name="Smith").status_code == 302


# --- Groups ---

GROUPS = "/admin/changes/supportgroup/"
BOTH = "would have members and belong to ACME. A group is external or has members, never both"


def either_or(response):
    """The error of the part of the page for the external system."""
    (formset,) = response.context["inline_admin_formsets"]
    return " ".join(formset.formset.non_form_errors())


def test_an_external_group_gets_no_member(ingrid, alice, acme, load):
    group = acme.external_groups.get().group
    response = post_form(web(ingrid), f"{GROUPS}{group.pk}/change/", members=[str(alice.pk)])
    assert BOTH in either_or(response)
    assert BOTH in text(response)
    for add in (lambda: group.members.add(alice), lambda: alice.support_groups.add(group)):
        with pytest.raises(ValidationError, match=BOTH), transaction.atomic():
            add()
    with pytest.raises(CommandError, match=rf"groups\[0\].members: ACME Networks {BOTH}"):
        load("groups: [{name: ACME Networks, members: [alice]}]")
    assert not group.members.exists()


def test_a_group_with_members_does_not_become_external(ingrid, alice, acme, load):
    group = SupportGroupFactory(name="Network")
    group.members.add(alice)
    response = post_form(web(ingrid), f"{GROUPS}{group.pk}/change/", **{"external_group-0-system": str(acme.pk)})
    assert BOTH in either_or(response)
    with pytest.raises(ValidationError, match=BOTH):
        ExternalGroup(group=group, system=acme).save()
    with pytest.raises(CommandError, match=rf"groups\[0\].external_system: Network {BOTH}"):
        load("groups: [{name: Network, external_system: ACME}]")
    assert not ExternalGroup.objects.filter(group=group).exists()


def test_a_new_group_is_one_or_the_other(ingrid, alice, acme):
    typed = {"name": "New", "members": [str(alice.pk)], "external_group-0-system": str(acme.pk)}
    assert BOTH in either_or(post_form(web(ingrid), f"{GROUPS}add/", **typed))
    assert not SupportGroup.objects.filter(name="New").exists()
    assert post_form(web(ingrid), f"{GROUPS}add/", **(typed | {"members": None})).status_code == 302
    assert SupportGroup.objects.get(name="New").external_group.system == acme


def test_one_save_turns_a_group_from_one_kind_into_the_other(ingrid, alice, acme, load):
    group = SupportGroup.objects.get(name="ACME Networks")
    address = f"{GROUPS}{group.pk}/change/"
    typed = {"members": [str(alice.pk)], "external_group-0-DELETE": "on"}
    assert post_form(web(ingrid), address, **typed).status_code == 302
    assert ([*group.members.all()], ExternalGroup.objects.count()) == ([alice], 0)
    typed = {"members": None, "external_group-0-system": str(acme.pk)}
    assert post_form(web(ingrid), address, **typed).status_code == 302
    assert ([*group.members.all()], ExternalGroup.objects.count()) == ([], 1)
    load("groups: [{name: ACME Networks, members: [alice], external_system: null}]")
    assert ([*group.members.all()], ExternalGroup.objects.count()) == ([alice], 0)
    load("groups: [{name: ACME Networks, external_system: ACME, members: []}]")
    assert ([*group.members.all()], ExternalGroup.objects.count()) == ([], 1)


# --- What an earlier release left ---


@pytest.fixture
def old_group(acme, alice):
    """A group that has both, as an earlier release allowed."""
    group = SupportGroupFactory(name="Both")
    group.members.add(alice)
    ExternalGroup.objects.bulk_create([ExternalGroup(group=group, system=acme)])
    return group


def test_a_group_with_both_goes_on_working_until_it_is_saved(ingrid, alice, old_group, api, load):
    answer = api(alice).post("/api/v1/changes/", {"title": "T", "owning_group": "Both"})
    assert answer.status_code == 201
    client, address = web(ingrid), f"{GROUPS}{old_group.pk}/change/"
    assert BOTH in either_or(post_form(client, address, name="Both of them"))
    with pytest.raises(CommandError, match=rf"groups\[0\]: Both {BOTH}"):
        load("groups: [{name: Both, members: [alice]}]")
    assert load("groups: [{name: Network}]") == ["created group Network"]
    assert post_form(client, address, name="Both of them", members=None).status_code == 302


def test_the_system_check_names_what_needs_a_decision(alice, old_group, capsys):
    call_command("check")
    ExternalGroupFactory(group__name="BETA Servers", system__system_id="BETA")
    ExternalSystem.objects.filter(system_id="BETA").update(authorized_user=UserFactory(username="bob"))
    ExternalSystemFactory(system_id="GAMMA")
    ExternalSystem.objects.filter(system_id="GAMMA").update(authorized_user=alice)
    capsys.readouterr()
    call_command("check")
    said = " ".join(capsys.readouterr().err.split())
    assert "The support group Both has members and belongs to ACME." in said
    assert "bob, the authorized user of BETA, was not made as a partner's account, or is a member of staff." in said
    assert "alice, the authorized user of GAMMA, was not made as" in said
    assert said.count("WARNINGS") == 1
    assert said.count("integrations.W00") == 3


def test_the_system_check_is_quiet_when_all_is_apart(acme, beta, alice, capsys):
    SupportGroupFactory(name="Network").members.add(alice)
    call_command("check")
    assert "integrations." not in capsys.readouterr().err


def test_the_system_check_says_when_it_cannot_look(db, monkeypatch, capsys):
    """In a build without a database, say: the rest of the check goes on."""

    def unreachable(*args):
        raise OperationalError("connection refused")

    monkeypatch.setattr(type(connection.introspection), "table_names", unreachable)
    call_command("check")
    assert "The database cannot be reached, so its records were not checked" in capsys.readouterr().err


# --- Where a person is asked for ---


def offered(page, name):
    """The names that a select offers."""
    select = re.search(rf'<select[^>]*name="{name}".*?</select>', page.content.decode(), re.DOTALL)
    return {option.strip() for option in re.findall(r"<option[^>]*>([^<]*)</option>", select[0])}


def test_an_account_of_a_partner_is_no_choice_where_a_person_is_asked_for(alice, root, acme):
    partner = acme.authorized_user
    left = UserFactory(username="left", is_active=False)
    change, group = ChangeFactory(requested_by=alice), SupportGroupFactory(name="Network")
    pages = [
        (alice, "/changes/new/", "requested_by"),
        (alice, f"/changes/{change.number}/edit/", "requested_by"),
        (root, "/admin/changes/change/add/", "requested_by"),
        (root, f"/admin/changes/change/{change.pk}/change/", "requested_by"),
        (root, "/admin/changes/supportgroup/add/", "members"),
        (root, f"/admin/changes/supportgroup/{group.pk}/change/", "members"),
    ]
    for person, address, name in pages:
        names = offered(web(person).get(address), name)
        assert "alice" in names, address
        assert not names & {partner.username, left.username}, address


def test_what_is_chosen_already_stays_a_choice(alice, root, acme):
    partner = acme.authorized_user
    change = ChangeFactory(requested_by=partner)
    assert partner.username in offered(web(alice).get(f"/changes/{change.number}/edit/"), "requested_by")
    assert partner.username in offered(web(root).get(f"/admin/changes/change/{change.pk}/change/"), "requested_by")
    group = SupportGroupFactory(name="Network")
    group.members.add(partner := UserFactory(username="later"))
    ExternalSystemFactory(system_id="LATER", authorized_user=partner)
    assert partner.username in offered(web(root).get(f"/admin/changes/supportgroup/{group.pk}/change/"), "members")
