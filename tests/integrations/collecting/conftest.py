"""ACME as a partner that pulls: its calls, and a clock for its leases."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from rest_framework.test import APIClient

from changes.models import Change, Comment
from integrations.models import ExternalSystem, OutgoingOperation
from tests.factories import ChangeFactory

OUTBOX = "/api/v1/outbox/"


class Reader:
    """One reader of a partner's outbox. It keeps its cursor as a client would."""

    def __init__(self, client: APIClient) -> None:
        self.client = client
        self.cursor: str | None = None

    def collect(self, **query: Any) -> list[dict[str, Any]]:
        """The operations of one call with the reader's cursor, or with another one as `after`."""
        if self.cursor:
            query.setdefault("after", self.cursor)
        answer = self.client.get(OUTBOX, query)
        assert answer.status_code == 200, answer.content
        said = answer.json()
        self.cursor = said["cursor"]
        return said["results"]

    def names(self, **query: Any) -> list[str]:
        """As `collect`, each as in `Assign 1 of Change 0`."""
        return [_name(one) for one in self.collect(**query)]

    def acknowledge(self, operation: dict[str, Any], **said: Any) -> Any:
        return self.client.post(f"{OUTBOX}{operation['id']}/acknowledge/", said)

    def acknowledge_all(self, operations: list[dict[str, Any]]) -> Any:
        return self.client.post(f"{OUTBOX}acknowledge/", {"operations": [{"id": one["id"]} for one in operations]})


def _name(operation: dict[str, Any]) -> str:
    return f"{operation['operation']} {operation['sequence']} of {operation['change']['title']}"


@pytest.fixture
def acme(acme: ExternalSystem) -> ExternalSystem:
    acme.delivery, acme.endpoint_url = "pull", ""
    acme.save()
    return acme


@pytest.fixture
def reader(acme: ExternalSystem, partner_api: Callable[..., APIClient]) -> Callable[[], Reader]:
    """`reader()` is another reader of ACME's outbox."""
    return lambda: Reader(partner_api(acme))


@pytest.fixture
def given(acme: ExternalSystem, alice: Any) -> Callable[..., Change]:
    """`given("Router", 2)` gives ACME a change with this title, and adds two comments: three operations."""

    def given(title: str, comments: int = 0) -> Change:
        change = ChangeFactory(title=title, requested_by=alice, owning_group=acme.external_groups.all()[0].group)
        for number in range(comments):
            Comment(change=change, author=alice, body=f"Comment {number}").save()
        return change

    return given


@pytest.fixture
def leases_run_out() -> Callable[[], None]:
    """Ends the leases of all that is handed out, as their time does."""

    def end() -> None:
        OutgoingOperation.objects.exclude(claimed_until=None).update(
            claimed_until=F("claimed_until") - timedelta(hours=1)
        )

    return end
