"""How a partner that collects is registered: in the administration, and by a configuration file."""

from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from knox.models import AuthToken

from integrations.models import ExternalSystem
from tests.html_forms import errors, post_form, read_form
from tests.pages import text, web
from tests.rows import each_row
from tests.security.security_log import events, last, told

PASSWORD = "an adapter's long password"


def form_of(system):
    return f"/admin/integrations/externalsystem/{system.pk}/change/"


def stored():
    return ExternalSystem.objects.select_related("authorized_user").get()


def post(person, system, **typed):
    return post_form(web(person), form_of(system), **typed)


@pytest.fixture
def smax(acme):
    """ACME with an SMAX adapter."""
    acme.delivery = "smax"
    acme.save()
    return acme


@pytest.fixture
def load(db, tmp_path, monkeypatch):
    monkeypatch.setenv("ACME_PASSWORD", PASSWORD)

    def load(**values):
        file, output = tmp_path / "exchange.yaml", StringIO()
        lines = "".join(f"\n    {key}: {value}" for key, value in values.items())
        file.write_text(f"external_systems:\n  - system_id: ACME{lines}\n")
        call_command("load_exchange", str(file), stdout=output)
        return output.getvalue().splitlines()

    return load


def dumped():
    output = StringIO()
    call_command("dump_exchange", stdout=output)
    return output.getvalue()


# --- In the administration ---


@each_row(("typed", "kept"), [("pull", {}), ("smax", {})])
def test_each_way_of_delivery_can_be_chosen_without_an_endpoint(ingrid, acme, typed, kept):
    assert post(ingrid, acme, delivery=typed, endpoint_url="").status_code == 302
    assert (stored().delivery, stored().smax) == (typed, kept)


def test_the_form_says_which_fields_are_for_which_way(ingrid, acme):
    page = text(web(ingrid).get(form_of(acme)))
    assert page.count("Only for push, when we call the partner.") == 2
    assert "Only for a partner whose SMAX adapter collects its operations." in page


VALUES = "PhaseId:\n  Deploy: Ausführung\nRiskAssessment: {Low: '1', High: '3'}"


def test_the_settings_of_smax_are_typed_and_kept_without_the_defaults(ingrid, smax):
    typed = {"smax_entity_types": "Incident, Request", "smax_unknown_properties": "refuse", "smax_values": VALUES}
    assert post(ingrid, smax, **typed).status_code == 302
    values = {"PhaseId": {"Deploy": "Ausführung"}, "RiskAssessment": {"Low": "1", "High": "3"}}
    assert stored().smax == {
        "entity_types": ["Incident", "Request"],
        "values": values,
        "unknown_properties": "refuse",
    }
    fields = read_form(web(ingrid).get(form_of(smax)), "smax_values")["fields"]
    assert fields["smax_entity_types"] == ["Incident, Request"]
    assert "Deploy: Ausführung" in fields["smax_values"][0]
    # What is shown can be saved again, and changes nothing; emptied fields are the defaults.
    assert post(ingrid, smax).status_code == 302
    assert stored().smax["values"] == values
    empty = {"smax_entity_types": "", "smax_unknown_properties": "ignore", "smax_values": ""}
    assert post(ingrid, smax, **empty).status_code == 302
    assert stored().smax == {}


@each_row(
    ("field", "typed", "said"),
    [
        ("smax_entity_types", "Change, a-b", "Give the name of an entity type"),
        ("smax_entity_types", "Person", "Person stands for something else than changes."),
        ("smax_values", "Phase: {Deploy: x}", "Phase: The values of this property are not translated."),
        ("smax_values", "PhaseId: {Deplo: x}", "PhaseId.Deplo: We have no such value. Ours: Log, "),
        ("smax_values", "PhaseId: {Deploy: 1}", "PhaseId.Deploy: Give a text of 1 to"),
        ("smax_values", "PhaseId: {Deploy: Log}", "PhaseId.Deploy: Log always stands for Log"),
        ("smax_values", "PhaseId: {Deploy: x", "Line 1, column"),
        ("smax_values", "- Deploy", "Give an object with a table for each property."),
        ("smax_values", '{"Urgency": {"x": "y"}}', "Urgency.x: We have no such value."),
    ],
)
def test_a_setting_that_cannot_be_is_an_error_at_its_field(ingrid, smax, field, typed, said):
    response = post(ingrid, smax, **{field: typed}, description="Altered")
    assert said in " ".join(errors(response)[field])
    assert (stored().smax, stored().description) == ({}, smax.description)


def test_a_password_is_set_hidden_and_kept(ingrid, audrey, smax):
    AuthToken.objects.create(smax.authorized_user)
    assert "Not set: an adapter cannot sign in" in text(_without_password(ingrid, smax))
    response = post_form(web(ingrid), form_of(smax), new_password=PASSWORD, follow=True)
    assert "The password of acme-integration is set." in text(response)
    assert "One API token of acme-integration is revoked." in text(response)
    assert stored().authorized_user.check_password(PASSWORD)
    for person in (ingrid, audrey):
        page = web(person).get(form_of(smax)).content.decode()
        assert PASSWORD not in page
        assert "Set" in page
    assert post(ingrid, smax, description="Altered").status_code == 302
    assert stored().authorized_user.check_password(PASSWORD)


def _without_password(person, system):
    user = system.authorized_user
    user.set_unusable_password()
    user.save()
    AuthToken.objects.create(user)
    return web(person).get(form_of(system))


@each_row(
    ("typed", "said"),
    [
        ({"new_password": "short"}, "This password is too short."),
        ({"new_password": "acme-integration"}, "too similar to the username"),
        ({"new_password": PASSWORD, "delivery": "pull"}, "Only the adapter of an SMAX signs in with a password."),
    ],
)
def test_a_password_that_cannot_be_is_an_error_and_sets_nothing(ingrid, smax, typed, said):
    before = smax.authorized_user.password
    response = post(ingrid, smax, **typed)
    assert said in " ".join(errors(response)["new_password"])
    assert f'value="{typed["new_password"]}"' not in response.content.decode()
    assert stored().authorized_user.password == before


def test_the_form_gives_no_member_of_staff_a_password(ingrid, smax, alice):
    """As after an upgrade: the authorized user is one that no longer may be one."""
    before = alice.password
    ExternalSystem.objects.update(authorized_user=alice)
    response = post(ingrid, smax, new_password=PASSWORD)
    assert "must not be a member of staff" in " ".join(errors(response)["authorized_user"])
    alice.refresh_from_db()
    assert alice.password == before


@each_row(
    ("was", "becomes", "said"),
    [
        ("push", "pull", "2 operations wait until ACME collects them."),
        ("push", "smax", "2 operations wait until ACME collects them."),
        ("pull", "push", "2 operations are sent to ACME now, even those that were handed out before."),
    ],
)
def test_a_new_way_of_delivery_says_what_becomes_of_what_waits(ingrid, acme, given, was, becomes, said):
    ExternalSystem.objects.update(delivery=was, endpoint_url="http://127.0.0.1:9/x")
    given("Router", 1)
    response = post_form(web(ingrid), form_of(acme), delivery=becomes, follow=True)
    assert said in text(response)


def test_enabling_it_says_that_what_waits_is_collected(ingrid, acme, given):
    given("Router", 1)
    ExternalSystem.objects.update(enabled=False)
    start = f"/admin/integrations/externalsystem/{acme.pk}/start/"
    assert "Enable and have 2 collected" in text(web(ingrid).get(start))
    done = post_form(web(ingrid), start, having="decision", decision="send", follow=True)
    assert "Enabled ACME. Operations to collect now: 2." in text(done)


def test_a_reader_sees_the_settings_in_words(audrey, smax):
    ExternalSystem.objects.update(smax={"entity_types": ["Incident"], "values": {"PhaseId": {"Deploy": "Execute"}}})
    page = text(web(audrey).get(form_of(smax)))
    assert "Incident" in page
    assert "PhaseId: Deploy → Execute" in page
    assert "Ignore, with a note on the operation" in page


def test_the_security_log_tells_it_without_the_password(ingrid, acme):
    before = last()
    smax = {"delivery": "smax", "smax_entity_types": "Incident", "new_password": PASSWORD}
    assert post(ingrid, acme, **smax).status_code == 302
    assert told(before) == [
        "ingrid changed the system ACME. [delivery: pull -> smax] [SMAX: {} -> {'entity_types': ['Incident']}]",
        "ingrid changed the password of acme-integration.",
    ]
    assert PASSWORD not in str([(event.details, event.object_text) for event in events(before)])


# --- By a file ---


def test_a_file_registers_an_adapter_and_a_second_run_changes_nothing(load):
    values = {
        "authorized_user": "acme-integration",
        "password": "${ACME_PASSWORD}",
        "delivery": "smax",
        "smax": "{entity_types: [Incident], values: {PhaseId: {Deploy: Execute}}, unknown_properties: ignore}",
    }
    assert load(**values) == [
        "created user acme-integration",
        "created external system ACME",
        "user acme-integration: the password was set",
    ]
    assert stored().authorized_user.check_password(PASSWORD)
    assert stored().smax == {"entity_types": ["Incident"], "values": {"PhaseId": {"Deploy": "Execute"}}}
    assert load(**values) == ["nothing to change"]
    text = dumped()
    assert "unknown_properties: ignore" in text
    assert "password" not in text
    assert PASSWORD not in text
    AuthToken.objects.create(stored().authorized_user)
    changed = load(password="another long password", smax="{}")
    assert changed == [
        'external system ACME: smax is now the default, was {"entity_types": ["Incident"], '
        '"values": {"PhaseId": {"Deploy": "Execute"}}}',
        "user acme-integration: the password was set; 1 API token(s) were revoked",
    ]


@each_row(
    ("values", "said"),
    [
        ({"password": "short"}, "password: This password is too short."),
        ({"password": "${NO_SUCH}"}, "password: The environment variable NO_SUCH is not set."),
        ({"password": PASSWORD, "delivery": "pull"}, "password: Only the adapter of an SMAX signs in"),
        ({"smax": "{values: {PhaseId: {Deplo: x}}}"}, "smax.values.PhaseId.Deplo: We have no such value."),
        ({"smax": "{entity_types: [Change, Person]}"}, "smax.entity_types[1]: Person stands for something else"),
    ],
)
def test_a_faulty_file_changes_nothing(load, smax, values, said):
    before = stored().authorized_user.password
    with pytest.raises(CommandError) as refused:
        load(**values, description="Altered")
    assert f"external_systems[0].{said}" in str(refused.value)
    assert (stored().description, stored().authorized_user.password) == (smax.description, before)


def test_a_file_says_what_becomes_of_what_waits(load, acme, given):
    given("Router", 1)
    (said,) = load(delivery="smax")
    assert said.startswith("external system ACME: delivery is now smax, was pull; 2 waiting operation(s) can be")


# --- The password opens no page ---


@each_row("address", ["/accounts/login/", "/admin/login/"])
def test_a_partner_s_password_opens_no_page(load, acme, address):
    load(password="${ACME_PASSWORD}", delivery="smax")
    assert get_user_model().objects.get(username="acme-integration").check_password(PASSWORD)
    client = Client()
    answer = client.post(address, {"username": "acme-integration", "login": "acme-integration", "password": PASSWORD})
    assert "sessionid" not in client.cookies or "_auth_user_id" not in client.session
    assert answer.status_code in (200, 302)
    for page in ("/", "/changes/", "/accounts/security/", "/admin/"):
        assert client.get(page).status_code == 302, page


@each_row("has_password", [True, False])
def test_a_check_warns_of_an_adapter_that_cannot_sign_in(smax, has_password):
    if not has_password:
        smax.authorized_user.set_unusable_password()
        smax.authorized_user.save()
    output = StringIO()
    call_command("check", "--database", "default", stderr=output)
    assert ("integrations.W008" in output.getvalue()) != has_password
