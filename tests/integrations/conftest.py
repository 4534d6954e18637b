"""Fixtures for the tests of the exchange: ACME's HTTP server, and changes that a system holds."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models import QuerySet

from changes.models import Comment
from integrations.models import ExternalSystem, OutgoingOperation
from tests.factories import ChangeFactory

from .partner import Partner


@pytest.fixture
def partner(acme: ExternalSystem) -> Iterator[Partner]:
    """ACME's scripted server, which is also its endpoint."""
    partner = Partner()
    acme.endpoint_url = partner.url
    acme.save()
    yield partner
    partner.close()


@pytest.fixture
def give(alice: Any) -> Callable[..., QuerySet[OutgoingOperation]]:
    """`give(acme, 2)` gives two new changes to a system, each with one comment: two operations for each change."""

    def give(system: ExternalSystem, count: int = 1) -> QuerySet[OutgoingOperation]:
        group = system.external_groups.all()[0].group
        for number in range(count):
            change = ChangeFactory(title=f"Change {number}", requested_by=alice, owning_group=group)
            Comment(change=change, author=alice, body="Hello").save()
        return OutgoingOperation.objects.filter(system=system)

    return give
