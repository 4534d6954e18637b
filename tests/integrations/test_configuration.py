"""`load_exchange` and `dump_exchange`: systems, groups and users as a file."""

from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from changes.models import SupportGroup
from integrations.models import ExternalGroup, ExternalSystem
from tests.factories import SECRET, ChangeFactory, ExternalGroupFactory, ExternalSystemFactory, UserFactory
from tests.rows import each_row

EXAMPLE = """
external_systems:
  - system_id: ACME
    description: ACME managed network
    authorized_user: acme-integration
    delivery: push
    endpoint_url: http://127.0.0.1:9911/operations
    signing_secret: ${ACME_SECRET}
    enabled: true
groups:
  - name: Network
    members: [alice]
  - name: ACME Networks
    external_system: ACME
users:
  - username: alice
    roles: [Service desk agent]
"""
CREATED = [
    "created user alice, without a password",
    "user alice: gave the role Service desk agent",
    "created user acme-integration, without a password",
    "created external system ACME",
    "created group Network",
    "group Network: added member alice",
    "created group ACME Networks",
    "group ACME Networks: is now a group of ACME",
]


@pytest.fixture
def load(db, tmp_path, monkeypatch):
    """Loads a YAML text as the command does, and returns the printed lines."""
    monkeypatch.setenv("ACME_SECRET", SECRET)
    file = tmp_path / "exchange.yaml"

    def load(text):
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        output = StringIO()
        call_command("load_exchange", str(file), stdout=output)
        return output.getvalue().splitlines()

    return load


def dump():
    output = StringIO()
    call_command("dump_exchange", stdout=output)
    return output.getvalue()


def everything():
    """All values that a file can change, to compare before and after."""
    return (
        list(ExternalSystem.objects.order_by("pk").values()),
        list(ExternalGroup.objects.order_by("pk").values()),
        list(SupportGroup.objects.order_by("pk").values("pk", "name", "members")),
        list(get_user_model().objects.order_by("pk").values("pk", "username", "password", "is_staff", "groups")),
    )


def test_the_example_of_the_contract_creates_everything_and_says_so(load):
    assert load(EXAMPLE) == CREATED

    system = ExternalSystem.objects.get()
    assert (system.system_id, system.description, system.delivery) == ("ACME", "ACME managed network", "push")
    assert system.endpoint_url == "http://127.0.0.1:9911/operations"
    assert system.signing_secret == SECRET
    assert system.enabled
    assert not system.authorized_user.is_staff
    assert not system.authorized_user.has_usable_password()
    alice = get_user_model().objects.get(username="alice")
    assert alice.is_staff
    assert not alice.has_usable_password()
    assert [group.name for group in alice.groups.all()] == ["Service desk agent"]
    assert [group.name for group in alice.support_groups.all()] == ["Network"]
    assert ExternalGroup.objects.get().group.name == "ACME Networks"


def test_loading_again_changes_nothing(load):
    load(EXAMPLE)
    before = everything()

    assert load(EXAMPLE) == ["nothing to change"]
    assert everything() == before


def test_a_dump_loaded_again_changes_nothing(load):
    load(EXAMPLE)
    ExternalSystemFactory(system_id="Gamma.1", delivery="pull", endpoint_url="", enabled=False, description="a ${b}: c")
    SupportGroup.objects.create(name="Empty: yes")
    before = everything()

    assert load(dump()) == ["nothing to change"]
    assert everything() == before


def test_a_dump_rebuilds_an_empty_installation(load):
    load(EXAMPLE)
    text = dump()
    ExternalGroup.objects.all().delete()
    ExternalSystem.objects.all().delete()
    SupportGroup.objects.all().delete()
    get_user_model().objects.all().delete()

    load(text)
    assert dump() == text


@pytest.mark.any_database
def test_a_dump_holds_no_secret(load):
    load(EXAMPLE)
    assert "whsec_" not in dump()
    assert "secret" not in dump()


@pytest.mark.any_database
def test_no_secret_is_printed(load):
    other = "whsec_YW5vdGhlci1zZWNyZXQtb2YtdGhlLXRlc3RzLTAxMjM="
    assert SECRET not in "\n".join(load(EXAMPLE))
    lines = load(EXAMPLE.replace("${ACME_SECRET}", other))
    assert lines == ["external system ACME: signing_secret was set anew"]
    assert ExternalSystem.objects.get().signing_secret == other


@pytest.mark.any_database
def test_a_file_without_the_secret_leaves_the_present_one(load):
    load(EXAMPLE)
    assert load(EXAMPLE.replace("    signing_secret: ${ACME_SECRET}\n", "")) == ["nothing to change"]
    assert ExternalSystem.objects.get().signing_secret == SECRET


@pytest.mark.any_database
def test_an_empty_secret_removes_the_present_one(load):
    load(EXAMPLE)
    assert load(EXAMPLE.replace("${ACME_SECRET}", "''")) == ["external system ACME: signing_secret was removed"]
    assert ExternalSystem.objects.get().signing_secret == ""


def test_only_what_differs_is_changed_and_told(load):
    load(EXAMPLE)
    text = EXAMPLE.replace("enabled: true", "enabled: false").replace("managed network", "networks")
    assert load(text) == [
        "external system ACME: description is now ACME networks, was ACME managed network",
        "external system ACME: disabled it",
    ]


@pytest.mark.any_database
def test_enabling_a_system_says_how_much_waits(load):
    load(EXAMPLE.replace("enabled: true", "enabled: false"))
    ChangeFactory(owning_group=SupportGroup.objects.get(name="ACME Networks"))

    (told,) = load(EXAMPLE)
    assert told.startswith("external system ACME: enabled it; 1 waiting operation(s) are sent now, the oldest of 20")


@pytest.mark.any_database
def test_a_list_that_is_named_becomes_exactly_that_list(load):
    load(EXAMPLE)
    UserFactory(username="bob")
    lines = load(
        """
groups: [{name: Network, members: [bob]}]
users: [{username: alice, roles: [Auditor, Change manager]}]
"""
    )
    assert lines == [
        "user alice: gave the role Auditor",
        "user alice: gave the role Change manager",
        "user alice: took the role Service desk agent",
        "group Network: added member bob",
        "group Network: removed member alice",
    ]


@pytest.mark.any_database
def test_what_the_file_does_not_name_stays(load):
    load(EXAMPLE)
    ExternalGroupFactory(group__name="BETA Servers", system__system_id="BETA")
    before = everything()

    assert load("groups: [{name: Network}]\nusers: [{username: alice}]\nexternal_systems: [{system_id: ACME}]") == [
        "nothing to change"
    ]
    assert load("") == ["nothing to change"]
    assert load("groups:\nusers:") == ["nothing to change"]
    assert everything() == before


def test_a_group_can_be_given_to_another_system_and_taken_back(load):
    load(EXAMPLE)
    ExternalSystemFactory(system_id="BETA")
    assert load("groups: [{name: ACME Networks, external_system: BETA}]") == [
        "group ACME Networks: is now a group of BETA"
    ]
    assert load("groups: [{name: ACME Networks, external_system: null}]") == [
        "group ACME Networks: is no longer a group of BETA"
    ]
    assert not ExternalGroup.objects.exists()


@pytest.mark.any_database
def test_a_dollar_sign_can_be_written_as_it_is(load):
    load(EXAMPLE)
    load("external_systems: [{system_id: ACME, description: 'costs $5, $${NAME}, $$'}]")
    assert ExternalSystem.objects.get().description == "costs $5, ${NAME}, $$"


def test_the_limits_of_a_system_are_loaded_told_and_dumped(load):
    load(EXAMPLE.replace("    enabled: true", "    max_in_flight: 4\n    rate_limit: 90\n    enabled: true"))
    system = ExternalSystem.objects.get()
    assert (system.max_in_flight, system.rate_limit) == (4, 90)
    assert "max_in_flight: 4\n  rate_limit: 90\n" in dump()
    told = load("external_systems: [{system_id: ACME, max_in_flight: 8, rate_limit: null}]")
    assert told == [
        "external system ACME: max_in_flight is now 8, was 4",
        "external system ACME: rate_limit is now empty, was 90",
    ]
    system.refresh_from_db()
    assert (system.max_in_flight, system.rate_limit) == (8, None)


@pytest.mark.any_database
def test_a_file_without_the_limits_leaves_the_present_ones(load):
    load(EXAMPLE)
    load("external_systems: [{system_id: ACME, max_in_flight: 4, rate_limit: 90}]")
    assert load(EXAMPLE) == ["nothing to change"]
    system = ExternalSystem.objects.get()
    assert (system.max_in_flight, system.rate_limit) == (4, 90)


SYSTEM = "external_systems: [{system_id: BETA, authorized_user: beta-integration, "
REFUSED = {
    "an unknown section": (
        "partners: []",
        "partners: There is no such field here. Known: external_systems, groups, users.",
    ),
    "an unknown key": (
        "groups: [{name: A, memebers: []}]",
        "groups[0].memebers: There is no such field here. Known: name, members",
    ),
    "an unknown key of the second": (
        "users: [{username: a}, {name: b}]",
        "users[1].name: There is no such field here.",
    ),
    "a list at the top": ("[]", "exchange.yaml: Give a JSON object."),
    "no list": ("groups: {name: A}", "groups: Expected a list of items"),
    "no entry": ("groups: [A]", "groups[0]: Give a JSON object."),
    "no name": ("groups: [{members: []}]", "groups[0].name: This field is required."),
    "an empty name": ("users: [{username: ''}]", "users[0].username: This field may not be blank."),
    "a number for a text": ("groups: [{name: 12}]", "groups[0].name: Give a text"),
    "a text for a switch": (SYSTEM + "enabled: 'true'}]", "external_systems[0].enabled: Give true or false."),
    "a text for a number": (
        SYSTEM + "max_in_flight: '4'}]",
        "external_systems[0].max_in_flight: Give a whole number.",
    ),
    "a switch for a number": (SYSTEM + "max_in_flight: true}]", "external_systems[0].max_in_flight: Give a whole"),
    "null for a number": (
        SYSTEM + "max_in_flight: null}]",
        "external_systems[0].max_in_flight: This field may not be null.",
    ),
    "half a number": (SYSTEM + "rate_limit: 1.5}]", "external_systems[0].rate_limit: Give a whole number."),
    "nothing in flight": (SYSTEM + "delivery: pull, max_in_flight: 0}]", "external_systems[0].max_in_flight: Ensure"),
    "too many in flight": (
        SYSTEM + "delivery: pull, max_in_flight: 501}]",
        "external_systems[0].max_in_flight: Ensure",
    ),
    "a rate of none": (SYSTEM + "delivery: pull, rate_limit: 0}]", "external_systems[0].rate_limit: Ensure"),
    "a text for a list": ("groups: [{name: A, members: alice}]", "groups[0].members: Expected a list of items"),
    "a number in a list": ("groups: [{name: A, members: [5]}]", "groups[0].members[0]: Give a text"),
    "null for a text": (SYSTEM + "description: null}]", "external_systems[0].description: This field may not be null."),
    "one name twice": ("groups: [{name: A}, {name: B}, {name: A}]", "groups[2]: A is already defined at groups[0]."),
    "one key twice": ("groups: []\ngroups: []", "Line 2, column 1 is not valid YAML: duplicate key groups."),
    "one key of an entry twice": ("groups: [{name: A, name: B}]", "duplicate key name."),
    "an alias of what it is in": ("groups: &all [*all]", "an alias is not supported."),
    "a list as a key": ("? [groups]\n: []", "a key is not a text."),
    "the environment in a text that all can read": (
        SYSTEM + "description: 'at ${HOME}'}]",
        "external_systems[0].description: ${HOME} is replaced in secrets only (password, secrets, signing_secret). ",
    ),
    "no YAML": ("groups: [", "is not valid YAML"),
    "a Python object": ("groups: !!python/object:os.system {}", "is not valid YAML"),
    "no UTF-8": (b"groups: \xff", "is not a UTF-8 text file"),
    "an unset variable": (
        SYSTEM + "signing_secret: '${NO_SUCH}'}]",
        "external_systems[0].signing_secret: The environment variable NO_SUCH is not set.",
    ),
    "an unknown member": ("groups: [{name: A, members: [alice, zoe]}]", "groups[0].members[1]: There is no user zoe."),
    "an unknown system": (
        "groups: [{name: A}, {name: B, external_system: acme}]",
        "groups[1].external_system: There is no external system acme.",
    ),
    "an unknown role": (
        "users: [{username: a, roles: [Boss]}]",
        "users[0].roles[0]: Give one of: Service desk agent, ",
    ),
    "a role for a partner's user": (
        "users: [{username: acme-integration, roles: [Auditor]}]",
        "users[0].roles: acme-integration is the authorized user of ACME",
    ),
    "a partner's user as a member": (
        "groups: [{name: A, members: [acme-integration]}]",
        "groups[0].members: acme-integration is a partner's account, which is a member of no group.",
    ),
    "no authorized user": (
        "external_systems: [{system_id: BETA, delivery: pull}]",
        "external_systems[0].authorized_user: A new system needs this",
    ),
    "a member of staff as authorized user": (
        "external_systems: [{system_id: BETA, authorized_user: alice, endpoint_url: 'http://127.0.0.1:9'}]",
        "external_systems[0].authorized_user: The authorized user must not be a member of staff.",
    ),
    "an unknown delivery": (
        SYSTEM + "delivery: carrier pigeon}]",
        "external_systems[0].delivery: Give one of: push, pull, smax, mapped.",
    ),
    "push to nowhere": (SYSTEM + "delivery: push}]", "external_systems[0].endpoint_url: Push needs the URL"),
    "no URL": (SYSTEM + "endpoint_url: ftp://x/}]", "external_systems[0].endpoint_url: Write a URL that begins"),
    "a weak secret": (
        SYSTEM + "endpoint_url: 'http://x/', signing_secret: hush}]",
        "external_systems[0].signing_secret: Write the secret as whsec_",
    ),
    "a system id of another case": (
        "external_systems: [{system_id: acme, authorized_user: acme-integration, endpoint_url: 'http://127.0.0.1:9'}]",
        "external_systems[0]: Another system has this id, in other capitals.",
    ),
    "a name that is too long": (
        f"groups: [{{name: {'x' * 201}}}]",
        "groups[0].name: Ensure this field has no more than 200 characters.",
    ),
    "a user name with spaces": ("users: [{username: 'a b'}]", "users[0].username: "),
}


@pytest.mark.any_database
@each_row("fault", REFUSED)
def test_a_faulty_file_is_refused_with_the_place_of_the_fault_and_changes_nothing(load, fault):
    load(EXAMPLE)
    before = everything()
    text, message = REFUSED[fault]

    with pytest.raises(CommandError) as refusal:
        load(text)
    assert message in str(refusal.value)
    assert everything() == before


def test_a_fault_at_the_end_undoes_what_came_before_it(load):
    UserFactory(username="bob")
    before = everything()
    with pytest.raises(CommandError, match=r"groups\[1\].external_system: There is no external system BETA.\nNothing"):
        load(EXAMPLE.replace("external_system: ACME", "external_system: BETA"))
    assert everything() == before


@pytest.mark.any_database
def test_the_message_about_broken_yaml_does_not_quote_the_file(load):
    with pytest.raises(CommandError) as refusal:
        load(f"external_systems: [{{signing_secret: {SECRET}: x: y}}")
    assert SECRET not in str(refusal.value)


@pytest.mark.any_database
def test_a_missing_file_is_named(db, tmp_path):
    with pytest.raises(CommandError, match=r"none.yaml cannot be read: No such file or directory."):
        call_command("load_exchange", str(tmp_path / "none.yaml"))
