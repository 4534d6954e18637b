"""More web servers of the installation, behind our nginx; and whole hosts, each with its own processes and folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tests.exchange import ROOT
from tests.nginx import start_nginx
from tests.processes import Process, free_port

from .stack import FaultStack


def start_proxy(folder: Path, port: int, web_ports: Sequence[int]) -> Process:
    """nginx with the configuration of the compose file, before all these web servers."""
    servers = "".join(f"server 127.0.0.1:{each} max_fails=0;\n" for each in web_ports)
    replaced = {"server web:8000 max_fails=0;": servers, "listen 8080;": f"listen 127.0.0.1:{port};"}
    return start_nginx(folder, ROOT / "docs" / "compose" / "nginx.conf", replaced)


def web_port(exchange: FaultStack) -> int:
    """The port that its clients call."""
    port = urlsplit(exchange.base_url).port
    assert port
    return port


class Host:
    """A machine of an installation: a web server, a worker and beat, in a folder of their own. Files are shared."""

    def __init__(self, exchange: FaultStack, name: str, database_url: str) -> None:
        self.name = name
        self.port = free_port()
        self._exchange = exchange
        folder = exchange.folder / name
        (folder / "static").mkdir(parents=True)
        self._settings = {
            "VAR_DIR": str(folder),
            "DATABASE_URL": database_url,
            # Debian's PgBouncer loses prepared statements.
            "DATABASE_PREPARED_STATEMENTS": "0",
        }
        commands = exchange.commands()
        self._commands = {
            f"{name}-web": [word.replace(str(web_port(exchange)), str(self.port)) for word in commands["web"]],
            f"{name}-worker": exchange.worker_command(f"{name}-worker"),
            f"{name}-beat": [*commands["beat"], f"--schedule={folder / 'beat'}"],
        }

    def start(self) -> None:
        for name, command in self._commands.items():
            self._exchange.start_command(name, command, **self._settings)

    def until_ready(self) -> None:
        web, worker, _ = self._commands
        processes = self._exchange.processes
        self._exchange.until(f"{web} is ready", lambda: processes[web].has_printed("Started worker"))
        self._exchange.until_worker_is_ready(worker)

    def lose(self) -> None:
        """Like a power cut: all its processes end at once."""
        for name in self._commands:
            self._exchange.kill_process_and_its_children(name)

    def stop(self) -> None:
        self._exchange.stop_processes([name for name in self._commands if name in self._exchange.processes])

    def sends(self) -> bool:
        """Whether its worker has delivered an operation since it was started."""
        return self._exchange.processes[f"{self.name}-worker"].has_printed("casexchange.attempts.delivered")
