"""Section 3 of the rules: the operations that each event on a change causes, for each system."""

import pytest
from django.db import transaction

from changes.choices import Phase
from changes.models import Change, Comment
from integrations.models import Exchange, ExternalReference, OutgoingOperation
from tests.factories import (
    ChangeFactory,
    ExternalGroupFactory,
    UserFactory,
    change_in,
)
from tests.rows import each_row

from .conftest import GROUPS, assign, attach, comment, complete, group, refer, rows, sent, system

pytestmark = pytest.mark.django_db


def reject(change, system_id):
    """Sets the state after an incoming Reject. The Reject itself is tested in incoming/test_operations.py."""
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


@each_row("phase", ["Log", "Evaluate", "Plan", "ApprovePlan", "Deploy", "Backout", "Validate", "Review"])
def test_a_change_of_the_owning_group(subtests, phase):
    """The same in all metaphases."""
    key = change_in(phase).pk
    for before, after, operations in rows(REASSIGNMENTS):
        with subtests.test(before=before, after=after), transaction.atomic():
            change = Change.objects.get(pk=key)
            assign(change, before)
            already = len(sent(change))
            assign(change, after)
            assert sent(change, already) == (operations.split(", ") if operations else [])
            transaction.set_rollback(True)


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
