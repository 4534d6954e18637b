"""Signing in to the administration, users and their roles."""

import re

import pytest
from axes.models import AccessAttempt, AccessLog
from django.contrib.auth.models import Group, User
from django.test import Client
from knox.models import AuthToken

from changes.choices import Role
from tests.factories import PASSWORD, UserFactory
from tests.html_forms import errors, post_form, read_form
from tests.pages import text, web
from tests.rows import each_row

USERS = "/admin/auth/user/"
# Texts of libraries, which have no German for them.
ENGLISH = "auth token|If disabled|Can (add|view)|After you|Whether|Enable|Locked Out|Access Log|Attempted|authenticat"


def user_page(user):
    return f"{USERS}{user.pk}/change/"


# --- The way in and out ---


@pytest.mark.parametrize("address", ["/admin/", "/admin/login/", "/admin/changes/change/", "/admin/nothing/"])
def test_without_signing_in_every_address_leads_to_the_products_sign_in_page(db, address):
    response = Client().get(address, follow=True)
    assert response.redirect_chain[-1][0].startswith("/accounts/login/?next=/admin/")
    assert response.status_code == 200


def test_signing_in_leads_back_to_the_page_that_was_asked_for(alice):
    client = Client()
    page = client.get("/admin/changes/change/", follow=True)
    address = page.redirect_chain[-1][0]
    response = client.post(address, {"username": "alice", "password": PASSWORD}, follow=True)
    assert response.redirect_chain[-1][0] == "/admin/changes/change/"


def test_the_admins_own_sign_in_form_does_not_exist(alice):
    response = Client().post("/admin/login/", {"username": "alice", "password": PASSWORD})
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")
    assert "_auth_user_id" not in response.client.session


def test_who_is_signed_in_already_goes_on_to_the_administration(alice):
    assert web(alice).get("/admin/login/")["Location"] == "/admin/"


def test_a_partners_user_gets_403_and_no_loop(acme):
    client = web(acme.authorized_user)
    for address in ("/admin/", "/admin/changes/change/"):
        response = client.get(address, follow=True)
        assert response.status_code == 403
        assert "members of staff" in text(response)


def test_logging_out_ends_at_the_sign_in_page(alice):
    client = web(alice)
    assert client.post("/admin/logout/")["Location"] == "/accounts/login/"
    assert client.get("/admin/").status_code == 302


def test_the_first_page_names_the_product_and_leads_back_to_its_pages(root):
    page = web(root).get("/admin/").content.decode()
    assert "casexchange administration" in page
    assert '<a href="/">Desk</a>' in page
    names = (
        "Changes",
        "Exchange",
        "People and roles",
        "Roles",
        "API tokens",
        "External systems",
        "Outgoing operations",
    )
    for name in names:
        assert name in page


@pytest.mark.parametrize(
    "address",
    [
        "changes/change/?phase__exact=%00",
        "changes/change/%00/change/",
        "knox/authtoken/%00/change/",
        "integrations/incomingoperation/?operation=%00",
    ],
)
def test_a_nul_in_an_address_is_a_bad_request(root, address):
    assert web(root).get(f"/admin/{address}").status_code == 400


@each_row("chosen", ["nonsense", "\x00", ""])
@each_row(
    ("kind", "action"), [("integrations/outgoingoperation", "skip"), ("integrations/externalsystem", "delete_selected")]
)
def test_a_forged_choice_in_a_list_is_a_bad_request(root, kind, action, chosen):
    answer = web(root).post(f"/admin/{kind}/", {"action": action, "_selected_action": [chosen]})
    assert answer.status_code == 400


@each_row(
    "address",
    [
        "changes/change/?p=none&o=x",
        "changes/change/?requested_by__password__startswith=p",
        "changes/change/99999999999999999999999/change/",
        "integrations/outgoingoperation/?created_at__gte=yesterday",
        "integrations/outgoingoperation/?system__signing_secret__startswith=g",
        "integrations/outgoingoperation/nonsense/change/",
        "knox/authtoken/?user__password__startswith=p",
        "auth/user/?password__startswith=p",
    ],
)
def test_a_forged_address_shows_nothing_it_should_not_and_is_no_error_of_the_server(root, address):
    answer = web(root).get(f"/admin/{address}", follow=True)
    assert answer.status_code in {200, 400}


# --- Users ---


def test_a_partners_user_is_made_without_a_password_and_is_not_staff(root):
    response = post_form(web(root), f"{USERS}add/", username="gamma-integration", usable_password="false")
    assert response.status_code == 302
    user = User.objects.get(username="gamma-integration")
    assert not user.has_usable_password()
    assert not user.is_staff


def test_a_weak_password_is_refused(root):
    response = post_form(web(root), f"{USERS}add/", username="dora", password1="password1234", password2="password1234")
    assert "too common" in " ".join(errors(response)["password2"])
    assert not User.objects.filter(username="dora").exists()


@pytest.mark.parametrize("role", [*Role])
def test_giving_a_role_makes_a_user_staff_and_taking_the_last_one_undoes_it(root, role):
    bob = UserFactory(username="bob")
    group = Group.objects.get(name=role.value)
    client = web(root)
    assert post_form(client, user_page(bob), groups=[str(group.pk)]).status_code == 302
    bob.refresh_from_db()
    assert bob.is_staff
    assert "Yes: anybody who holds a role" in text(client.get(user_page(bob)))
    post_form(client, user_page(bob), groups=None)
    bob.refresh_from_db()
    assert not bob.is_staff
    assert "No: only somebody who holds a role" in text(client.get(user_page(bob)))


def test_staff_follows_the_roles_and_cannot_be_posted(root):
    bob = UserFactory(username="bob")
    client = web(root)
    form = read_form(client.get(user_page(bob)), "username")
    assert "is_staff" not in form["names"]
    client.post(user_page(bob), {**form["fields"], "is_staff": "on"})
    bob.refresh_from_db()
    assert not bob.is_staff


def test_a_superuser_is_staff_without_a_role_and_only_as_long(root):
    bob = UserFactory(username="bob")
    client = web(root)
    post_form(client, user_page(bob), is_superuser="on")
    bob.refresh_from_db()
    assert (bob.is_superuser, bob.is_staff) == (True, True)
    assert web(bob).get("/admin/").status_code == 200
    post_form(client, user_page(bob), is_superuser=None)
    bob.refresh_from_db()
    assert (bob.is_superuser, bob.is_staff) == (False, False)


def test_a_user_who_is_made_inactive_is_signed_out(root, alice):
    client = web(alice)
    assert "Administration" in text(client.get("/admin/"))
    post_form(web(root), user_page(alice), is_active=None)
    assert client.get("/admin/")["Location"].startswith("/admin/login/")


def test_nobody_deletes_a_user_since_records_name_them(root, alice):
    assert web(root).post(f"{USERS}{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    web(root).post(USERS, {"action": "delete_selected", "_selected_action": [str(alice.pk)], "post": "yes"})
    assert User.objects.filter(username="alice").exists()


def test_who_only_looks_sees_no_hash_of_a_password(audrey, alice):
    page = web(audrey).get(user_page(alice))
    assert page.status_code == 200
    algorithm, _, rest = alice.password.partition("$")
    assert rest not in page.content.decode()
    assert algorithm not in page.content.decode()
    assert "alice" in text(page)


def test_the_authorized_user_of_a_system_gets_no_role(root, acme, alice):
    user = acme.authorized_user
    agent = Group.objects.get(name=Role.AGENT.value)
    for typed in ({"groups": [str(agent.pk)]}, {"is_superuser": "on"}):
        response = post_form(web(root), user_page(user), **typed)
        assert "authorized user of ACME" in " ".join(errors(response)[next(iter(typed))])
    user.refresh_from_db()
    assert not user.is_staff
    assert not user.is_superuser
    assert not user.groups.exists()


def test_the_list_shows_roles_and_partners_with_a_constant_number_of_queries(
    root, acme, alice, django_assert_max_num_queries
):
    client = web(root)
    shown = text(client.get(USERS))
    assert "Service desk agent" in shown
    assert "ACME" in shown
    with django_assert_max_num_queries(100) as few:
        client.get(USERS)
    for number in range(10):
        UserFactory(username=f"person{number}", roles=[Role.AUDITOR])
    with django_assert_max_num_queries(len(few)):
        client.get(USERS)


# --- Roles ---


def test_a_role_shows_its_permissions_to_an_auditor(audrey):
    manager = Group.objects.get(name=Role.CHANGE_MANAGER.value)
    page = text(web(audrey).get(f"/admin/auth/group/{manager.pk}/change/"))
    assert "Can abandon a change" in page
    assert "Can approve or deny a change's plan" in page


def test_german_pages_of_people_roles_tokens_and_sign_ins_name_everything_in_german(root, alice, audrey):
    client = web(root)
    audrey.set_unusable_password()
    audrey.save()
    AuthToken.objects.create(alice)
    guessed = AccessAttempt.objects.create(username="mallory", ip_address="203.0.113.7", failures_since_start=1)
    signed_in = AccessLog.objects.create(username="alice", ip_address="203.0.113.7")
    role = Group.objects.get(name=Role.CHANGE_MANAGER.value)
    for address, german in (
        ("auth/user/add/", "Anmeldung mit Passwort: Aktiviert Deaktiviert"),
        (
            f"auth/user/{audrey.pk}/change/",
            "Richten Sie ein Passwort ein, damit sich dieser Benutzer damit anmelden kann.",
        ),
        (f"auth/user/{audrey.pk}/password/", "Damit kann sich dieser Benutzer mit einem Passwort anmelden"),
        (f"auth/user/{alice.pk}/change/", "Passwort zurücksetzen"),
        (f"auth/user/{alice.pk}/password/", "Das jetzige Passwort dieses Benutzers geht dann verloren."),
        (f"auth/group/{role.pk}/change/", "Changes | Datensatz einer Sammelaktion | Hinzufügen"),
        (f"auth/group/{role.pk}/change/", "Changes | Change | Den Plan eines Changes genehmigen oder ablehnen"),
        (f"auth/group/{role.pk}/change/", "MFA | zweiter Faktor | Löschen"),
        ("knox/authtoken/", "Token Benutzer Angelegt Läuft ab"),
        ("knox/authtoken/", "1 API-Token"),
        ("knox/authtoken/add/", "Benutzer: ---"),
        ("axes/accessattempt/", "Nach Gesperrt"),
        ("axes/accessattempt/", "Abgelaufene Zugriffsversuche aufräumen"),
        (f"axes/accessattempt/{guessed.pk}/change/", "mallory, "),
        (f"axes/accesslog/{signed_in.pk}/change/", "alice, "),
    ):
        page = text(client.get(f"/admin/{address}", headers={"Accept-Language": "de"}))
        assert german in page, (address, page[:3000])
        assert not re.search(ENGLISH, page), (address, re.search(ENGLISH, page))


def test_a_superuser_adds_a_permission_to_a_role(root, audrey):
    role = Group.objects.get(name=Role.AUDITOR.value)
    held = [str(pk) for pk in role.permissions.values_list("pk", flat=True)]
    added = Group.objects.get(name=Role.AGENT.value).permissions.get(codename="add_comment")
    address = f"/admin/auth/group/{role.pk}/change/"
    assert post_form(web(root), address, permissions=[*held, str(added.pk)]).status_code == 302
    assert User.objects.get(pk=audrey.pk).has_perm("changes.add_comment")


def test_the_roles_of_the_product_keep_their_names_and_are_not_deleted(root):
    role = Group.objects.get(name=Role.AUDITOR.value)
    address = f"/admin/auth/group/{role.pk}/"
    client = web(root)
    form = read_form(client.get(f"{address}change/"), "permissions")
    assert "name" not in form["names"]
    client.post(f"{address}change/", {**form["fields"], "name": "Spectator"})
    assert client.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(role.pk)], "post": "yes"}
    client.post("/admin/auth/group/", chosen)
    assert Group.objects.filter(name=Role.AUDITOR.value).exists()


def test_another_group_of_users_can_be_made_and_deleted(root):
    post_form(web(root), "/admin/auth/group/add/", name="On duty")
    group = Group.objects.get(name="On duty")
    assert web(root).post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Group.objects.filter(name="On duty").exists()


# --- Signing in, as django-axes keeps it ---


def test_a_superuser_unlocks_a_user_by_deleting_the_attempt(root, alice):
    stranger = Client()
    for _ in range(10):
        stranger.post("/accounts/login/", {"username": "alice", "password": "wrong"})
    right = {"username": "alice", "password": PASSWORD}
    assert stranger.post("/accounts/login/", right).status_code == 429
    client = web(root)
    page = client.get("/admin/axes/accessattempt/")
    assert "alice" in text(page)
    assert "wrong" not in page.content.decode()
    attempt = page.context["cl"].result_list[0].pk
    client.post(f"/admin/axes/accessattempt/{attempt}/delete/", {"post": "yes"})
    assert stranger.post("/accounts/login/", right).status_code == 302


@pytest.mark.parametrize("kept", ["accesslog", "accessfailurelog"])
def test_the_log_of_signing_in_is_only_shown(root, kept):
    client = web(root)
    assert client.get(f"/admin/axes/{kept}/").status_code == 200
    assert client.get(f"/admin/axes/{kept}/add/").status_code == 403
    assert "delete_selected" not in client.get(f"/admin/axes/{kept}/").content.decode()


# --- Choices ---


@each_row("key", ["9" * 30, "-" + "9" * 30, "9" * 19, "9" * 18, "nonsense"])
@each_row("field", ["groups", "permissions", "members"])
def test_a_key_that_no_record_has_is_an_error_at_its_field(root, acme, field, key):
    role, team = Group.objects.first(), acme.external_groups.get().group
    page = {
        "groups": user_page(root),
        "permissions": f"/admin/auth/group/{role.pk}/change/",
        "members": f"/admin/changes/supportgroup/{team.pk}/change/",
    }[field]
    before = [*root.groups.all()], [*role.permissions.all()], [*team.members.all()]
    response = post_form(web(root), page, **{field: [key]})
    assert [*errors(response)] == [field]
    assert ([*root.groups.all()], [*role.permissions.all()], [*team.members.all()]) == before


@pytest.mark.parametrize("key", ["9" * 30, "9" * 19])
@pytest.mark.parametrize("kind", ["changes/supportgroup", "auth/group"])
def test_a_choice_in_a_list_that_no_record_is_is_no_error_of_the_server(root, acme, kind, key):
    answer = web(root).post(f"/admin/{kind}/", {"action": "delete_selected", "_selected_action": [key]}, follow=True)
    assert answer.status_code in {200, 400}
    assert Group.objects.exists()
