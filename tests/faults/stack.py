"""The installation for fault tests. It is built as in production, with a private PostgreSQL and Redis.

Times are short: minutes in production are a second here.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import psycopg

from tests import warm
from tests.certificates import AUTHORITY, EXPIRED, VALID, make_certificates
from tests.exchange import ROLES, ROOT, Client, RunningExchange
from tests.processes import free_port, start
from tests.services import PostgreSQL, Redis

WORKERS = ("worker-1", "worker-2")
DATABASE = "faults"
LEASE = 2.0
_STATE = (
    """SELECT s.system_id, o.status, o.is_next, count(*), min(o.next_try_at), max(o.claimed_until), now()
       FROM integrations_outgoingoperation o JOIN integrations_externalsystem s ON s.id = o.system_id
       GROUP BY 1, 2, 3""",
    "SELECT * FROM integrations_deliverycontrol",
    "SELECT pid, state, wait_event_type, wait_event, now() - xact_start, left(query, 200) FROM pg_stat_activity",
)
_SESSIONS = """
from django.contrib.auth import get_user_model
from django.test import Client

for username in {users!r}:
    client = Client()
    user = get_user_model().objects.get(username=username)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    print(client.cookies["sessionid"].value)
"""


class FaultStack(RunningExchange):
    """Web server, two workers, beat, and partners at separate addresses: ACME without TLS, BETA with TLS."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        make_certificates(folder)
        self._certificates = folder
        self._ports = {"ACME": free_port(), "BETA": free_port()}
        self.redis = Redis(folder / "redis")
        self.postgresql = PostgreSQL(folder / "postgresql")
        super().__init__(
            folder / "exchange",
            {
                "DATABASE_URL": self.postgresql.url(DATABASE),
                "CELERY_BROKER_URL": f"redis://127.0.0.1:{self.redis.port}/0",
                # The certificate authority for the partners' certificates.
                "SSL_CERT_FILE": str(folder / AUTHORITY),
                "API_RATE_LIMIT": "",
                "DELIVERY_TIMEOUT": "1",
                "DELIVERY_LEASE": str(LEASE),
                # Two minutes of pauses, so that no operation is given up during a test.
                "DELIVERY_RETRY_SCHEDULE": ",".join(["0.1", "0.2", *["0.4"] * 300]),
                "DISPATCH_INTERVAL": "0.3",
                "BREAKER_OPEN_SECONDS": "0.5",
                "LOG_LEVEL": "INFO",
            },
        )
        self._sessions: dict[str, str] = {}

    # --- Clients ---

    def endpoint_url(self, system_id: str) -> str:
        return f"{'https' if system_id == 'BETA' else 'http'}://127.0.0.1:{self._ports[system_id]}/operations"

    def pages(self, username: str) -> Client:
        """A client of the pages with this user signed in."""
        client = Client(self.base_url)
        client.cookies.set("sessionid", self._sessions[username])
        return client

    def query(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Queries the database directly, without the product."""
        with self.postgresql.connect(DATABASE) as connection:
            return connection.execute(sql, parameters).fetchall()

    def state(self) -> str:
        """What the database says of operations and partners, for the report of a failed test."""
        try:
            return "\n".join(str(row) for sql in _STATE for row in self.query(sql))
        except psycopg.Error as error:
            return f"The database does not answer: {error}"

    def behave(self, system_id: str, **behaviour: Any) -> None:
        """Sets the partner's behaviour for the next messages. `mode="normal"` resets it."""
        answer = self.simulator.put(f"/api/partners/{system_id}/behaviour", json=behaviour)
        assert answer.ok, answer.text

    # --- Processes ---

    def start(self) -> None:
        self.start_postgresql()
        with self.postgresql.connect() as server:
            server.execute(f"CREATE DATABASE {DATABASE}")
        self.redis.start()
        self.redis.until_ready()
        super().start()
        sessions = self.shell(_SESSIONS.format(users=[*ROLES])).split()
        self._sessions = dict(zip(ROLES, sessions, strict=True))
        for name in WORKERS:
            self.until_worker_is_ready(name)

    def start_postgresql(self) -> None:
        # A commit survives a crash of the server, as in production.
        self.postgresql.start("-csynchronous_commit=on")
        self.postgresql.until_ready()

    def stop_postgresql(self, how: str) -> None:
        """SIGINT stops it in order, SIGQUIT at once, SIGKILL like a crash."""
        if how == "SIGKILL":
            self.postgresql.process.kill_all()
        else:
            self.postgresql.process.child.send_signal(signal.Signals[how])
            self.postgresql.process.wait()

    def start_redis(self) -> None:
        self.redis.start()
        self.redis.until_ready()

    def stop(self) -> None:
        for server in (self.redis, self.postgresql):
            if server.process:
                server.process.resume()
        for process in self.processes.values():
            process.resume()
        super().stop()
        self.redis.stop()
        self.postgresql.stop()

    def check_running(self) -> None:
        """Raises RuntimeError with the log of a process that has ended."""
        for process in [*self.processes.values(), self.redis.process, self.postgresql.process]:
            process.check_running()

    def start_worker(self, name: str, **settings: str) -> None:
        """Starts an additional worker with its own settings."""
        self.start_command(name, self.worker_command(name), **settings)

    def start_command(self, name: str, arguments: list[str], **settings: str) -> None:
        """Starts another process of the product with its own settings."""
        environment = {**os.environ, **self.environment, **settings}
        log = self.folder / f"{name}.log"
        if "LD_PRELOAD" in settings:  # only a new program loads it
            self.processes[name] = start([sys.executable, *arguments], log=log, environment=environment, cwd=ROOT)
        else:
            self.processes[name] = warm.start(arguments, environment, log)

    def until_worker_is_ready(self, name: str) -> None:
        self.until(f"{name} is ready", lambda: self.processes[name].has_printed(" ready."), seconds=180)

    def logs(self, lines: int = 60) -> str:
        ends = "\n".join(
            f"--- {server.folder.name}\n{server.process.log(lines)}" for server in (self.redis, self.postgresql)
        )
        return f"{super().logs(lines)}\n{ends}"

    def commands(self) -> dict[str, list[str]]:
        commands = super().commands()
        self._worker_command = commands.pop("worker")
        return commands | {name: self.worker_command(name) for name in WORKERS}

    def worker_command(self, name: str) -> list[str]:
        """The arguments of Python for a worker of that name."""
        return [*self._worker_command, "--hostname", f"{name}@%h", "--concurrency", "2"]

    def _played(self, system_id: str) -> dict[str, Any]:
        own: dict[str, Any] = {"port": self._ports[system_id]}
        if system_id == "BETA":
            own["certificate"] = str(self._certificates / VALID)
            own["expired_certificate"] = str(self._certificates / EXPIRED)
        return {**super()._played(system_id), **own}
