"""What the tests of bulk jobs share: changes are chosen, previewed, and a worker carries it out."""

import pytest

from changes.bulk import running
from changes.models import BulkItem
from tests.factories import SupportGroupFactory
from tests.pages import text

ALL = {"scope": "all"}


def choose(client, kind, changes, query=""):
    """Ticks these changes in the list, and presses the button of this action. Returns the address of its form."""
    scope = ALL if changes == "all" else {"scope": "ticked", "change": [change.number for change in changes]}
    response = client.post(f"/changes/bulk/{kind}/", {"query": query, **scope})
    assert response.status_code == 302
    return response["Location"]


def previewed(client, kind, changes, query="", **fields):
    """The preview of a job; its address is in `response.job`."""
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
    """What a worker does until nothing is left."""
    while running.run(60):
        pass


def done(client, kind, changes, **fields):
    """The page of a job that was carried out."""
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
