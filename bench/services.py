"""A private PostgreSQL and a private Redis with production settings. They end with the benchmark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from tests.processes import Process, free_port, start, until

# fsync, synchronous_commit and full_page_writes keep their default, on: a commit must reach the disk.
POSTGRESQL_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
}


class PostgreSQL:
    """One cluster on a socket in a private folder. Databases are copied from templates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        folder.mkdir(mode=0o700)
        if user:
            shutil.chown(folder, user)
        data = str(folder / "data")
        initdb = start(
            [_program("initdb"), "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", data],
            log=folder.with_suffix(".initdb.log"),
            user=user,
        )
        if initdb.wait() != 0:
            raise RuntimeError(f"initdb failed:\n{initdb.log()}")
        settings = [f"-c{name}={value}" for name, value in POSTGRESQL_SETTINGS.items()]
        self.process: Process = start(
            [_program("postgres"), f"-D{data}", f"-k{folder}", *settings],
            log=folder.with_suffix(".log"),
            user=user,
            signal_to_stop="SIGQUIT",  # fast shutdown: does not wait for clients to disconnect
        )
        until("PostgreSQL accepts connections", self._accepts_connections)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(f"host={self.folder} user=postgres dbname={database}", autocommit=True)

    def url(self, database: str) -> str:
        return f"postgres://postgres@/{self.folder}/{database}"

    def create(self, database: str, template: str = "template0") -> None:
        """Creates a database as a copy of `template`. An existing database of that name is dropped first."""
        self.drop(database)
        names = {"database": sql.Identifier(database), "template": sql.Identifier(template)}
        with self.connect() as server:
            server.execute(sql.SQL("CREATE DATABASE {database} TEMPLATE {template}").format(**names))

    def drop(self, database: str) -> None:
        with self.connect() as server:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def settle(self, database: str) -> None:
        """Updates statistics and the visibility map, and writes a checkpoint: none of it may disturb a measurement."""
        with self.connect(database) as connection:
            connection.execute("VACUUM ANALYZE")
        self.checkpoint()

    def checkpoint(self) -> None:
        with self.connect() as server:
            server.execute("CHECKPOINT")

    def settings(self, *names: str) -> list[str]:
        """The current values of these server settings, as text."""
        with self.connect() as server:
            rows = [server.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
        return [row[0] for row in rows if row]

    def value(self, database: str, query: str, *parameters: str) -> int:
        """The single number that this query returns."""
        with self.connect(database) as connection:
            row = connection.execute(query, parameters).fetchone()
        if row is None:
            raise RuntimeError(f"no row from {query}")
        return int(row[0])

    def values(self, database: str, queries: Mapping[str, str]) -> dict[str, int]:
        """The single numbers that these queries return, by name."""
        return {name: self.value(database, query) for name, query in queries.items()}

    def _accepts_connections(self) -> bool:
        self.process.check_running()
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


class Redis:
    """One server on a free port, without persistence. Both sides use it as their broker."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self._last_number = 9
        self.process: Process = start(
            [
                _program("redis-server"),
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--databases", "64", "--dir", str(folder)),
            ],
            log=folder.with_suffix(".log"),
            signal_to_stop="SIGKILL",
        )
        until("Redis answers", self._answers)

    def url(self, number: int) -> str:
        return f"redis://127.0.0.1:{self.port}/{number}"

    def client(self, number: int) -> redis.Redis:
        return redis.Redis(port=self.port, db=number)

    def new_number(self) -> int:
        """The number of an unused database."""
        self._last_number += 1
        return self._last_number

    def copy(self, source: int, target: int) -> None:
        """Replaces the content of the database `target` with that of `source`."""
        self.client(target).flushdb()
        client = self.client(source)
        for key in client.scan_iter():
            client.copy(key, key, destination_db=str(target))

    def _answers(self) -> bool:
        self.process.check_running()
        try:
            return bool(self.client(0).ping())
        except redis.ConnectionError:
            return False


def _program(name: str) -> str:
    """The path of a program: the newest version of Debian's packages, otherwise the one on the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    program = str(installed[-1]) if installed else shutil.which(name)
    if program is None:
        raise RuntimeError(f"{name} is missing: `make bench` installs it.")
    return program
