"""PgBouncer with the configuration that we ship, before a private PostgreSQL."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg

from .exchange import ROOT
from .processes import Process, free_port, installed, start, until

CONFIGURATION = ROOT / "docs" / "pgbouncer" / "pgbouncer.ini"


class PgBouncer:
    """Lends at most `pool` connections of one database, in transaction mode. `server`: the folder of its socket."""

    def __init__(self, folder: Path, server: Path, database: str, pool: int) -> None:
        folder.mkdir()
        self.port = free_port()
        self._database = database
        self._folder = folder
        users = folder / "userlist.txt"
        users.write_text('"postgres" ""\n')
        text = CONFIGURATION.read_text()
        for old, new in {
            "casexchange = host=127.0.0.1 port=5432 dbname=casexchange": (
                f"{database} = host={server} dbname={database}"
            ),
            "listen_port = 6432": f"listen_port = {self.port}\nunix_socket_dir =\nadmin_users = postgres",
            "auth_type = scram-sha-256": "auth_type = trust",
            "/etc/pgbouncer/userlist.txt": str(users),
            "default_pool_size = 32": f"default_pool_size = {pool}",
        }.items():
            assert old in text, f"{CONFIGURATION} has no {old!r} any more"
            text = text.replace(old, new)
        (folder / "pgbouncer.ini").write_text(text)
        # It refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            for path in (folder, users, folder / "pgbouncer.ini"):
                shutil.chown(path, self._user)
        self.process = self._start()

    def restart(self) -> None:
        """Ends it at once, with all its connections, and starts it again."""
        self.process.kill()
        self.process = self._start()

    def stop(self) -> None:
        self.process.stop()

    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{self._database}"

    def version(self) -> tuple[int, ...]:
        """Such as (1, 18, 0)."""
        ((text,),) = self.show("VERSION")
        return tuple(map(int, text.split()[1].split(".")))

    def connections(self) -> tuple[int, int]:
        """The connections that processes hold, and those to PostgreSQL."""
        clients = [row for row in self.show("CLIENTS") if row[2] == self._database]
        servers = [row for row in self.show("SERVERS") if row[2] == self._database]
        return len(clients), len(servers)

    def show(self, what: str) -> list[tuple[str, ...]]:
        """The rows of a SHOW command of its console."""
        address = f"host=127.0.0.1 port={self.port} user=postgres dbname=pgbouncer"
        # The console speaks only the simple protocol.
        with psycopg.connect(address, autocommit=True, cursor_factory=psycopg.ClientCursor) as console:
            return console.execute(f"SHOW {what}").fetchall()  # type: ignore[call-overload,no-any-return]

    def _start(self) -> Process:
        process = start(
            [installed("pgbouncer"), str(self._folder / "pgbouncer.ini")],
            log=self._folder / "log",
            user=self._user,
            signal_to_stop="SIGTERM",
        )
        until("PgBouncer answers", lambda: self._answers(process))
        return process

    def _answers(self, process: Process) -> bool:
        process.check_running()
        try:
            return bool(self.show("VERSION"))
        except psycopg.OperationalError:
            return False
