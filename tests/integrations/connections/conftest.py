"""A mapped system with a small ticket system of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integrations.connections import revisions, secrets
from integrations.models import ExternalSystem
from tests.factories import ChangeFactory

from .desk import TicketDesk

DOCUMENT = (Path(__file__).parent / "desk.yaml").read_text()
HEADER = '{kind: header, name: Authorization, value: "token {{ secret.API_KEY }}"}'
SECRET = "a-secret-key-9"


@pytest.fixture
def desk() -> Iterator[TicketDesk]:
    desk = TicketDesk()
    yield desk
    desk.close()


def connect(system: ExternalSystem, document: str, **values: str) -> ExternalSystem:
    """Makes the system mapped, with this active document and these secrets."""
    system.delivery = "mapped"
    system.save()
    # SQLite gives the key of a revision that was rolled back to the next one.
    revisions.connection_of_revision.cache_clear()
    secrets.write(system, values)
    revisions.activate(system, document, None, "for a test")
    system.refresh_from_db()
    return system


def document_of(desk: TicketDesk, auth: str = HEADER, more: str = "") -> str:
    return DOCUMENT.replace("URL", desk.url).replace("AUTH", auth) + more


@pytest.fixture
def mapped(acme: ExternalSystem, desk: TicketDesk) -> ExternalSystem:
    """ACME, which is called by its own API."""
    return connect(acme, document_of(desk), API_KEY=SECRET)


@pytest.fixture
def give_change(acme: ExternalSystem) -> Callable[..., Any]:
    """`give_change(title=...)` makes a change that ACME holds."""
    group = acme.external_groups.get().group

    def give_change(**values: Any) -> Any:
        return ChangeFactory(owning_group=group, **values)

    return give_change
