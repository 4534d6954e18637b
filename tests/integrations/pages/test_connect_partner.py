"""The page "Connect a partner": one form makes all that a partner needs, or nothing."""

import re
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from knox.models import AuthToken

from changes.choices import Role
from changes.models import SupportGroup
from changes.models.installation.security_event import PendingEvent
from integrations.models import ConnectionSecret, ExternalGroup, ExternalSystem, PartnerAccount
from integrations.pages.connect.partner_form import PartnerForm
from integrations.pages.connect.registering import register
from integrations.pages.connection.presets import presets
from tests.factories import (
    ExternalGroupFactory,
    ExternalSystemFactory,
    PartnerUserFactory,
    SupportGroupFactory,
    UserFactory,
)
from tests.html_forms import read_form
from tests.mapped import DOCUMENT
from tests.pages import note_sign_in, text, web
from tests.rows import each_row

pytestmark = pytest.mark.django_db

NEW = "/exchange/systems/new/"
PUSH = {
    "kind": "push",
    "system_id": "ZETA",
    "description": "ZETA printers",
    "endpoint_url": "https://zeta.example/operations",
    "new_groups": "ZETA Printers",
}
TOKEN = re.compile(r"\b[0-9a-f]{64}\b")
SIGNING_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


def connect(person, **typed):
    return web(person).post(NEW, typed)


def counts():
    kept = (ExternalSystem, PartnerAccount, ExternalGroup, SupportGroup, AuthToken, get_user_model(), ConnectionSecret)
    return [model.objects.count() for model in kept]


def forget_proof(client):
    """As long after the sign-in."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": 1}]
    session.save()


def source(response):
    return unescape(response.content.decode())


# --- What is made ---


def test_push_makes_account_system_group_secret_and_token_and_shows_the_secrets_once(ingrid):
    response = connect(ingrid, **PUSH)
    page = source(response)
    system = ExternalSystem.objects.get(system_id="ZETA")
    assert (system.delivery, system.endpoint_url, system.enabled) == ("push", "https://zeta.example/operations", True)
    assert system.authorized_user.username == "zeta-integration"
    assert PartnerAccount.objects.filter(user=system.authorized_user).exists()
    assert not system.authorized_user.has_usable_password()
    assert [str(each) for each in system.external_groups.all()] == ["ZETA Printers (ZETA)"]
    # Both secrets are on the page, folded, and work.
    assert system.signing_secret in page
    (token,) = {*TOKEN.findall(page)}
    assert web().get("/api/v1/changes/", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert page.index("<details") < page.index(token)
    assert "no-store" in response["Cache-Control"]
    assert f"export SIGNING_SECRET={system.signing_secret}" in page
    assert "Copy the secrets now" in text(response)
    # And nowhere else.
    again = source(web(ingrid).get("/exchange/systems/ZETA/connect/"))
    assert token not in again
    assert system.signing_secret not in again


@each_row(
    ("kind", "is_shown"),
    [("pull", {"token"}), ("smax", {"password"})],
)
def test_a_partner_that_calls_us_gets_what_it_signs_in_with(ingrid, kind, is_shown):
    page = source(connect(ingrid, **{**PUSH, "kind": kind, "endpoint_url": "nonsense"}))
    system = ExternalSystem.objects.get()
    assert (system.delivery, system.endpoint_url, system.signing_secret) == (kind, "", "")
    assert AuthToken.objects.filter(user=system.authorized_user).exists() == ("token" in is_shown)
    shown = re.search(r"export PASSWORD=(\S+)", page)
    assert bool(shown) == ("password" in is_shown)
    if shown:
        system.authorized_user.refresh_from_db()
        assert system.authorized_user.check_password(shown[1])


def test_an_account_and_groups_that_exist_can_be_chosen(ingrid):
    account = PartnerUserFactory(username="old-zeta")
    empty = SupportGroupFactory(name="Printers")
    form = read_form(web(ingrid).get(NEW), "system_id")
    assert "groups" in form["names"] | {*form["fields"]}
    connect(ingrid, **{**PUSH, "new_groups": ""}, account=str(account.pk), groups=[str(empty.pk)])
    system = ExternalSystem.objects.get()
    assert system.authorized_user == account
    assert system.external_groups.get().group == empty
    assert SupportGroup.objects.count() == 1


def test_a_document_of_ones_own_is_active_with_its_secrets(ingrid):
    typed = {**PUSH, "kind": "document", "document": DOCUMENT}
    asked = connect(ingrid, **typed)
    assert "The document names this secret: write it." in text(asked)
    assert counts()[0] == 0
    names = sorted(name for name in read_form(asked, "system_id")["fields"] if name.startswith("secret_"))
    assert names
    refused = connect(ingrid, **{**typed, "new_groups": ""}, **dict.fromkeys(names, "s3cret"))
    assert "s3cret" not in source(refused)
    response = connect(ingrid, **typed, **dict.fromkeys(names, "s3cret"))
    system = ExternalSystem.objects.select_related("connection").get()
    assert (system.delivery, system.connection.number) == ("mapped", 1)
    assert {row.value for row in ConnectionSecret.objects.filter(system=system)} == {"s3cret"}
    assert "s3cret" not in source(response)


def test_a_preset_is_put_into_the_form_to_be_adapted(ingrid):
    typed = {**PUSH, "kind": "preset", "preset": "request-tracker"}
    begun = connect(ingrid, **typed)
    assert "Nothing is saved yet" in text(begun)
    assert 'class="error"' not in source(begun)
    assert counts()[0] == 0
    fields = {name: values[0] for name, values in read_form(begun, "system_id")["fields"].items()}
    assert fields["document"].replace("\r\n", "\n").strip() == presets()["request-tracker"].strip()
    sent = {**typed, "begun_from": fields["begun_from"], "secret_RT_TOKEN": "abc"}
    as_it_comes = connect(ingrid, **sent, document=fields["document"])
    assert "base_url is still the address of the example" in text(as_it_comes)
    connect(ingrid, **sent, document=fields["document"].replace("rt.example.com", "rt.zeta.example"))
    assert ExternalSystem.objects.get().connection.document.count("rt.zeta.example")


def test_no_preset_replaces_what_somebody_wrote(ingrid):
    typed = {**PUSH, "kind": "preset", "preset": "redmine"}
    adapted = presets()["request-tracker"].replace("rt.example.com", "rt.zeta.example")
    for document, begun_from in ((DOCUMENT, ""), (adapted, "request-tracker")):
        asked = connect(ingrid, **typed, document=document, begun_from=begun_from)
        assert "The preset would replace this document." in text(asked)
        assert read_form(asked, "system_id")["fields"]["document"][0].split() == document.split()
    # What nobody has altered is replaced.
    begun = connect(ingrid, **typed, document=presets()["request-tracker"], begun_from="request-tracker")
    assert read_form(begun, "system_id")["fields"]["document"][0].split() == presets()["redmine"].split()
    assert counts()[0] == 0


@each_row(
    "hidden",
    [{"preset": "forgotten"}, {"document": "x" * 300_000}, {"begun_from": "x" * 101}, {"document": "no: document"}],
)
def test_what_is_hidden_for_a_kind_is_no_error(ingrid, hidden):
    assert "Copy the secrets now" in text(connect(ingrid, **PUSH, **hidden))
    assert ExternalSystem.objects.get().delivery == "push"


# --- What is refused makes nothing ---

WRONG = [
    ({"system_id": ""}, "System id", "This field is required."),
    ({"system_id": "Z E"}, "System id", "Use letters, digits, dots, hyphens, underscores."),
    ({"system_id": "acme"}, None, "Another system has this id, in other capitals."),
    ({"endpoint_url": ""}, "Endpoint URL", "Push needs the URL of the partner's endpoint."),
    ({"endpoint_url": "zeta.example"}, "Endpoint URL", "Write a URL that begins with http:// or https://"),
    ({"new_groups": ""}, "New groups", "Name at least one group"),
    ({"new_groups": "ZETA\nacme networks"}, "New groups", "There is already a group ACME Networks."),
    ({"new_groups": "ZETA\nzeta"}, "New groups", "Two of these names are the same."),
    ({"username": "ALICE"}, "Name of the new account", "A user with that username already exists."),
    ({"username": "a b"}, "Name of the new account", "Enter a valid username."),
    ({"account": "{alice}"}, "Account", "This is not an account of a partner that belongs to no system."),
    ({"account": "{acme}"}, "Account", "This is not an account of a partner that belongs to no system."),
    ({"account": "{acme}", "kind": "smax"}, "Account", "Choose another one, or a new account."),
    ({"account": "{tokens}", "kind": "smax"}, "Account", "Its new password would revoke the API tokens"),
    ({"groups": ["{network}"]}, "Groups that exist", "is not one of the available choices."),
    ({"kind": "carrier pigeon"}, "Kind of connection", "Select a valid choice."),
    ({"kind": "preset"}, "Program", "Choose the program of the partner."),
    ({"kind": "document"}, "Document", "Write or paste the document."),
    ({"kind": "document", "document": "base_url: nowhere\n"}, "Document", "1:"),
]


@each_row(("typed", "field", "said"), WRONG)
def test_bad_input_is_said_beside_the_field_and_makes_nothing(ingrid, alice, acme, typed, field, said):
    network = SupportGroupFactory(name="Network")
    network.members.add(alice)
    with_tokens = PartnerUserFactory(username="old-beta")
    for user in (with_tokens, acme.authorized_user):
        AuthToken.objects.create(user=user)
    offered = source(web(ingrid).get(NEW))
    assert ("old-beta" in offered, f">{acme.authorized_user.username}<" in offered) == (True, False)
    accounts = {"{alice}": alice, "{acme}": acme.authorized_user, "{tokens}": with_tokens}
    keys = {"{network}": str(network.pk), **{name: str(user.pk) for name, user in accounts.items()}}
    typed = {
        name: [keys.get(each, each) for each in value] if isinstance(value, list) else keys.get(value, value)
        for name, value in typed.items()
    }
    before = counts()
    response = web(ingrid).post(NEW, {**PUSH, **typed})
    said_there = text(response)
    assert said in said_there
    if field:
        assert f"{field}:" in said_there  # in the summary, with a link to the field
    assert counts() == before
    assert "secret_shown" not in {event.fields["kind"] for event in PendingEvent.objects.all()}


@each_row(
    ("typed", "errors"),
    [
        ({"system_id": "Z E"}, {"system_id"}),
        ({"system_id": ""}, {"system_id"}),
        ({"system_id": "ACME"}, {"system_id"}),
        ({"system_id": "acme"}, {"__all__"}),
        ({"system_id": "Z E", "username": "alice"}, {"system_id", "username"}),
        ({"username": "alice"}, {"username"}),
    ],
)
def test_a_bad_system_id_is_one_error_and_not_another_one_of_the_account(ingrid, alice, acme, typed, errors):
    response = connect(ingrid, **{**PUSH, **typed})
    page = source(response)
    found = {name for name in ("system_id", "username", "new_groups", "account") if f'id="id_{name}_error"' in page}
    assert found == errors - {"__all__"}
    assert ("Another system has this id" in text(response)) == ("__all__" in errors)
    opened = re.search(r"<details([^>]*)>\s*<summary>Another name, or an account", page)[1]
    assert ("open" in opened) == ("username" in errors)


def test_the_same_form_sent_twice_makes_one_partner_and_shows_no_secret_again(ingrid):
    client = web(ingrid)
    form = {**read_form(client.get(NEW), "system_id")["fields"], **PUSH}
    assert client.post(NEW, form).status_code == 200
    again = client.post(NEW, form, follow=True)
    assert "Submitted twice, saved once." in source(again)
    assert not SIGNING_SECRET.search(source(again))
    assert ExternalSystem.objects.count() == 1
    assert AuthToken.objects.count() == 1


def test_an_account_that_somebody_gives_away_meanwhile_is_not_shared(ingrid):
    account = PartnerUserFactory(username="old-zeta")
    form = PartnerForm({**PUSH, "account": str(account.pk)})
    assert form.is_valid()
    ExternalSystemFactory(system_id="BETA", authorized_user=account)
    with pytest.raises(ValidationError, match="Somebody has just given this account"):
        register(form, ingrid)
    assert [system.system_id for system in ExternalSystem.objects.all()] == ["BETA"]


# --- Who may, and what is recorded ---


@each_row("permission", ["add_partneraccount", "add_externalgroup", "add_supportgroup", "add_authtoken"])
def test_each_right_that_it_uses_is_needed(ingrid, permission):
    role = Group.objects.get(name=Role.INTEGRATION_ADMINISTRATOR.value)
    role.permissions.remove(Permission.objects.get(codename=permission))
    client = web(ingrid)
    assert client.get(NEW).status_code == 403
    assert client.post(NEW, PUSH).status_code == 403
    assert not ExternalSystem.objects.exists()


def test_the_role_makes_partner_accounts_and_no_account_of_staff(ingrid):
    client = web(ingrid)
    assert client.get("/admin/auth/user/add/").status_code == 403
    connect(ingrid, **PUSH, is_staff="on", is_superuser="on")
    user = get_user_model().objects.get(username="zeta-integration")
    assert not user.is_staff
    assert not user.is_superuser
    assert not user.groups.exists()


def test_a_proof_is_asked_for_again_and_then_nothing_is_made(ingrid):
    client = web(ingrid)
    forget_proof(client)
    assert client.get(NEW).status_code == 302
    response = client.post(NEW, PUSH)
    assert (response.status_code, "confirm" in response["Location"]) == (302, True)
    assert not ExternalSystem.objects.exists()


def test_what_was_typed_is_kept_while_a_proof_is_asked_for_but_no_secret(ingrid):
    client = web(ingrid)
    empty = [SupportGroupFactory(name=name) for name in ("Printers", "Plotters")]
    form = read_form(client.get(NEW), "system_id")["fields"]
    forget_proof(client)
    typed = {**form, **PUSH, "kind": "document", "document": DOCUMENT, "secret_API_KEY": "s3cret-9"}
    response = client.post(NEW, {**typed, "groups": [str(group.pk) for group in empty]})
    assert "what you typed is kept" in source(client.get(response["Location"]))
    assert "s3cret-9" not in str(dict(client.session.items()))
    session = client.session
    note_sign_in(session, ingrid)
    session.save()
    again = client.get(NEW)
    page = source(again)
    assert "It is shown again as you typed it, and is not saved yet. Type secrets again." in page
    for kept in ("ZETA printers", "ZETA Printers", "# The tickets of the building's own desk."):
        assert kept in page
    ticked = re.findall(r'name="groups" value="(\d+)"[^>]*checked', page)
    assert {int(key) for key in ticked} == {group.pk for group in empty}
    assert re.search(r'name="kind" value="document"[^>]*checked', page)
    assert "s3cret-9" not in page
    assert "not saved yet" not in source(client.get(NEW))


def test_the_security_log_and_the_history_of_the_administration_name_all_of_it(ingrid):
    response = connect(ingrid, **PUSH)
    events = [pending.fields for pending in PendingEvent.objects.all()]
    kinds = {event["kind"] for event in events if event["actor_name"] == "ingrid"}
    assert {
        *("partner_account_made", "system_created", "authorized_user_set", "group_made_external"),
        *("token_made", "secret_shown"),
    } <= kinds
    entries = LogEntry.objects.filter(user=ingrid)
    assert {entry.content_type.model for entry in entries} == {"user", "externalsystem", "supportgroup", "authtoken"}
    (token,) = {*TOKEN.findall(source(response))}
    kept = " ".join(f"{entry.object_repr} {entry.object_id} {entry.change_message}" for entry in entries)
    kept += str(events)
    assert token not in kept
    assert AuthToken.objects.get().digest not in kept
    assert ExternalSystem.objects.get().signing_secret not in kept


def test_it_is_linked_where_a_system_is_missing_or_managed(ingrid, alice):
    for address in ("/", "/exchange/status/", "/admin/integrations/externalsystem/"):
        assert f'href="{NEW}"' in source(web(ingrid).get(address))
        assert f'href="{NEW}"' not in source(web(alice).get(address))
    assert web(alice).get(NEW).status_code == 403
    assert "You may not connect partners." in source(web(UserFactory(username="bob", roles=[Role.AGENT])).get(NEW))
    ExternalGroupFactory()
    assert f'href="{NEW}"' in source(web(ingrid).get("/exchange/status/"))


def test_what_was_typed_is_kept_over_a_sign_in_but_no_secret(ingrid):
    page = web(ingrid).get(NEW)
    form = {**read_form(page, "system_id")["fields"], **PUSH, "secret_KEY": "s3cret"}
    client = web()
    assert client.post(NEW, form)["Location"].startswith("/accounts/login/")
    client.force_login(ingrid, backend="django.contrib.auth.backends.ModelBackend")
    session = client.session
    note_sign_in(session, ingrid)
    session.save()
    again = source(client.get(NEW))
    assert 'value="https://zeta.example/operations"' in again
    assert "ZETA Printers" in again
    assert "s3cret" not in again
    assert not ExternalSystem.objects.exists()
