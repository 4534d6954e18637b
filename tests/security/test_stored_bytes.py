"""What a partner can make us store: in one operation, and in an hour."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models

from changes import rate_limits
from changes.models import Change, Comment, RateCounter
from integrations.models import ExternalReference, IncomingOperation, OutgoingOperation
from integrations.outgoing import delivery
from tests.factories import ChangeFactory
from tests.integrations.partner import Partner

pytestmark = pytest.mark.django_db
OPERATIONS = "/api/v1/operations/"
LONG = "x" * 50_000


@pytest.fixture(autouse=True)
def _no_shares(new_day):
    rate_limits.forget()
    yield
    rate_limits.forget()


@pytest.fixture
def change(acme, beta):
    """A change with long texts, which ACME holds and BETA hears of."""
    change = ChangeFactory(description=LONG, implementation_plan=LONG, owning_group=acme.external_groups.get().group)
    for system, number in ((acme, "A-1"), (beta, "B-1")):
        ExternalReference.objects.create(change=change, system=system, external_id=number)
    return change


def stored() -> int:
    """The bytes in all columns of all rows that an operation can add to."""
    history = Change.history.model
    kinds: list[type[models.Model]] = [Change, history, Comment, IncomingOperation, OutgoingOperation]
    return sum(
        len(str(field.get_prep_value(getattr(row, field.attname)) or "").encode())
        for kind in kinds
        for row in kind._default_manager.all()
        for field in kind._meta.concrete_fields
    )


def update(client, key="k-1", **fields):
    body = {"system_id": "ACME", "operation": "Update", "external_id": "A-1", **fields}
    answer = client.post(OPERATIONS, body, format="json", headers={"Idempotency-Key": key})
    return len(json.dumps(body)), answer


def test_a_hundred_comments_make_one_snapshot_for_each_system_that_hears_of_them(partner_api, acme, beta, change):
    before = stored()
    comments = [{"body": f"Rack {number} is done"} for number in range(100)]
    sent, answer = update(partner_api(acme), comments=comments)
    assert answer.status_code == 200, answer.content
    assert OutgoingOperation.objects.filter(system=beta, operation="Update").count() == 100
    # The answer and one snapshot. The rest is in proportion: each comment here, and in its message to BETA.
    copies = len(json.dumps(answer.json()["change"])) * 2
    assert stored() - before < copies + 20 * sent


def test_every_message_has_the_whole_change_all_the_same(partner_api, acme, beta, change):
    partner = Partner()
    try:
        beta.endpoint_url = partner.url
        beta.save()
        update(partner_api(acme), comments=[{"body": "one"}, {"body": "two"}], properties={"title": "Another"})
        update(partner_api(acme), "k-2", comments=[{"body": "three"}])
        delivery.drain()
        messages = [received[1] for received in partner.received]
    finally:
        partner.close()
    assert [message["comment"]["body"] for message in messages] == ["one", "two", "three"]
    assert [message["change"]["title"] for message in messages] == ["Another"] * 3
    assert {message["change"]["description"] for message in messages} == {LONG}
    assert len({tuple(message) for message in messages}) == 1  # the members, in their order


def test_over_the_budget_of_its_hour_a_partner_waits_and_nothing_more_is_stored(
    partner_api, acme, change, settings, time_machine
):
    settings.PARTNER_BYTES_PER_HOUR = 1_000_000
    time_machine.move_to("2026-11-24T09:20:00Z", tick=False)
    client, statuses = partner_api(acme), []
    for number in range(12):
        _, answer = update(client, f"k-{number}", properties={"title": f"Title {number}"})
        statuses.append(answer.status_code)
    # Little is sent, but each makes two copies of the change: in the answer, and in the history.
    assert statuses == [200] * 5 + [429] * 7
    assert answer.headers["Retry-After"] == "2400"
    assert "ACME has made us store 1000000 bytes within this hour" in answer.json()["detail"]
    before = stored()
    assert update(client, "k-99", comments=[{"body": "More"}])[1].status_code == 429
    file = {"file": SimpleUploadedFile("a.txt", b"x" * 10)}
    address = f"/api/v1/changes/{change.number}/attachments/"
    assert client.post(address, file, format="multipart").status_code == 429
    assert stored() == before
    time_machine.move_to("2026-11-24T10:00:00Z", tick=False)
    assert update(client, "k-99", comments=[{"body": "More"}])[1].status_code == 200


def test_what_is_refused_is_kept_in_the_log_and_paid_for_too(partner_api, acme, change, settings):
    settings.PARTNER_BYTES_PER_HOUR = 300_000
    client, statuses = partner_api(acme), []
    for body in (
        {"system_id": "ACME", "operation": "Update", "external_id": "A-1", "nonsense": "x" * 60_000},
        {"system_id": "ACME", "operation": "Update", "external_id": "unknown", "comments": [{"body": "x" * 60_000}]},
        {"system_id": "NO-SUCH", "operation": "Update", "nonsense": "x" * 15_000},
    ):
        statuses += [client.post(OPERATIONS, body, format="json").status_code for _ in range(4)]
    assert statuses == [400] * 4 + [429] * 4 + [403] * 3 + [429]
    before = stored()
    assert client.post(OPERATIONS, body, format="json").status_code == 429
    assert stored() == before


def test_the_copies_of_comments_are_counted_in_bytes(partner_api, acme, beta, change, settings):
    settings.PARTNER_BYTES_PER_HOUR = 2_000_000
    before = stored()
    comments = [{"body": "\N{GRINNING FACE}" * 2000} for _ in range(100)]
    assert update(partner_api(acme), comments=comments)[1].status_code == 200
    made = stored() - before
    counted = sum(RateCounter.objects.filter(name__startswith="stored:").values_list("counted", flat=True))
    assert 0.6 * made < counted  # the rest is JSON's way to write them


def test_the_budget_is_each_systems_own(partner_api, acme, beta, change, settings):
    settings.PARTNER_BYTES_PER_HOUR = 1000
    assert update(partner_api(acme), comments=[{"body": "x" * 2000}])[1].status_code == 429
    body = {"system_id": "BETA", "operation": "Update", "external_id": "B-1", "external_status": "Open"}
    assert partner_api(beta).post(OPERATIONS, body, format="json").status_code == 200
