"""A partner's file by multipart: it arrives as an Update, with all that holds for one."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changes.models import Attachment
from integrations.models import ExternalReference, ExternalSystem, IncomingOperation, OutgoingOperation
from tests.factories import ChangeFactory, ExternalSystemFactory

pytestmark = pytest.mark.django_db
BIG = b"%PDF-" + b"x" * 2_000_000  # more than a JSON body may have without attachments


@pytest.fixture
def change(acme, beta):
    """A change that ACME and BETA hold."""
    change = ChangeFactory(owning_group=acme.external_groups.get().group)
    ExternalReference.objects.create(change=change, system=beta, external_id="B-1")
    return change


def send(client, change, content=BIG, name="plan.pdf", **headers):
    file = SimpleUploadedFile(name, content, "application/pdf")
    address = f"/api/v1/changes/{change.number}/attachments/"
    return client.post(address, {"file": file}, format="multipart", headers=headers)


def test_it_is_attached_logged_and_passed_on_but_not_to_its_sender(partner_api, acme, change):
    before = OutgoingOperation.objects.filter(change=change).count()
    answer = send(partner_api(acme), change)
    assert answer.status_code == 201, answer.content
    attachment = Attachment.objects.get()
    assert (attachment.change, attachment.source_system, attachment.size) == (change, "ACME", len(BIG))
    assert answer.json()["id"] == attachment.pk and answer.json()["file_name"] == "plan.pdf"
    logged = IncomingOperation.objects.get()
    assert (logged.operation, logged.status, logged.change, logged.system) == ("Update", "Applied", change, acme)
    assert logged.payload["attachments"] == [{"file_name": "plan.pdf", "content_type": "application/pdf"}]
    caused = OutgoingOperation.objects.filter(change=change).order_by("id")[before:]
    assert [(row.system.system_id, row.operation, row.cause) for row in caused] == [("BETA", "Update", logged)]


def test_sent_twice_it_is_attached_once(partner_api, acme, change):
    first = send(partner_api(acme), change, **{"Idempotency-Key": "f-1"})
    again = send(partner_api(acme), change, **{"webhook-id": "f-1"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first.headers
    other = send(partner_api(acme), change, b"another content", **{"Idempotency-Key": "f-1"})
    assert other.status_code == 409 and other.json()["errors"][0]["code"] == "idempotency_key_reused"
    assert Attachment.objects.count() == 1


REFUSED = {
    "a change that is not theirs": (lambda acme, change: ChangeFactory(), {}, 404),
    "an empty file": (lambda acme, change: change, {"content": b""}, 400),
    "a name that cannot be kept": (lambda acme, change: change, {"name": "a\u202eb.pdf"}, 400),
    "a key that is too long": (lambda acme, change: change, {"Idempotency-Key": "k" * 256}, 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_nothing_is_kept_but_the_log_of_it(partner_api, acme, change, name):
    choose, options, status = REFUSED[name]
    answer = send(partner_api(acme), choose(acme, change), **options)
    assert answer.status_code == status, answer.content
    assert not Attachment.objects.exists()
    logged = IncomingOperation.objects.get()
    assert (logged.status, logged.http_status, logged.operation) == ("Failed", status, "Update")


def test_with_several_systems_it_is_the_one_that_the_change_is_linked_to(partner_api, acme, change):
    second = ExternalSystemFactory(system_id="ACME2", authorized_user=acme.authorized_user)
    assert send(partner_api(acme), change).status_code == 201
    ExternalReference.objects.create(change=change, system=second, external_id="A-2")
    answer = send(partner_api(acme), change)
    assert answer.status_code == 400 and "ACME, ACME2" in answer.json()["detail"]
    assert Attachment.objects.count() == 1


def test_a_disabled_system_sends_no_file(partner_api, acme, change):
    ExternalSystem.objects.update(enabled=False)
    assert send(partner_api(acme), change).status_code == 403
    assert not Attachment.objects.exists()
