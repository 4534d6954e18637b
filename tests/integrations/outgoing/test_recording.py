"""Section 3 of the rules: no echo, all or nothing, and the content of operations."""

import pytest
from django.db import transaction

from changes.models import Change
from integrations import origin
from integrations.choices import IncomingStatus
from integrations.models import Exchange, IncomingOperation, OutgoingOperation
from tests.factories import (
    ChangeFactory,
)

from .conftest import assign, attach, comment, complete, group, refer, sent, system

pytestmark = pytest.mark.django_db


@pytest.fixture
def cause():
    """Lets the code run as while an operation of ACME is being applied."""
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
