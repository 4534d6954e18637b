"""Fixtures for all tests. They use the names of the project's examples.

People: `alice` (Service desk agent), `carol` (Change manager), `ingrid` (Integration administrator) and
`audrey` (Auditor).
Partners: `acme` and `beta`, with the external groups "ACME Networks" and "BETA Servers".
Clients: `api(user)`, `partner_api(system)`, `page` and `signed_in_page(user)`, and with real processes
`running_exchange`. Records: factories.py. Services: services.py.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import OperationalError
from django.test import TransactionTestCase
from django.utils import timezone
from knox.models import AuthToken
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect
from rest_framework.test import APIClient

from changes.choices import Role

from . import databases, services
from .exchange import RunningExchange
from .factories import ExternalGroupFactory, ExternalSystemFactory, UserFactory
from .pages import web

# Fixtures of a whole session, each with processes that are never idle.
INSTALLATIONS = frozenset({"running_exchange", "exchange", "_stacks"})


def pytest_configure(config: pytest.Config) -> None:
    # Tests hash hundreds of passwords, and the real hash is slow by design.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Otherwise each test client would first read all style sheets and scripts.
    settings.WHITENOISE_AUTOREFRESH = True
    # A test must not fail because the machine is busy.
    expect.set_options(timeout=30_000)


def pytest_collection_finish() -> None:
    """Freezes all imported and collected objects, so that the garbage collector does not scan them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


# --- Database ---


def _empty_after(test_case: TransactionTestCase) -> None:
    """Empties the database after a test, with a second try after a deadlock.

    The last request of a page that was just closed may still hold a lock. PostgreSQL then ends one of the two
    transactions as a deadlock. At the second try the request has ended.
    """
    try:
        databases.empty()
    except OperationalError:
        databases.empty()


TransactionTestCase._fixture_teardown = _empty_after


@pytest.fixture(scope="session")
def new_database(django_test_environment: None, django_db_blocker: Any) -> Callable[[str], str]:
    """`new_database("pages")` creates a migrated database of that name, and returns its DATABASE_URL."""

    def new(name: str) -> str:
        with django_db_blocker.unblock():
            return databases.url_of_copy(name)

    return new


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> None:
    """The database of this worker. It is removed at the end of the run, with all other files."""
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # A file as in production, not memory: several threads write to it at once.
        database["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    with django_db_blocker.unblock():
        databases.use_copy(f"test_{services.worker_number()}")


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    # What the desk counts.
    cache.clear()
    # That this is no restored copy: otherwise one page in some seconds would take a query more.
    cache.set("restored_copy", [None], 3600)


@pytest.fixture
def still(time_machine: Any) -> None:
    """A minute begins, so that times such as "3 minutes ago" stay the same during the test."""
    time_machine.move_to(timezone.now().replace(second=5), tick=True)


@pytest.fixture
def new_day(time_machine: Any) -> None:
    """A day of UTC begins, so that no window of time, in which something is counted, ends during the test."""
    time_machine.move_to(timezone.now().replace(hour=0, minute=0, second=5), tick=True)


# --- People and partners ---


@pytest.fixture
def alice(db: None) -> Any:
    return UserFactory(username="alice", roles=[Role.AGENT])


@pytest.fixture
def carol(db: None) -> Any:
    return UserFactory(username="carol", roles=[Role.CHANGE_MANAGER])


@pytest.fixture
def ingrid(db: None) -> Any:
    return UserFactory(username="ingrid", roles=[Role.INTEGRATION_ADMINISTRATOR])


@pytest.fixture
def audrey(db: None) -> Any:
    return UserFactory(username="audrey", roles=[Role.AUDITOR])


@pytest.fixture
def acme(db: None) -> Any:
    """The external system ACME, with its group "ACME Networks"."""
    system = ExternalSystemFactory(system_id="ACME")
    ExternalGroupFactory(group__name="ACME Networks", system=system)
    return system


@pytest.fixture
def beta(db: None) -> Any:
    """The external system BETA, with its group "BETA Servers"."""
    system = ExternalSystemFactory(system_id="BETA")
    ExternalGroupFactory(group__name="BETA Servers", system=system)
    return system


# --- Clients ---


@pytest.fixture
def api(db: None) -> Callable[..., APIClient]:
    """`api(user)` is a client of the REST API with a token of that user. `api()` has no token."""

    def client(user: Any = None) -> APIClient:
        client = APIClient()
        if user is not None:
            _, token = AuthToken.objects.create(user)
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return client

    return client


@pytest.fixture
def partner_api(api: Callable[..., APIClient]) -> Callable[..., APIClient]:
    """`partner_api(acme)` is a client with a token of ACME's authorized user."""
    return lambda system: api(system.authorized_user)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Uses the system's Chromium, which may connect only to the pages under test.

    The headless shell is three times as fast.
    """
    chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert chromium, "chromium-headless-shell is missing: `make test` installs it."
    switches = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    switches += ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
    # Each page is left so soon that to optimize its scripts takes longer than they do.
    switches += ["--js-flags=--no-turbofan,--no-maglev"]
    return {**browser_type_launch_args, "executable_path": chromium, "args": switches}


@pytest.fixture
def open_page(live_server: Any, new_context: Callable[..., BrowserContext]) -> Iterator[Callable[..., Page]]:
    """`open_page()` opens a new page in a new browser context on `live_server`. Addresses are paths: `page.goto("/")`.

    Takes the options of Playwright's new_context. After the test it checks that no script failed, and that no page
    violated the content security policy.
    """
    faults: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            faults.append(message.text)

    def page(**options: Any) -> Page:
        context = new_context(**{"base_url": live_server.url, **options})
        context.on("console", note)
        context.on("weberror", lambda fault: faults.append(str(fault.error)))
        return context.new_page()

    yield page
    assert not faults


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A page without a signed-in user."""
    return open_page()


@pytest.fixture
def signed_in_page(live_server: Any, open_page: Callable[..., Page]) -> Callable[..., Page]:
    """`signed_in_page(alice)` is a page in a separate browser context, in which alice is signed in."""

    def page(user: Any, **options: Any) -> Page:
        session = web(user).cookies[settings.SESSION_COOKIE_NAME].value
        page = open_page(**options)
        page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url, "httpOnly": True}]
        )
        return page

    return page


# --- A whole installation ---


def services_for(config: pytest.Config, database_url: str, redis_database: int) -> dict[str, str]:
    """The variables for an installation with this database and a broker: Redis, or the embedded default on SQLite."""
    is_embedded = config.getoption("database") == "sqlite"
    broker = "filesystem://" if is_embedded else services.redis_url(redis_database)
    return {"DATABASE_URL": database_url, "CELERY_BROKER_URL": broker}


@pytest.fixture(scope="session")
def running_exchange(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> Iterator[RunningExchange]:
    """An installation of real processes. exchange.py describes its methods.

    It uses PostgreSQL and Redis, or with `--database sqlite` the embedded default. All tests of a run share it, so a
    test must create its own changes, and must reset the behaviour of a partner.
    """
    name = services.new_name("exchange")
    # The last Redis database: xdist's workers use the first ones.
    environment = services_for(request.config, new_database(name), services.REDIS_DATABASES - 1)
    exchange = RunningExchange(services.run_dir() / name, environment)
    try:
        exchange.start()
        yield exchange
    finally:
        exchange.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[Any]:
    """Ends an installation when the next test is of another folder and does not use it. Another one can start later.

    Each of them takes an eighth of a core as long as it runs, whether or not anybody uses it.
    """
    result = yield
    ours, following = (each if isinstance(each, pytest.Function) else None for each in (item, nextitem))
    if ours and following and following.path.parent != ours.path.parent:
        for name in INSTALLATIONS.intersection(ours.fixturenames).difference(following.fixturenames):
            for fixture in ours._fixtureinfo.name2fixturedefs[name]:
                fixture.finish(ours._request)
    return result


# --- Selection of tests by database and worker ---


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """On SQLite, collects only the modules in databases.py, and modules that are named on the command line."""
    if config.getoption("database") != "sqlite" or not collection_path.is_file() or _is_named(config):
        return None
    return collection_path not in databases.MODULES_ON_SQLITE or None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On SQLite, omits tests marked `any_database`. Sends all tests that share an installation to one worker.

    The modules beside this one come first: some of their tests take a minute, and one worker would still be busy with
    them when the others have ended.
    """
    items.sort(key=lambda item: item.path.parent != databases.FOLDER)
    for item in items:
        if "running_exchange" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("running_exchange"))
    if config.getoption("database") == "sqlite":
        left_out = [item for item in items if item.get_closest_marker("any_database")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def _is_named(config: pytest.Config) -> bool:
    return any(Path(name.partition("::")[0]).is_file() for name in config.args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Adds the last lines of the logs to the report of a failed test with real processes."""
    report = yield
    used = getattr(item, "funcargs", {}).values()
    exchange = next((one for one in used if isinstance(one, RunningExchange)), None)
    if report.failed and exchange:
        report.sections.append(("logs of the running exchange", exchange.logs()))
    return report
