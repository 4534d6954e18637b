"""Shared fixtures of the status tests: systems with operations in different states."""

import pytest
from django.utils import timezone

from integrations.models import DeliveryAttempt, DeliveryControl
from integrations.outgoing import outbox
from tests.factories import ChangeFactory

STATUS = "/exchange/status/"


OPEN, CLOSE = f"{STATUS}ACME/open/", f"{STATUS}ACME/close/"


@pytest.fixture
def people(alice, carol, ingrid, audrey):
    return {"alice": alice, "carol": carol, "ingrid": ingrid, "audrey": audrey}


def give(system, count=1):
    """Gives new changes to a system, with an Assign for each."""
    group = system.external_groups.first().group
    return [ChangeFactory(owning_group=group) for _ in range(count)]


def settle(outcome, count=1, error=""):
    """Claims the due operations and settles them with this outcome."""
    results = []
    for operation in outbox.claim(count):
        attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.1)
        results.append(outbox.Result(operation, attempt, outcome, error))
    assert len(results) == count
    outbox.settle(results)


def fail(system, settings, count=3):
    """Fails so often in a row that the circuit breaker opens."""
    settings.BREAKER_FAILURES = count
    give(system, count)
    settle(outbox.Outcome.RETRY, count, "answered 503")


def control(system):
    return DeliveryControl.objects.get(system=system)
