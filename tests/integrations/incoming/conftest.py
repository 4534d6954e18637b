"""Shared fixtures of the tests of incoming operations: two partners that send, and the stored rows."""

import pytest

from changes.models import Attachment, Change, Comment
from integrations.models import Exchange, ExternalReference, OutgoingOperation
from tests.factories import (
    ExternalSystemFactory,
    SupportGroupFactory,
)


@pytest.fixture
def send(acme, beta, partner_api):
    """`send("Update", external_id=...)` sends as ACME. `system=` names another partner, `key=` an idempotency key."""
    clients = {system.system_id: partner_api(system) for system in (acme, beta)}

    def post(operation, system="ACME", key=None, **fields):
        partner = ExternalSystemFactory(system_id=system)
        client = clients[system] if system in clients else clients.setdefault(system, partner_api(partner))
        body = {"system_id": system, "operation": operation, **fields}
        headers = {"Idempotency-Key": key} if key else {}
        return client.post("/api/v1/operations/", body, format="json", headers=headers)

    return post


@pytest.fixture
def network():
    return SupportGroupFactory(name="Network")


def referenced(change, system_id="ACME", external_id="C-1001", **fields):
    system = ExternalSystemFactory(system_id=system_id)
    return ExternalReference.objects.create(change=change, system=system, external_id=external_id, **fields)


def state():
    """All records that an operation could alter, except the log of incoming operations."""
    models = (Change, Comment, Attachment, ExternalReference, Exchange, OutgoingOperation)
    return {model.__name__: [*model.objects.order_by("pk").values()] for model in models}


def refused(response, status, attr=None):
    """Checks that the operation was refused because of `attr`. Returns the problem."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    if attr:
        assert attr in [error["attr"] for error in problem["errors"]], problem
    return problem
