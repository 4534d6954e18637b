"""Fixtures of the attacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from integrations.choices import DeliveryStatus
from integrations.models import ExternalGroup, OutgoingOperation
from tests.factories import ChangeFactory, PartnerUserFactory, SupportGroupFactory, UserFactory


@pytest.fixture
def root(db: None) -> Any:
    return UserFactory(username="root", is_superuser=True, is_staff=True)


@pytest.fixture
def scene(alice, ingrid, root, acme, beta, api, settings) -> Any:
    """People, two partners, and an operation to ACME that was refused."""
    settings.REQUIRE_SECOND_FACTOR_FOR = frozenset()
    bob = UserFactory(username="bob", email="bob@example.com")
    change = ChangeFactory(owning_group=ExternalGroup.objects.get(system=acme).group)
    OutgoingOperation.objects.update(status=DeliveryStatus.REFUSED)
    plain = SupportGroupFactory(name="Storage")
    partner = PartnerUserFactory(username="gamma-integration")
    return SimpleNamespace(
        alice=alice,
        ingrid=ingrid,
        root=root,
        bob=bob,
        acme=acme,
        beta=beta,
        change=change,
        operation=change.outgoing_operations.get(),
        plain=plain,
        partner=partner,
        api=api,
    )
