"""Shared helpers of the tests of outgoing operations: two partners, and the events on a change."""

import pytest
from django.core.files.base import ContentFile

from changes.models import Attachment, Comment
from integrations.models import ExternalReference, OutgoingOperation
from tests.factories import (
    ExternalGroupFactory,
    ExternalSystemFactory,
    SupportGroupFactory,
    UserFactory,
)

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
    """The operations recorded for a change so far, in the order of recording, such as `Assign ACME`."""
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


def rows(table):
    header, *lines = table.strip("\n").splitlines()
    columns = [header.index(word) for word in header.split()]
    for line in lines:
        cells = [line[start:end].strip() for start, end in zip(columns, [*columns[1:], None], strict=True)]
        yield [cell if cell != "-" else None for cell in cells]
