"""A streaming replica of a private PostgreSQL, made as docs/operations.md says, and an installation that uses both."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .exchange import ROLES, Client, RunningExchange
from .integrations.watch.prometheus import parsed
from .processes import Process, start
from .services import PostgreSQL, postgresql_program

DATABASE = "casexchange"
_TABLES = re.compile(r'(?:FROM|JOIN) "((?:changes|integrations|django|auth|knox)_\w+)"')
_PAGES = "casexchange_replica_pages_total{"
_SETUP = """
import sys

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client

call_command("load_exchange", {configuration!r}, stdout=sys.stderr)
print("token", end=" ")
call_command("create_api_token", "alice")
for username in {users!r}:
    client = Client()
    user = get_user_model().objects.get(username=username)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    print("session", client.cookies["sessionid"].value)
"""


@dataclass(frozen=True)
class Read:
    """An answer, the tables that were read for it in each database, and what was counted; "" for nothing."""

    answer: requests.Response
    replica: set[str]
    primary: set[str]
    reason: str


class Standby(PostgreSQL):
    """A copy of the cluster of `primary`, which must be running. It listens on a socket in a folder of its own."""

    def __init__(self, folder: Path, primary: PostgreSQL) -> None:
        self._primary = primary
        super().__init__(folder)

    def _make_data(self) -> Process:
        command = [postgresql_program("pg_basebackup"), f"--host={self._primary.folder}", "--username=postgres"]
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", f"--pgdata={self.folder / 'data'}"]
        return start([*command, *options], log=self.folder.with_suffix(".copy.log"), user=self._user)


class ReplicatedExchange(RunningExchange):
    """A web server with a primary and a replica, both of which log each statement."""

    def __init__(self, folder: Path, dump: Path) -> None:
        folder.mkdir()
        folder.chmod(0o711)
        self._dump = dump
        self.primary = PostgreSQL(folder / "primary")
        self.replica: PostgreSQL = self.primary
        environment = {
            "DATABASE_URL": self.primary.url(DATABASE),
            "CELERY_BROKER_URL": "filesystem://",
            "DATABASE_REPLICA_URL": f"postgres://postgres@/{folder / 'replica'}/{DATABASE}",
        }
        super().__init__(folder / "exchange", environment)
        self._sessions: dict[str, str] = {}

    def start(self) -> None:
        self.start_server(self.primary)
        with self.primary.connect() as server:
            server.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
        psql = [postgresql_program("psql"), f"--host={self.primary.folder}", "--username=postgres", "--no-psqlrc"]
        options = [f"--dbname={DATABASE}", f"--file={self._dump}", "--quiet", "--single-transaction"]
        subprocess.run([*psql, *options], check=True, stdout=subprocess.DEVNULL)
        self.replica = Standby(self.primary.folder.with_name("replica"), self.primary)
        self.start_server(self.replica)
        configuration = self._write("exchange.yaml", self._configuration())
        printed = self.shell(_SETUP.format(configuration=str(configuration), users=[*ROLES]))
        self._tokens = {"alice": re.findall(r"^token (\S+)$", printed, re.MULTILINE)[0]}
        self._sessions = dict(zip(ROLES, re.findall(r"^session (\w+)$", printed, re.MULTILINE), strict=True))
        self.start_process("web")
        self.until("the web server answers", self.is_answering)

    def start_server(self, server: PostgreSQL) -> None:
        server.start("-clog_statement=all", "-cmax_standby_streaming_delay=0", signal_to_stop="SIGQUIT")
        server.until_ready()

    def stop(self) -> None:
        super().stop()
        for server in (self.replica, self.primary):
            if server.process:
                server.process.resume()
            server.stop()

    # --- Looking ---

    def pages(self, username: str) -> Client:
        """A new browser in which this user is signed in."""
        client = Client(self.base_url)
        client.cookies.set("sessionid", self._sessions[username])
        return client

    def read(self, pages: Client, address: str, **options: Any) -> Read:
        """Asks for an address. Nothing else may ask the web server meanwhile."""
        before = self._counted()
        logs = [(server, self._log(server).stat().st_size) for server in (self.replica, self.primary)]
        answer = pages.get(address, **options)
        replica, primary = ({*_TABLES.findall(self._log(server).read_bytes()[at:].decode())} for server, at in logs)
        after = self._counted()
        grown = [name for name, value in after.items() if value > before.get(name, 0)]
        return Read(answer, replica, primary, grown[0] if grown else "")

    def _counted(self) -> dict[str, float]:
        """The pages that were answered, by reason."""
        token = {"Authorization": f"Bearer {self.environment['METRICS_TOKEN']}"}
        figures = parsed(Client(self.base_url).get("/metrics", headers=token).text)
        return {re.findall(r'"(\w+)"', name)[1]: value for name, value in figures.items() if _PAGES in name}

    def _log(self, server: PostgreSQL) -> Path:
        assert server.process
        return server.process.log_file

    def on(self, server: PostgreSQL, sql: str) -> Any:
        """The first value of a query, asked directly."""
        with server.connect(DATABASE) as connection:
            row = connection.execute(sql).fetchone()
            return row and row[0]
