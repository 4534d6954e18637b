"""An ETag changes whenever its answer changes. For an edit, only the version in it counts."""

import pytest

from changes.models import SupportGroup
from integrations.models import ExternalReference
from tests.factories import ChangeFactory, SupportGroupFactory

pytestmark = pytest.mark.django_db


def rename_group(change, acme):
    SupportGroup.objects.filter(pk=change.owning_group_id).update(name="Renamed")


def rename_requester(change, acme):
    change.requested_by.username = "alice.b"
    change.requested_by.save()


def rename_system(change, acme):
    acme.system_id = "ACME-2"
    acme.save()


def hear_of_a_status(change, acme):
    reference = change.external_references.get()
    reference.external_status = "Done"
    reference.save()


def edit(change, acme):
    change.refresh_from_db()
    change.title = "Another"
    change.save()


def test_whatever_the_answer_says_is_in_its_etag(api, alice, carol, acme, partner_api):
    change = ChangeFactory(owning_group=SupportGroupFactory(name="Network"), requested_by=alice)
    ExternalReference.objects.create(change=change, system=acme, external_id="C-1")
    address = f"/api/v1/changes/{change.number}/"
    callers = [api(carol), partner_api(acme)]
    for alter in (rename_group, rename_requester, rename_system, hear_of_a_status, edit):
        before = [caller.get(address) for caller in callers]
        alter(change, acme)
        for caller, known in zip(callers, before, strict=True):
            told = caller.get(address, headers={"If-None-Match": known["ETag"]})
            assert told.status_code == 200 and told["ETag"] != known["ETag"], alter
            assert caller.get(address, headers={"If-None-Match": told["ETag"]}).status_code == 304


def test_an_edit_names_the_version_that_was_read_whatever_else_has_changed(api, carol, acme):
    change = ChangeFactory()
    reference = ExternalReference.objects.create(change=change, system=acme, external_id="C-1")
    address = f"/api/v1/changes/{change.number}/"
    read = api(carol).get(address)["ETag"]
    reference.external_status = "Done"
    reference.save()
    saved = api(carol).patch(address, {"title": "Mine"}, headers={"If-Match": read})
    assert saved.status_code == 200
    assert saved["ETag"] == api(carol).get(address)["ETag"]
    stale = api(carol).patch(address, {"title": "Again"}, headers={"If-Match": read})
    assert (stale.status_code, stale.json()["errors"][0]["attr"]) == (412, "title")
