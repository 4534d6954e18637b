"""Fixtures of the tests with real desks: an installation of their own, and each desk, started when it is first used.

The installation is not the one that other tests share: it waits longer for an answer, because a desk may be slow on a
busy machine, and a comment whose answer comes too late is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests import services
from tests.conftest import services_for
from tests.exchange import RunningExchange

from .desk import Desk
from .redmine import Redmine
from .request_tracker import RequestTracker
from .webhook_server import WebhookServer


@pytest.fixture(scope="session")
def exchange(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> Iterator[RunningExchange]:
    name = services.new_name("foreign")
    environment = services_for(request.config, new_database(name), services.REDIS_DATABASES - 2)
    exchange = RunningExchange(services.run_dir() / name, {**environment, "DELIVERY_TIMEOUT": "30"})
    try:
        exchange.start()
        yield exchange
    finally:
        exchange.stop()


@pytest.fixture(scope="session")
def request_tracker() -> Iterator[RequestTracker]:
    yield from _running(RequestTracker(services.run_dir() / "request-tracker"))


@pytest.fixture(scope="session")
def redmine() -> Iterator[Redmine]:
    yield from _running(Redmine(services.run_dir() / "redmine"))


@pytest.fixture(scope="session")
def webhook_server() -> Iterator[WebhookServer]:
    yield from _running(WebhookServer(services.run_dir() / "webhook"))


def _running(desk: Desk) -> Iterator[Desk]:
    try:
        desk.start()
        yield desk
    finally:
        desk.stop()
