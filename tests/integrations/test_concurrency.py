"""Several writers at once on one change: real threads, each with its own database connection.

No lost edit, no wrong old value, no gap or repeat in the sequence, and each incoming operation applied once.
"""

from itertools import pairwise

import pytest
from django.db import transaction

from changes.models import Change, Comment
from integrations.models import Exchange, ExternalReference, ExternalSystem, IncomingOperation, OutgoingOperation
from integrations.outgoing import outbox
from tests.factories import ChangeFactory, ExternalGroupFactory, SupportGroupFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 6


def sequences(change):
    rows = OutgoingOperation.objects.filter(change=change).select_related("system").order_by("id")
    by_system = {}
    for row in rows:
        by_system.setdefault(row.system.system_id, []).append(row.sequence)
    return by_system


def test_the_sequence_has_no_gap_and_no_repeat(acme, beta, alice, partner_api):
    change = ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))
    ExternalReference.objects.create(change=change, system=beta, external_id="B-1")
    client = partner_api(beta)

    def comments():
        for number in range(ROUNDS):
            Comment(change=change, author=alice, body=f"{number}").save()

    def reassigns():
        for name in ["BETA Servers", "ACME Networks"] * (ROUNDS // 2):
            with transaction.atomic():
                mine = Change.objects.select_for_update().get(pk=change.pk)
                mine.owning_group = SupportGroupFactory(name=name)
                mine.save()

    def partner():
        for number in range(ROUNDS):
            body = {
                "system_id": "BETA",
                "operation": "Update",
                "external_id": "B-1",
                "comments": [{"body": f"{number}"}],
            }
            assert client.post("/api/v1/operations/", body, format="json").status_code == 200

    at_once(comments, reassigns, partner)
    found = sequences(change)
    # ACME: the first Assign, an Accept and an Assign for each pair of reassignments, and all comments of both sides.
    assert len(found["ACME"]) == 1 + ROUNDS + 2 * ROUNDS
    # BETA gets no Update for its own comments.
    assert len(found["BETA"]) == ROUNDS + ROUNDS
    for numbers in found.values():
        assert numbers == [*range(1, len(numbers) + 1)]
    assert {row.system.system_id: row.last_sequence for row in Exchange.objects.all()} == {
        name: len(numbers) for name, numbers in found.items()
    }


def test_the_chain_of_old_and_new_values_in_what_is_sent_has_no_break(acme, beta):
    groups = [ExternalGroupFactory(group__name=f"G{n}", system__system_id=f"S{n}").group for n in range(4)]
    change = ChangeFactory(owning_group=groups[0])

    def reassign(own):
        for step in range(ROUNDS):
            with transaction.atomic():
                mine = Change.objects.select_for_update().get(pk=change.pk)
                mine.owning_group = groups[own[step % 2]]
                mine.save()

    at_once(lambda: reassign((0, 1)), lambda: reassign((2, 3)))
    chain = [
        (row.payload["changed_fields"]["owning_group"]["old"], row.payload["changed_fields"]["owning_group"]["new"])
        for row in OutgoingOperation.objects.filter(operation="Assign").order_by("id")
    ]
    assert all(before[1] == after[0] for before, after in pairwise(chain))


def test_the_same_operation_sent_twice_at_once_is_applied_once(acme, partner_api):
    client = partner_api(acme)
    body = {
        "system_id": "ACME",
        "operation": "Create",
        "external_id": "C-1",
        "properties": {"title": "Once"},
        "comments": [{"body": "Once"}],
    }

    def send():
        return client.post("/api/v1/operations/", body, format="json", headers={"Idempotency-Key": "k"})

    answers = at_once(*[send] * 4)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer for answer in answers) == 3
    assert (Change.objects.count(), Comment.objects.count(), IncomingOperation.objects.count()) == (1, 1, 1)


def test_of_two_creates_for_one_external_id_one_is_a_conflict(acme, partner_api):
    client = partner_api(acme)
    body = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "Once"}}
    answers = at_once(*[lambda: client.post("/api/v1/operations/", body, format="json")] * 4)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert (Change.objects.count(), ExternalReference.objects.count()) == (1, 1)


def test_an_update_twice_at_once_with_one_key_adds_one_comment(acme, partner_api):
    ExternalReference.objects.create(change=ChangeFactory(), system=acme, external_id="C-1")
    client = partner_api(acme)
    body = {"system_id": "ACME", "operation": "Update", "external_id": "C-1", "comments": [{"body": "Once"}]}

    def send():
        return client.post("/api/v1/operations/", body, format="json", headers={"Idempotency-Key": "k"})

    answers = at_once(*[send] * 4)
    assert {answer.status_code for answer in answers} == {200}
    assert Comment.objects.count() == 1


def test_several_workers_claim_each_operation_once(acme):
    acme.max_in_flight = 100
    acme.save()
    for _ in range(20):
        ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))
    claimed = at_once(*[lambda: [row.pk for row in outbox.claim(7)] for _ in range(4)])
    ids = [pk for own in claimed for pk in own]
    assert len(ids) == len(set(ids))
    while rest := outbox.claim(7):
        ids += [row.pk for row in rest]
    assert len(ids) == len(set(ids)) == 20


def test_a_reject_and_a_comment_at_once_end_in_one_order_or_the_other(acme, alice, partner_api):
    """In either order, the Update comes before the Reject or is not recorded."""
    client = partner_api(acme)
    for number in range(ROUNDS):
        change = ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))
        body = {"system_id": "ACME", "operation": "Reject", "change_number": change.number}

        def reject(body=body):
            return client.post("/api/v1/operations/", body, format="json").status_code

        def add(change=change, number=number):
            return Comment(change=change, author=alice, body=f"{number}").save()

        assert at_once(reject, add)[0] == 200
        exchange = Exchange.objects.get(change=change)
        assert exchange.state.is_rejected
        assert exchange.last_sequence == exchange.rejected_at_sequence
        own, rejected = sorted(change.comments.values_list("body", flat=True), key=len)
        assert (own, rejected) == (f"{number}", "Change was rejected by the external fulfillment system")


def test_of_two_ways_of_one_origin_at_once_one_is_ignored(acme, beta, partner_api):
    origin = {"system_id": "FAR", "operation_id": "far-1"}
    ExternalSystem.objects.update(relays_for=["FAR"])

    def send(system):
        body = {"system_id": system.system_id, "operation": "Create", "external_id": "1", "properties": {"title": "T"}}
        client = partner_api(system)
        return lambda: client.post("/api/v1/operations/", {**body, "origin": origin}, format="json").json()["status"]

    assert sorted(at_once(send(acme), send(beta))) == ["Applied", "Ignored"]
    assert Change.objects.count() == 1
