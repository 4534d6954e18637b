"""A private PostgreSQL and a private Redis for a test run, and the environment variables for them.

It is a pytest plugin (`-p tests.services` in pyproject.toml), because pytest-django reads the settings before any
conftest.py is imported. The main process starts the services as soon as there is a test to run; xdist's workers inherit
its environment. All services end with the run, even if it is killed: see tests/processes.py.

`--database postgresql` (default) or `--database sqlite` chooses the database of the tests. PostgreSQL is started only
for the former.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from cryptography.fernet import Fernet

from .processes import Process, free_port, start, until

DATABASES = ("postgresql", "sqlite")
RUN_DIR = "CASEXCHANGE_TEST_RUN"
REDIS_DATABASES = 64
_services: list[Service] = []
_names: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database", choices=DATABASES, default=DATABASES[0], help="what the tests work on (default: %(default)s)"
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    options = early_config.known_args_namespace
    if not (options.help or options.version):
        if _begins_the_run():
            _prepare_services(options.database)
        _set_environment(options.database)
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    if ids:
        _start_services()


def pytest_collection_finish(session: pytest.Session) -> None:
    if _begins_the_run() and session.items and not session.config.option.collectonly:
        _start_services()


def _begins_the_run() -> bool:
    return "PYTEST_XDIST_WORKER" not in os.environ


def pytest_report_header(config: pytest.Config) -> str:
    return f"database: {config.getoption('database')}, FAULTS_SEED={os.environ.get('FAULTS_SEED')}"


def run_dir() -> Path:
    """The folder of this run, for all files of the tests and their services."""
    return Path(os.environ[RUN_DIR])


def new_name(beginning: str) -> str:
    """A name of a folder or a database that this process did not use before: `exchange`, then `exchange_2`."""
    _names[beginning] += 1
    return beginning if _names[beginning] == 1 else f"{beginning}_{_names[beginning]}"


def worker_number() -> int:
    """The number of this xdist worker, from 0. Without xdist 0."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def postgresql_url(database: str) -> str:
    # The host is a folder: the cluster listens only on a socket in it, not on a port.
    return f"postgres://postgres@/{run_dir() / 'postgresql'}/{database}"


def create_postgresql_database(name: str, template: str = "template0") -> None:
    names = map(psycopg.sql.Identifier, (name, template))
    with psycopg.connect(f"host={run_dir() / 'postgresql'} user=postgres dbname=postgres", autocommit=True) as server:
        server.execute(psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))


def dump_postgresql_database(name: str, file: Path) -> None:
    _run_on_postgresql("pg_dump", name, f"--file={file}", "--no-sync")


def restore_postgresql_database(name: str, file: Path) -> None:
    options = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null")
    _run_on_postgresql("psql", name, f"--file={file}", *options)


def postgresql_version() -> str:
    return Path(postgresql_program("postgres")).parts[-3]


def redis_url(number: int) -> str:
    """The CELERY_BROKER_URL of one of the `REDIS_DATABASES` databases."""
    return f"redis://127.0.0.1:{os.environ['CASEXCHANGE_TEST_REDIS_PORT']}/{number}"


def _set_environment(database: str) -> None:
    folder = run_dir() / os.environ.get("PYTEST_XDIST_WORKER", "main")
    (folder / "static").mkdir(parents=True, exist_ok=True)
    os.environ.update(
        DEBUG="0",
        SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50),
        FIELD_ENCRYPTION_KEYS=Fernet.generate_key().decode(),
        VAR_DIR=str(folder),
        MEDIA_ROOT=str(folder / "media"),
        DATABASE_URL=f"sqlite:///{folder / 'db.sqlite3'}" if database == "sqlite" else postgresql_url("casexchange"),
        CELERY_BROKER_URL=redis_url(worker_number()),
        OUTGOING_ALLOWED_NETWORKS="127.0.0.0/8",
        LOG_LEVEL="WARNING",
        # Tests of a limit set their own. Otherwise some tests would need more queries than others.
        API_RATE_LIMIT="",
        API_ADDRESS_RATE_LIMIT="",
        API_ANONYMOUS_RATE_LIMIT="",
        PARTNER_BYTES_PER_HOUR="0",
        # No idle limit: a test is one transaction, and may be slow on a busy machine.
        DATABASE_IDLE_TIMEOUT="0",
        # Playwright runs an event loop in the thread of the tests, in which Django would refuse to use the database.
        DJANGO_ALLOW_ASYNC_UNSAFE="true",
        # tests/security/ tests both. Elsewhere they would be in the way.
        REQUIRE_SECOND_FACTOR_FOR="",
        CONFIRM_AGAIN_SECONDS="86400",
    )


def _prepare_services(database: str) -> None:
    """Starts Redis, and begins to create the PostgreSQL cluster: this takes a second, while tests are collected."""
    folder = Path(tempfile.mkdtemp(prefix="casexchange-tests-"))
    folder.chmod(0o711)  # the owner of the PostgreSQL cluster must be able to enter it
    os.environ[RUN_DIR] = str(folder)
    os.environ.setdefault("FAULTS_SEED", str(secrets.randbelow(1_000_000)))
    atexit.register(_end_services, folder)
    redis_server = Redis(folder / "redis")
    redis_server.start()
    os.environ["CASEXCHANGE_TEST_REDIS_PORT"] = str(redis_server.port)
    _services.append(redis_server)
    if database == "postgresql":
        _services.append(PostgreSQL(folder / "postgresql"))


def _start_services() -> None:
    for server in _services:
        if isinstance(server, PostgreSQL) and server.process is None:
            # The data need not survive even a crash, and files without fsync are faster.
            server.start("-csynchronous_commit=off", "-cautovacuum=off")
        server.until_ready()


def _end_services(folder: Path) -> None:
    while _services:
        _services.pop().stop()
    shutil.rmtree(folder)


class Service(ABC):
    """A server with a private folder, that can be stopped and started again."""

    folder: Path
    process: Process | None = None  # None until the first start

    def stop(self) -> None:
        """Stops the server in order if it supports that, without waiting for its clients."""
        if self.process:
            self.process.stop()

    @abstractmethod
    def accepts_connections(self) -> bool: ...

    def until_ready(self) -> None:
        def ready() -> bool:
            assert self.process
            self.process.check_running()
            return self.accepts_connections()

        until(f"{type(self).__name__} accepts connections", ready)


class PostgreSQL(Service):
    """A cluster that listens only on a socket in its folder, not on a port. initdb runs in the background."""

    def __init__(self, folder: Path) -> None:
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self.folder = folder
        folder.mkdir(mode=0o700)
        if self._user:
            shutil.chown(folder, self._user)
        self._making = self._make_data()

    def _make_data(self) -> Process:
        command = [postgresql_program("initdb"), "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        log = self.folder.with_suffix(".initdb.log")
        return start([*command, str(self.folder / "data")], log=log, user=self._user)

    def start(self, *options: str, signal_to_stop: str = "SIGQUIT") -> None:
        """`options` are those of `postgres`. By default it is stopped at once, like a crash."""
        if self._making.wait() != 0:
            raise RuntimeError(f"The cluster could not be made:\n{self._making.log()}")
        # The data need not survive a power cut, so nothing waits for the disk.
        speed = ["-cfsync=off", "-cfull_page_writes=off"]
        command = [postgresql_program("postgres"), f"-D{self.folder / 'data'}", f"-k{self.folder}"]
        self.process = start(
            [*command, "-clisten_addresses=", "-cmax_connections=200", *speed, *options],
            log=self.folder.with_suffix(".log"),
            user=self._user,
            signal_to_stop=signal_to_stop,
        )

    def stop(self) -> None:
        self._making.stop()
        super().stop()

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(f"host={self.folder} user=postgres dbname={database}", autocommit=True)

    def url(self, database: str) -> str:
        return f"postgres://postgres@/{self.folder}/{database}"

    def accepts_connections(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


class Redis(Service):
    """A server without persistence: after a restart it is empty. Its port stays the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.port = free_port()

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise pytest.UsageError("redis-server is missing: `make test` installs it.")
        self.process = start(
            [
                program,
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no"),
                *("--databases", str(REDIS_DATABASES), "--dir", str(self.folder)),
            ],
            log=self.folder.with_suffix(".log"),
            signal_to_stop="SIGKILL",
        )

    def connect(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def accepts_connections(self) -> bool:
        try:
            return bool(self.connect().ping())
        except redis.ConnectionError:
            return False


def _run_on_postgresql(program: str, database: str, *options: str) -> None:
    command = [postgresql_program(program), f"--host={run_dir() / 'postgresql'}", "--username=postgres"]
    done = subprocess.run([*command, f"--dbname={database}", *options], capture_output=True, text=True)
    assert done.returncode == 0, f"{program}: {done.stderr}"


def postgresql_program(name: str) -> str:
    """The path of a program: the newest version of Debian's packages, otherwise the one on the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    program = str(installed[-1]) if installed else shutil.which(name)
    if program is None:
        raise pytest.UsageError(f"PostgreSQL's {name} is missing: `make test` installs it.")
    return program
