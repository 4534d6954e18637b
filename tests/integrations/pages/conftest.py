"""Shared fixtures of the tests of the exchange's pages: a change at ACME, and the state of its operations."""

import pytest
from django.utils import timezone

from changes.choices import Phase
from changes.models import Comment
from integrations.models import (
    DeliveryAttempt,
    IncomingOperation,
    OutgoingOperation,
)
from integrations.outgoing import outbox
from tests.factories import change_in
from tests.pages import text, web


@pytest.fixture
def given(acme):
    """A change in Plan that was given to ACME, with a recorded Assign."""
    return change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)


def tried(operation, **values):
    """A delivery attempt for `operation`, which a worker has claimed."""
    OutgoingOperation.objects.filter(pk=operation.pk).update(status="Sending", claim=operation.claim + 1)
    operation.refresh_from_db()
    return DeliveryAttempt(
        operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.25, **values
    )


def settle(operation, attempt, outcome, error):
    outbox.settle([outbox.Result(operation, attempt, outcome, error)])


def assign(change):
    return change.outgoing_operations.get(operation="Assign")


def refuse(operation, error="refused with 422"):
    attempt = tried(operation, http_status=422, answer='{"detail": "no <b>markup</b>"}')
    settle(operation, attempt, outbox.Outcome.REFUSED, error)
    operation.refresh_from_db()


def deliver(operation, answer=None):
    attempt = tried(operation, http_status=200, answer="{}")
    outbox.settle([outbox.Result(operation, attempt, outbox.Outcome.DELIVERED, answer=answer or {})])
    operation.refresh_from_db()


def comment(change, alice, count=1):
    for number in range(count):
        Comment(change=change, author=alice, body=f"Remark {number}").save()


def came(system, change, status="Applied", **values):
    fields = {
        "system": system,
        "user": system.authorized_user,
        "operation": "Update",
        "status": status,
        "payload": {"operation": "Update", "properties": {"title": "<script>alert(1)</script>"}},
        "body_sha256": "0" * 64,
        "http_status": 409 if status == "Failed" else 200,
        "change": change,
        **values,
    }
    operation = IncomingOperation(**fields)
    operation.save()
    return operation


def page(user, change):
    return text(web(user).get(f"/changes/{change.number}/"))
