"""A right does not lead to further ones: what people try who want to become more than they are.

Each row is an attempt through a page, with what must not come true. What is allowed although it leads to more is in a
table of its own: the security log says that it happened.
"""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth.models import Group, Permission, User
from knox.models import AuthToken
from rest_framework.test import APIClient

from changes.choices import Role
from changes.models import Change, SupportGroup
from integrations.models import ExternalGroup, ExternalSystem
from tests.factories import PASSWORD, ExternalSystemFactory, PartnerUserFactory, SupportGroupFactory, UserFactory
from tests.html_forms import post_form, read_form
from tests.pages import web
from tests.rows import each_row

NEW = "a quite different long password"
SYSTEM = "/admin/integrations/externalsystem/"
TOKEN = "/admin/knox/authtoken/add/"
USER = "/admin/auth/user/"


@pytest.fixture
def people(alice, carol, ingrid, audrey, acme):
    """Everybody by name; `partner` is ACME's account, `spare` one that speaks for no system yet."""
    root = UserFactory(username="root", is_superuser=True, is_staff=True)
    TOTP.activate(root, generate_totp_secret())
    return {
        **{user.username: user for user in (alice, carol, ingrid, audrey)},
        "root": root,
        "nobody": UserFactory(username="nobody"),
        "partner": acme.authorized_user,
        "spare": PartnerUserFactory(username="spare"),
    }


def roles_of(user):
    return {group.name for group in user.groups.all()}


def rights():
    """Who is what, and who speaks for whom."""
    users = User.objects.order_by("pk")
    return (
        [(user.username, user.password, user.is_superuser, user.is_staff, roles_of(user)) for user in users],
        [(group.name, {*group.permissions.values_list("pk", flat=True)}) for group in Group.objects.order_by("pk")],
        [*ExternalSystem.objects.order_by("pk").values_list("system_id", "authorized_user__username")],
        [*Authenticator.objects.order_by("pk").values_list("user__username", "type")],
        [*AuthToken.objects.order_by("pk").values_list("user__username", flat=True)],
        [*ExternalGroup.objects.order_by("pk").values_list("group__name", "system__system_id")],
        [*SupportGroup.members.through.objects.order_by("pk").values_list("supportgroup__name", "user__username")],
    )


def role(name):
    return str(Group.objects.get(name=name.value).pk)


# --- Refused ---


def system_for(who):
    """Makes `who` the authorized user of a new system, or of ACME."""

    def attempt(client, people):
        page = client.get(f"{SYSTEM}add/")
        typed = {"system_id": "MINE", "endpoint_url": "https://mine.example.com/", "authorized_user": people[who].pk}
        client.post(f"{SYSTEM}add/", {**read_form(page, "system_id")["fields"], **typed})
        address = f"{SYSTEM}{ExternalSystem.objects.get(system_id='ACME').pk}/change/"
        fields = read_form(client.get(address), "endpoint_url")["fields"]
        client.post(address, {**fields, "authorized_user": people[who].pk})

    return attempt


def token_for(who):
    def attempt(client, people):
        client.post(TOKEN, {**read_form(client.get(TOKEN), "user")["fields"], "user": people[who].pk})

    return attempt


def account_of(who, **typed):
    def attempt(client, people):
        data = {"username": people[who].username, "is_active": "on", **typed}
        if "groups" in data:
            data["groups"] = [role(each) for each in data["groups"]]
        client.post(f"{USER}{people[who].pk}/change/", data)

    return attempt


def password_of(who):
    def attempt(client, people):
        typed = {"password1": NEW, "password2": NEW, "usable_password": "true"}
        client.post(f"{USER}{people[who].pk}/password/", typed)

    return attempt


def new_superuser(client, people):
    typed = {"username": "mallory", "password1": NEW, "password2": NEW, "usable_password": "true", "is_superuser": "on"}
    client.post(f"{USER}add/", typed)


def more_rights_for_a_role(client, people):
    permission = Permission.objects.get(codename="change_user").pk
    client.post(f"/admin/auth/group/{role(Role.INTEGRATION_ADMINISTRATOR)}/change/", {"permissions": [permission]})


def member_of_an_external_group(client, people):
    group = ExternalGroup.objects.get().group
    client.post(
        f"/admin/changes/supportgroup/{group.pk}/change/",
        {**read_form(client.get(f"/admin/changes/supportgroup/{group.pk}/change/"), "name")["fields"]}
        | {"members": [people["ingrid"].pk]},
    )


def second_factor_of_a_superuser(client, people):
    client.post(USER, {"action": "take_away_second_factor", "_selected_action": [people["root"].pk]})


REFUSED = [
    ("ingrid", "makes herself a partner", system_for("ingrid")),
    ("ingrid", "makes an agent a partner", system_for("alice")),
    ("ingrid", "makes a superuser a partner", system_for("root")),
    ("ingrid", "makes an account without a role a partner", system_for("nobody")),
    ("root", "makes a member of staff a partner", system_for("alice")),
    ("ingrid", "makes a token of a superuser", token_for("root")),
    ("ingrid", "makes a token of a change manager", token_for("carol")),
    ("ingrid", "makes a token of an account without a role", token_for("nobody")),
    ("ingrid", "makes a token of a partner without a system", token_for("spare")),
    ("ingrid", "gives herself a role", account_of("ingrid", groups=[Role.CHANGE_MANAGER])),
    ("ingrid", "makes herself a superuser", account_of("ingrid", is_superuser="on")),
    ("ingrid", "sets the password of a superuser", password_of("root")),
    ("ingrid", "sets the password of a partner", password_of("partner")),
    ("ingrid", "adds a superuser", new_superuser),
    ("ingrid", "gives her role more rights", more_rights_for_a_role),
    ("ingrid", "becomes a member of a partner's group", member_of_an_external_group),
    ("ingrid", "takes away the second factor of a superuser", second_factor_of_a_superuser),
    ("root", "gives a partner's account a role", account_of("partner", groups=[Role.AGENT])),
    ("root", "gives a partner's account without a system a role", account_of("spare", groups=[Role.AGENT])),
    ("root", "makes a partner's account a superuser", account_of("partner", is_superuser="on")),
    ("audrey", "gives herself a role", account_of("audrey", groups=[Role.CHANGE_MANAGER])),
    ("carol", "gives herself a role", account_of("carol", groups=[Role.INTEGRATION_ADMINISTRATOR])),
]


@each_row("who, what, attempt", REFUSED)
def test_what_is_refused_alters_no_right(people, who, what, attempt):
    before = rights()
    attempt(web(people[who]), people)
    assert rights() == before


# --- With rights that a superuser gave a role by hand ---

HELPER = ["add_user", "change_user", "view_user", "add_group", "change_group", "view_group"]
BY_HAND = [
    ("makes herself a superuser", account_of("alice", is_superuser="on", groups=[Role.AGENT])),
    ("gives herself a role", account_of("alice", groups=[Role.AGENT, Role.INTEGRATION_ADMINISTRATOR])),
    ("gives another account a role", account_of("nobody", groups=[Role.CHANGE_MANAGER])),
    ("makes another account a superuser", account_of("nobody", is_superuser="on")),
    ("takes a superuser's rights away", account_of("root")),
    ("sets the password of a superuser", password_of("root")),
    ("sets the password of a change manager", password_of("carol")),
    ("sets the password of a partner", password_of("partner")),
    ("gives her role more rights", more_rights_for_a_role),
    ("adds a superuser", new_superuser),
    ("takes away the second factor of a superuser", second_factor_of_a_superuser),
]


@pytest.fixture
def helper(people):
    """Alice, to whose role a superuser gave the permissions of users and roles."""
    found = Permission.objects.filter(codename__in=HELPER, content_type__app_label="auth")
    Group.objects.get(name=Role.AGENT.value).permissions.add(*found)
    return people["alice"]


@each_row("what, attempt", BY_HAND)
def test_who_may_add_accounts_gets_no_further_right_by_it(people, helper, what, attempt):
    before = [row for row in rights()[0] if row[0] != "mallory"], *rights()[1:]
    attempt(web(helper), people)
    after = [row for row in rights()[0] if row[0] != "mallory"], *rights()[1:]
    assert after == before
    assert not User.objects.filter(username="mallory", is_superuser=True).exists()


def test_she_may_still_add_a_partners_account_and_rename_it(people, helper):
    client = web(helper)
    typed = {"username": "delta", "usable_password": "false", "is_partner_account": "on"}
    client.post(f"{USER}add/", {**typed, "password1": "", "password2": ""})
    made = User.objects.get(username="delta")
    assert (made.is_staff, made.is_superuser, hasattr(made, "partner_account")) == (False, False, True)
    post_form(client, f"{USER}{made.pk}/change/", last_name="Delta")
    made.refresh_from_db()
    assert made.last_name == "Delta"


# --- Allowed: each is an event that the other administrators hear of ---


def makes_a_token_of_a_partner(client, people):
    token_for("partner")(client, people)
    return AuthToken.objects.filter(user=people["partner"]).exists()


def makes_another_account_the_partner(client, people):
    post_form(client, f"{SYSTEM}{ExternalSystem.objects.get().pk}/change/", authorized_user=str(people["spare"].pk))
    return ExternalSystem.objects.get().authorized_user == people["spare"]


def makes_a_group_external(client, people):
    group = SupportGroupFactory(name="Printers")
    address = f"/admin/changes/supportgroup/{group.pk}/change/"
    post_form(client, address, **{"external_group-0-system": str(ExternalSystem.objects.get().pk)})
    return ExternalGroup.objects.filter(group=group).exists()


def lets_a_partner_do_more(client, people):
    post_form(
        client, f"{SYSTEM}{ExternalSystem.objects.get().pk}/change/", change_types=["Normal", "Standard", "Emergency"]
    )
    return "Standard" in ExternalSystem.objects.get().change_types


@each_row(
    "what",
    [
        makes_a_token_of_a_partner,
        makes_another_account_the_partner,
        makes_a_group_external,
        lets_a_partner_do_more,
    ],
)
def test_what_an_integration_administrator_may(people, what):
    assert what(web(people["ingrid"]), people)
    for name in ("alice", "carol", "audrey"):
        client = web(people[name])
        assert client.get(f"{SYSTEM}add/").status_code == 403
        assert client.get(TOKEN).status_code == 403


# --- Rights that end ---


def test_a_role_that_is_taken_away_ends_sessions_and_tokens_rights_at_once(people):
    alice = people["alice"]
    client, token = web(alice), AuthToken.objects.create(alice)[1]
    by_token = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert client.get("/changes/").status_code == 200
    assert APIClient().post("/api/v1/changes/", {"title": "x"}, format="json", **by_token).status_code == 201
    post_form(web(people["root"]), f"{USER}{alice.pk}/change/", groups=None)
    before = Change.objects.count()
    assert client.get("/changes/").status_code == 403
    assert client.post("/changes/new/", {"title": "x"}).status_code == 403
    assert APIClient().post("/api/v1/changes/", {"title": "x"}, format="json", **by_token).status_code == 403
    assert Change.objects.count() == before


def test_an_account_that_speaks_for_no_system_any_more_has_no_access_by_its_token(people, acme):
    token = AuthToken.objects.create(people["partner"])[1]
    makes_another_account_the_partner(web(people["ingrid"]), people)
    answer = APIClient().get("/api/v1/changes/", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 403
    body = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "x"}}
    answer = APIClient().post("/api/v1/operations/", body, format="json", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 403
    assert not Change.objects.exists()


def test_a_partner_on_the_pages_makes_no_token_and_reads_nothing(people):
    partner = people["partner"]
    assert partner.check_password(PASSWORD)
    client = web(partner)
    for address in ("/", "/changes/", "/exchange/", "/preferences/"):
        assert client.get(address).status_code == 403
    client.post(TOKEN, {"user": partner.pk})
    assert not AuthToken.objects.exists()


def test_an_account_of_two_systems_speaks_for_both_and_no_third(people, acme):
    ExternalSystemFactory(system_id="SECOND", authorized_user=people["partner"])
    ExternalSystemFactory(system_id="THIRD")
    token = AuthToken.objects.create(people["partner"])[1]
    for system, status in (("ACME", 201), ("SECOND", 201), ("THIRD", 403)):
        body = {"system_id": system, "operation": "Create", "external_id": "C-1", "properties": {"title": "x"}}
        answer = APIClient().post("/api/v1/operations/", body, format="json", HTTP_AUTHORIZATION=f"Bearer {token}")
        assert answer.status_code == status, system
