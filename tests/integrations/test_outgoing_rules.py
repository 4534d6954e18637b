"""Section 3 of the rules: which operations a save generates, by table. Each scenario runs through the models' own
signals; tests/integrations/test_state_machine.py comes in by the page, the admin and the API too."""

import pytest
from django.core.files.base import ContentFile
from django.db import transaction

from changes.choices import Phase
from changes.models import Attachment, Change, Comment
from integrations import origin
from integrations.choices import IncomingStatus
from integrations.models import Exchange, ExternalReference, IncomingOperation, OutgoingOperation
from tests.factories import (
    ChangeFactory,
    ExternalGroupFactory,
    ExternalSystemFactory,
    SupportGroupFactory,
    UserFactory,
    change_in,
)
from tests.rows import each_row

pytestmark = pytest.mark.django_db

GROUPS = {
    "Network": None,
    "Servers": None,
    "ACME Networks": "ACME",
    "ACME Servers": "ACME",
    "BETA Hosting": "BETA",
    "GAMMA Software": "GAMMA",
}


@pytest.fixture(autouse=True)
def groups():
    for name, system_id in GROUPS.items():
        group = SupportGroupFactory(name=name)
        if system_id:
            ExternalGroupFactory(group=group, system=ExternalSystemFactory(system_id=system_id))


def group(name):
    return SupportGroupFactory(name=name) if name else None


def system(system_id):
    return ExternalSystemFactory(system_id=system_id)


def sent(change, since=0):
    """The operations recorded for a change so far, in the order of recording: `Assign ACME`."""
    rows = OutgoingOperation.objects.filter(change=change).select_related("system").order_by("id")
    return [f"{row.operation} {row.system.system_id}" for row in rows][since:]


def assign(change, name):
    change.owning_group = group(name)
    change.save()


def complete(change, code):
    change.completion_code = code
    change.save()


def comment(change, visibility="public"):
    Comment(change=change, author=UserFactory(username="alice"), body="Hello", visibility=visibility).save()


def attach(change):
    alice = UserFactory(username="alice")
    Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="x.txt").save()


def refer(change, system_id, external_id="C-1"):
    ExternalReference.objects.create(change=change, system=system(system_id), external_id=external_id)


def reject(change, system_id):
    """What an incoming Reject leaves behind (its own test: test_incoming_rules.py)."""
    exchange, _ = Exchange.objects.get_or_create(change=change, system=system(system_id))
    exchange.state = exchange.state.after_reject()
    exchange.save()
    ExternalReference.objects.filter(change=change, system=system(system_id)).delete()


REASSIGNMENTS = """
from            to               operations
-               -
-               Network
-               ACME Networks    Assign ACME
Network         -
Network         Network
Network         Servers
Network         ACME Networks    Assign ACME
ACME Networks   -                Accept ACME
ACME Networks   Network          Accept ACME
ACME Networks   ACME Networks
ACME Networks   ACME Servers
ACME Networks   BETA Hosting     Accept ACME, Assign BETA
BETA Hosting    ACME Servers     Accept BETA, Assign ACME
"""


def rows(table):
    header, *lines = table.strip("\n").splitlines()
    columns = [header.index(word) for word in header.split()]
    for line in lines:
        cells = [line[start:end].strip() for start, end in zip(columns, [*columns[1:], None], strict=True)]
        yield [cell if cell != "-" else None for cell in cells]


@each_row(("before", "after", "operations"), [*rows(REASSIGNMENTS)])
@each_row("phase", ["Log", "Evaluate", "Plan", "ApprovePlan", "Deploy", "Backout", "Validate", "Review"])
def test_a_change_of_the_owning_group(phase, before, after, operations):
    """The same in all metaphases."""
    change = change_in(phase)
    assign(change, before)
    already = len(sent(change))
    assign(change, after)
    assert sent(change, already) == (operations.split(", ") if operations else [])


@each_row("name", [None, *GROUPS])
def test_creating_a_record_is_a_change_from_nothing(name):
    change = ChangeFactory(owning_group=group(name))
    assert sent(change) == ([f"Assign {GROUPS[name]}"] if GROUPS.get(name) else [])
    assert Change.objects.count() == 1


def test_creating_a_withdrawn_record_assigns_and_cancels():
    change = ChangeFactory(owning_group=group("ACME Networks"), completion_code="Withdrawn")
    assert sent(change) == ["Assign ACME", "Cancel ACME"]


class TestCancel:
    @each_row("phase", ["Log", "Evaluate", "Plan", "ApprovePlan", "Deploy", "Backout", "Validate", "Review"])
    def test_withdrawn_cancels_at_every_linked_system_in_every_phase(self, phase):
        change = change_in(phase)
        assign(change, "BETA Hosting")
        assign(change, "ACME Networks")
        refer(change, "GAMMA")
        already = len(sent(change))
        complete(change, "Withdrawn")
        assert sent(change, already) == ["Cancel ACME", "Cancel BETA", "Cancel GAMMA"]

    @each_row("code", ["Successful", "SuccessfulWithProblems", "Failed", "BackedOut", "Rejected", None])
    def test_no_other_completion_code_sends_anything(self, code):
        change = ChangeFactory(owning_group=group("ACME Networks"))
        complete(change, "Failed" if code != "Failed" else "Rejected")
        already = len(sent(change))
        complete(change, code)
        assert sent(change, already) == []

    def test_a_change_without_a_partner_sends_nothing(self):
        change = ChangeFactory()
        complete(change, "Withdrawn")
        assert sent(change) == []

    def test_one_cancel_per_exchange_also_when_withdrawn_is_cleared_and_set_again(self):
        change = ChangeFactory(owning_group=group("ACME Networks"))
        for code in ("Withdrawn", None, "Withdrawn", "Rejected", "Withdrawn"):
            complete(change, code)
        assert sent(change) == ["Assign ACME", "Cancel ACME"]

    def test_a_new_assign_starts_the_exchange_anew(self):
        change = ChangeFactory(owning_group=group("ACME Networks"))
        complete(change, "Withdrawn")
        complete(change, None)
        assign(change, "Network")
        assign(change, "ACME Networks")
        comment(change)
        complete(change, "Withdrawn")
        assert sent(change) == [
            *("Assign ACME", "Cancel ACME", "Accept ACME", "Assign ACME", "Update ACME", "Cancel ACME")
        ]


class TestUpdate:
    @each_row("add", [comment, attach])
    @each_row("phase", Phase.values)
    def test_each_addition_goes_to_every_linked_system_in_every_phase(self, phase, add):
        change = change_in("Log" if phase == "Evaluate" else phase)
        refer(change, "BETA")
        refer(change, "ACME")
        add(change)
        add(change)
        assert sent(change) == ["Update ACME", "Update BETA"] * 2

    def test_none_after_a_cancel(self):
        change = ChangeFactory(owning_group=group("ACME Networks"))
        comment(change)
        complete(change, "Withdrawn")
        comment(change)
        attach(change)
        complete(change, None)
        comment(change)
        assert sent(change) == ["Assign ACME", "Update ACME", "Cancel ACME"]

    def test_a_cancel_to_one_system_does_not_silence_another_that_is_linked_later(self):
        change = ChangeFactory(owning_group=group("ACME Networks"))
        complete(change, "Withdrawn")
        assign(change, "BETA Hosting")
        comment(change)
        assert sent(change) == ["Assign ACME", "Cancel ACME", "Accept ACME", "Assign BETA", "Update BETA"]

    def test_a_change_without_a_partner_sends_nothing(self):
        change = ChangeFactory()
        comment(change)
        attach(change)
        assert sent(change) == []


class TestPrivacy:
    def test_a_private_comment_generates_nothing_and_is_in_no_payload(self):
        change = ChangeFactory(owning_group=group("ACME Networks"))
        alice = UserFactory(username="alice")
        Comment(change=change, author=alice, body="Their price is too high", visibility="private").save()
        assert sent(change) == ["Assign ACME"]
        comment(change)
        complete(change, "Withdrawn")
        assert sent(change) == ["Assign ACME", "Update ACME", "Cancel ACME"]
        payloads = str([*OutgoingOperation.objects.values_list("payload", flat=True)])
        assert "price" not in payloads
        assert "Hello" in payloads


class TestLinks:
    def test_an_accept_leaves_the_link_in_place(self):
        change = ChangeFactory(owning_group=group("ACME Networks"))
        assign(change, "Network")
        comment(change)
        complete(change, "Withdrawn")
        assert sent(change) == ["Assign ACME", "Accept ACME", "Update ACME", "Cancel ACME"]

    def test_a_group_that_becomes_external_links_the_changes_that_it_owns(self):
        change = ChangeFactory(owning_group=group("Network"))
        ExternalGroupFactory(group=group("Network"), system=system("GAMMA"))
        comment(change)
        assert sent(change) == ["Update GAMMA"]

    def test_whether_something_was_delivered_decides_nothing(self):
        change = ChangeFactory(owning_group=group("ACME Networks"))
        OutgoingOperation.objects.update(status="Delivered")
        assign(change, "Network")
        comment(change)
        assert sent(change) == ["Assign ACME", "Accept ACME", "Update ACME"]


AFTER_A_REJECT = [
    ("a comment", lambda change: comment(change), []),
    ("an attachment", lambda change: attach(change), []),
    ("withdrawing", lambda change: complete(change, "Withdrawn"), []),
    ("taking it back", lambda change: assign(change, "Network"), []),
    ("another group of the system", lambda change: assign(change, "ACME Servers"), []),
    ("another system's group", lambda change: assign(change, "BETA Hosting"), ["Assign BETA"]),
    ("a reference that comes back", lambda change: (refer(change, "ACME", "C-2"), comment(change)), []),
    (
        "taking it back and giving it anew",
        lambda change: (assign(change, "Network"), assign(change, "ACME Networks"), comment(change)),
        ["Assign ACME", "Update ACME"],
    ),
]


@each_row(("what", "act", "operations"), AFTER_A_REJECT)
def test_after_a_reject_nothing_but_a_new_assign_goes_there(what, act, operations):
    change = ChangeFactory(owning_group=group("ACME Networks"))
    refer(change, "ACME")
    reject(change, "ACME")
    already = len(sent(change))
    act(change)
    assert sent(change, already) == operations


UNRELATED = [
    ("title", "Other"),
    ("description", "Other"),
    ("risk", "High"),
    ("urgency", "NoDisruption"),
    ("completion_code", "Failed"),
    ("implementation_plan", "Other"),
    ("planned_start", None),
]


@each_row(("field", "value"), UNRELATED)
def test_other_fields_send_nothing(field, value):
    change = ChangeFactory(owning_group=group("ACME Networks"))
    setattr(change, field, value)
    change.save()
    assert sent(change) == ["Assign ACME"]


def test_a_transition_sends_nothing():
    change = ChangeFactory(owning_group=group("ACME Networks"))
    change.move_to("Evaluate")
    change.save()
    assert sent(change) == ["Assign ACME"]


def test_saving_the_same_again_sends_nothing():
    change = ChangeFactory(owning_group=group("ACME Networks"), completion_code="Withdrawn")
    already = sent(change)
    change.save()
    change.title = "Other"
    change.save()
    Change.objects.get(pk=change.pk).save()
    assert sent(change) == already


def test_one_save_that_reassigns_and_withdraws_yields_both_in_order():
    change = ChangeFactory(owning_group=group("ACME Networks"))
    change.owning_group = group("BETA Hosting")
    change.completion_code = "Withdrawn"
    change.save()
    assert sent(change) == ["Assign ACME", "Accept ACME", "Assign BETA", "Cancel ACME", "Cancel BETA"]


@pytest.fixture
def cause():
    """An operation of ACME that is being applied."""
    acme = system("ACME")
    operation = IncomingOperation.objects.create(
        system=acme,
        user=acme.authorized_user,
        operation="Update",
        status=IncomingStatus.APPLIED,
        payload={},
        http_status=200,
    )
    with origin.applying(operation):
        yield operation


class TestNoEcho:
    ACTS = [
        (lambda change: assign(change, "ACME Networks"), ["Accept BETA"]),
        (lambda change: assign(change, "GAMMA Software"), ["Accept BETA", "Assign GAMMA"]),
        (lambda change: complete(change, "Withdrawn"), ["Cancel BETA"]),
        (lambda change: comment(change), ["Update BETA"]),
        (lambda change: attach(change), ["Update BETA"]),
    ]

    @pytest.mark.parametrize(("act", "operations"), ACTS)
    def test_the_sender_hears_nothing_of_it_and_the_others_do(self, cause, act, operations):
        with origin.applying(None):
            change = ChangeFactory(owning_group=group("BETA Hosting"))
            refer(change, "ACME")
        already = len(sent(change))
        act(change)
        assert sent(change, already) == operations
        causes = OutgoingOperation.objects.filter(change=change).order_by("id")[already:]
        assert {row.cause for row in causes} == {cause}

    def test_what_the_sender_leaves_is_not_accepted_to_it(self, cause):
        with origin.applying(None):
            change = ChangeFactory(owning_group=group("ACME Networks"))
        assign(change, "BETA Hosting")
        assert sent(change) == ["Assign ACME", "Assign BETA"]


class TestAllOrNothing:
    def test_rolled_back_neither_exists(self):
        change = ChangeFactory()
        with pytest.raises(RuntimeError), transaction.atomic():
            assign(change, "ACME Networks")
            raise RuntimeError
        assert Change.objects.get().owning_group == group("Network")
        assert not OutgoingOperation.objects.exists()
        assert not Exchange.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_an_outbox_that_cannot_be_written_rolls_the_save_back(self, monkeypatch):
        change = ChangeFactory()

        def broken(*args, **kwargs):
            raise RuntimeError

        monkeypatch.setattr("integrations.outgoing.payloads.change_snapshot", broken)
        change.owning_group = group("ACME Networks")
        with pytest.raises(RuntimeError):
            change.save()
        assert Change.objects.get().owning_group == group("Network")
        assert not OutgoingOperation.objects.exists()


def test_a_disabled_system_still_gets_its_operations_recorded():
    acme = system("ACME")
    acme.enabled = False
    acme.save()
    change = ChangeFactory(owning_group=group("ACME Networks"))
    comment(change)
    assert sent(change) == ["Assign ACME", "Update ACME"]
    assert {row.status for row in OutgoingOperation.objects.all()} == {"Waiting"}


class TestPayload:
    def test_it_is_the_record_as_it_was_when_the_operation_was_recorded(self):
        change = ChangeFactory(title="Before", owning_group=group("ACME Networks"))
        change.title = "After"
        change.save()
        assert OutgoingOperation.objects.get().payload["change"]["title"] == "Before"

    def test_it_says_what_changed_with_old_and_new_value(self):
        change = ChangeFactory(owning_group=group("Network"))
        change.owning_group = group("ACME Networks")
        change.risk = "High"
        change.save()
        assert OutgoingOperation.objects.get().payload["changed_fields"] == {
            "owning_group": {"old": "Network", "new": "ACME Networks"},
            "risk": {"old": "Low", "new": "High"},
        }

    def test_what_a_partial_save_leaves_in_memory_is_no_fact(self):
        change = ChangeFactory(title="Stored", owning_group=group("ACME Networks"))
        change.title, change.owning_group = "Only in memory", group("BETA Hosting")
        change.completion_code = "Withdrawn"
        change.save(update_fields=["completion_code"])
        assert sent(change) == ["Assign ACME", "Cancel ACME"]
        assert OutgoingOperation.objects.get(operation="Cancel").payload["change"]["title"] == "Stored"

    def test_the_sequence_counts_per_change_and_system(self):
        first = ChangeFactory(owning_group=group("ACME Networks"))
        second = ChangeFactory(owning_group=group("ACME Networks"))
        for change in (first, second, first):
            comment(change)
        refer(first, "BETA")
        comment(first)
        numbers = [
            (row.change_id - first.pk, row.system.system_id, row.sequence)
            for row in OutgoingOperation.objects.order_by("change_id", "system__system_id", "sequence")
        ]
        assert numbers == [
            *((0, "ACME", 1), (0, "ACME", 2), (0, "ACME", 3), (0, "ACME", 4), (0, "BETA", 1)),
            *((1, "ACME", 1), (1, "ACME", 2)),
        ]

    def test_a_partner_sees_its_own_reference_only(self):
        change = ChangeFactory()
        refer(change, "ACME", "A-1")
        refer(change, "BETA", "B-1")
        comment(change)
        seen = {
            row.system.system_id: [item["external_id"] for item in row.payload["change"]["external_references"]]
            for row in OutgoingOperation.objects.all()
        }
        assert seen == {"ACME": ["A-1"], "BETA": ["B-1"]}

    def test_ids_are_uuid7(self):
        ChangeFactory(owning_group=group("ACME Networks"))
        assert OutgoingOperation.objects.get().pk.version == 7
