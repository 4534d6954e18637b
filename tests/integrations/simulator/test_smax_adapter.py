"""The simulator's SMAX adapter, which was written from the protocol alone, plays a whole cycle against this server."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from changes.models import Change, Comment
from integrations.choices import Confirmation, DeliveryStatus
from integrations.models import DeliveryAttempt, ExternalReference, ExternalSystem, OutgoingOperation
from integrations.sandbox.simulator.smax_adapter import Refused, SmaxAdapter
from tests.factories import PASSWORD, ChangeFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def adapter(live_server, acme: ExternalSystem) -> SmaxAdapter:
    acme.delivery, acme.endpoint_url = "smax", ""
    acme.save()
    return SmaxAdapter(live_server.url, acme.authorized_user.get_username(), PASSWORD, "ACME")


@pytest.fixture
def change(alice: Any, acme: ExternalSystem, adapter: SmaxAdapter) -> Change:
    return ChangeFactory(title="Router", requested_by=alice, owning_group=acme.external_groups.get().group)


def later() -> None:
    """Lets a minute pass since all that was recorded and handed out."""
    minute = timedelta(minutes=1)
    OutgoingOperation.objects.update(created_at=F("created_at") - minute, handed_out_at=F("handed_out_at") - minute)


def record_of(change: Change) -> str:
    return str(int(change.number.removeprefix("CHG")))


def operations(elements: Any) -> list[str]:
    return [element.operation for element in elements]


def statuses() -> list[str]:
    return list(OutgoingOperation.objects.order_by("sequence").values_list("status", flat=True))


def confirmations() -> list[str]:
    found = DeliveryAttempt.objects.order_by("operation__sequence").values_list("confirmation", flat=True)
    return [Confirmation(each).name for each in found]


def test_a_whole_cycle_as_its_client_does_it(adapter, change, alice):
    # It polls, reads what it was given, and names its record.
    (element,) = adapter.poll()
    assert (element.id, element.operation, element.external_id) == (record_of(change), "Assign", "")
    assert element.properties["DisplayLabel"] == "Router"
    assert element.related["OwnedByGroup"]["Name"] == "ACME Networks"
    assert adapter.reference(element.id) is None
    assert operations(adapter.poll()) == ["Assign"], "until it was answered, each poll has it"
    adapter.answer(element.id, external_id="C-1", external_status="Assigned")
    assert statuses() == [DeliveryStatus.DELIVERED]
    reference = adapter.reference(element.id)
    assert reference is not None
    assert (reference["ExternalId"], reference["ExternalStatus"]) == ("C-1", "Assigned")
    assert adapter.poll() == []

    # Comments and files of the staff come as Updates, which later polls confirm.
    Comment(change=change, author=alice, body="When <b>exactly</b>?").save()
    assert operations(adapter.poll()) == ["Update"]
    assert [comment["Body"] for comment in adapter.comments(element.id)] == ["When <b>exactly</b>?"]
    assert statuses() == [DeliveryStatus.DELIVERED, DeliveryStatus.WAITING]
    later()
    assert adapter.poll() == []
    assert confirmations() == ["EXTERNAL_ID", "LATER_POLL"]

    # It writes: properties, comments, and a file that it uploaded.
    adapter.update(element.id, "In progress", ImplementationPlan="<p>Swap it.</p><ul><li>at night</li></ul>")
    adapter.comment(element.id, "Tonight", created_time=1764000000000)
    adapter.comment(element.id, "Tonight", created_time=1764000000000)
    said = {(each["Body"], each["CreatedTime"]) for each in adapter.comments(element.id)}
    assert ("Tonight", 1764000000000) in said
    assert len(adapter.comments(element.id)) == 2, "the same comment again is not added"
    adapter.discuss(element.id, "Parts ordered")
    file = adapter.upload("Plan für heute.txt", b"1. Swap\n", "text/plain")
    adapter.link(element.id, [file])
    assert [each.name for each in adapter.files(element.id)] == ["Plan für heute.txt"]
    assert adapter.download(adapter.files(element.id)[0].guid) == b"1. Swap\n"
    change.refresh_from_db()
    assert "Swap it." in change.implementation_plan
    assert "<" not in change.implementation_plan
    assert ExternalReference.objects.get().external_status == "In progress"
    assert change.attachments.get().file_name == "Plan für heute.txt"

    # Nothing that it wrote comes back to it, and it gives the record back.
    assert adapter.poll() == []
    adapter.reject(element.id)
    assert not ExternalReference.objects.exists()


def test_it_creates_reads_finds_and_cancels(adapter, acme):
    group = acme.external_groups.get().group
    ours = {"DisplayLabel": "Update", "OwnedByGroup": group.name}
    record = adapter.create("C-9", "Planned", ["From our maker"], **ours)
    assert adapter.create("C-9", "Planned", ["From our maker"], **ours) == record
    with pytest.raises(Refused) as refused:
        adapter.create("C-9", DisplayLabel="Another")
    assert refused.value.status == 409
    read = adapter.read(record)
    assert (read["DisplayLabel"], read["PhaseId"]) == ("Update", "Log")
    assert str(read["OwnedByGroup"]) == str(adapter.groups()[group.name])
    assert [each["Id"] for each in adapter.find("PhaseId='Log' and DisplayLabel startswith ('Up')")] == [read["Id"]]
    adapter.cancel(record)
    assert adapter.read(record, "PhaseId,CompletionCode")["CompletionCode"] == "Withdrawn"
    assert Change.objects.get().comments.get().body == "From our maker"


def test_it_signs_in_again_once_its_token_has_ended(adapter, change):
    adapter.poll()
    adapter.token = "ended"
    assert operations(adapter.poll()) == ["Assign"]
    adapter.token, adapter.password = "", "wrong"
    with pytest.raises(Refused) as refused:
        adapter.poll()
    assert refused.value.status == 401


def test_what_it_may_not_is_refused_and_says_why(adapter, change):
    with pytest.raises(Refused) as refused:
        adapter.read("999999")
    assert refused.value.status == 404
    adapter.poll()
    adapter.answer(record_of(change), external_id="C-1")
    with pytest.raises(Refused) as refused:
        adapter.update(record_of(change), PhaseId="Close")
    assert refused.value.status in (409, 422)
    assert refused.value.message
