"""Shared helpers of the bulk tests: choose changes, open the preview, and run the job as a worker does."""

import pytest

from changes.bulk import running
from changes.models import BulkItem
from tests.factories import SupportGroupFactory
from tests.pages import text

ALL = {"scope": "all"}


def choose(client, kind, changes, query=""):
    """Ticks these changes in the list, and presses the button of the action. Returns the address of its form."""
    scope = ALL if changes == "all" else {"scope": "ticked", "change": [change.number for change in changes]}
    response = client.post(f"/changes/bulk/{kind}/", {"query": query, **scope})
    assert response.status_code == 302
    return response["Location"]


def previewed(client, kind, changes, query="", **fields):
    """The response with the preview of a job. `response.job` is the job's address."""
    response = client.post(choose(client, kind, changes, query), {"preview": "1", **fields})
    assert response.status_code == 302, text(response)
    page = client.get(response["Location"])
    page.job = response["Location"]
    return page


def started(client, kind, changes, **fields):
    page = previewed(client, kind, changes, **fields)
    client.post(f"{page.job}start/")
    return page.job


def work():
    """Does the work of a worker until no item is left."""
    while running.run(60):
        pass


def done(client, kind, changes, **fields):
    """Carries out a job. Returns its page."""
    address = started(client, kind, changes, **fields)
    work()
    return text(client.get(address))


def statuses():
    return [item.status for item in BulkItem.objects.order_by("job", "position")]


def sent(change):
    rows = change.outgoing_operations.order_by("pk").values_list("operation", "system__system_id")
    return [f"{operation} to {system}" for operation, system in rows]


@pytest.fixture
def network(db):
    return SupportGroupFactory(name="Network")


@pytest.fixture
def storage(db):
    return SupportGroupFactory(name="Storage")


@pytest.fixture
def acme_group(acme):
    return acme.external_groups.get().group
