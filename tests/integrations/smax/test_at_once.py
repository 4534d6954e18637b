"""Calls of an adapter at the same time: what is sent twice is done once, and a file is linked once."""

import json
from functools import partial

import pytest

from changes.models import Attachment, Change
from integrations.models import ExternalReference, SmaxUpload
from tests.threads import at_once

from .conftest import Adapter

pytestmark = pytest.mark.django_db(transaction=True)


def statuses(adapter, calls):
    """Makes these calls at once, with a token each. Returns the statuses."""
    clients = [Adapter(adapter.system).client for _ in calls]
    sent = [json.dumps({"entities": [entity]}) for entity in calls]
    posts = [
        partial(client.post, "/rest/default/ces", body, "application/json")
        for client, body in zip(clients, sent, strict=True)
    ]
    return [answer.status_code for answer in at_once(*posts)]


def test_a_create_that_is_sent_twice_makes_one_change(adapter, acme):
    entity = adapter.entity("Create", {"ExternalId": "C-1"}, properties={"DisplayLabel": "New"})
    assert statuses(adapter, [entity] * 4) == [200] * 4
    assert Change.objects.count() == 1
    assert ExternalReference.objects.count() == 1


def test_of_two_changes_that_name_one_upload_one_gets_it(adapter, acme, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    guid = adapter.upload(b"x")["guid"]
    files = json.dumps({"complexTypeProperties": [{"properties": {"id": guid}}]})
    properties = {"DisplayLabel": "New", "ChangeAttachments": files}
    calls = [adapter.entity("Create", {"ExternalId": name}, properties=properties) for name in ("C-1", "C-2", "C-3")]
    assert sorted(statuses(adapter, calls)) == [200, 409, 409]
    assert Attachment.objects.count() == Change.objects.count() == 1
    assert SmaxUpload.objects.get().attachment == Attachment.objects.get()
    assert b"".join(adapter.call("get", f"frs/file-list/{guid}").streaming_content) == b"x"
