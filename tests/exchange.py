"""A whole installation of real processes: web server, Celery worker, beat and the partner simulator."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import requests
import yaml

from integrations.sandbox.simulator.smax_adapter import SmaxAdapter
from integrations.transports.signing import new_secret

from . import warm
from .processes import Process, free_port, until

ROOT = Path(__file__).resolve().parent.parent
PARTNERS = ("ACME", "BETA")
# Partners that collect: by our API, and with an SMAX adapter. The tests themselves are their clients.
PULLING, POLLING = "GAMMA", "DELTA"
ADAPTER_PASSWORD = "not-used-anywhere-else-7"
METRICS_TOKEN = "not-used-anywhere-else-8"
GROUPS = {"ACME Networks": "ACME", "BETA Servers": "BETA", "GAMMA Cloud": PULLING, "DELTA Telephony": POLLING}
ROLES = {
    "alice": "Service desk agent",
    "carol": "Change manager",
    "ingrid": "Integration administrator",
    "audrey": "Auditor",
}
_SETUP = """
import sys
from django.core.management import call_command

call_command("migrate", verbosity=0)
call_command("load_exchange", {configuration!r}, stdout=sys.stderr)
for user in {users!r}:
    call_command("create_api_token", user)
"""


class Client(requests.Session):
    """An HTTP client of one server. Addresses are paths. `token` is sent as a Bearer token."""

    def __init__(self, base_url: str, token: str | None = None) -> None:
        super().__init__()
        self.base_url = base_url
        self.trust_env = False
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        kwargs.setdefault("timeout", 30)
        return super().request(method, self.base_url + url, *args, **kwargs)


class RunningExchange:
    """One installation with the users of conftest.py. The simulator plays ACME and BETA; GAMMA pulls, DELTA polls.

    Tests of one run share it, so each must create its own changes, and must reset the behaviour of a partner.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        (folder / "static").mkdir(parents=True)
        self.folder = folder
        self.base_url = f"http://127.0.0.1:{free_port()}"
        self.simulator_url = f"http://127.0.0.1:{free_port()}"
        self.environment = {
            "VAR_DIR": str(folder),
            "MEDIA_ROOT": str(folder / "media"),
            "BASE_URL": self.base_url,
            "OUTGOING_ALLOWED_NETWORKS": "127.0.0.0/8",
            "DELIVERY_TIMEOUT": "2",
            "DELIVERY_RETRY_SCHEDULE": ",".join(["0.3"] * 20),
            "DELIVERY_LEASE": "4",
            "DISPATCH_INTERVAL": "0.5",
            "WEB_TIMEOUT": "4",
            "METRICS_TOKEN": METRICS_TOKEN,
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "json",
            "LOG_DELIVERIES": "1",
            **environment,
        }
        self.processes: dict[str, Process] = {}
        self._tokens: dict[str, str] = {}
        self._secrets = {system_id: new_secret() for system_id in PARTNERS}

    # --- Clients and commands ---

    def manage(self, *arguments: str, stdin: str = "") -> str:
        """Runs `manage.py`, and returns its stdout. Raises AssertionError with its output if it fails."""
        done = warm.manage(arguments, {**os.environ, **self.environment}, stdin=stdin)
        if done.returncode:
            raise AssertionError(
                f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def shell(self, code: str) -> str:
        """Runs Python code in `manage.py shell`, as an administrator would, and returns its output."""
        return self.manage("shell", "--verbosity=0", "--command", code)

    def api(self, username: str | None) -> Client:
        """A client of the REST API with a token of that user; None calls without a token."""
        if username is not None and username not in self._tokens:
            self._tokens[username] = self.manage("create_api_token", username).strip()
        return Client(self.base_url, self._tokens[username] if username else None)

    def partner_api(self, system_id: str) -> Client:
        """A client with the token of that partner's authorized user."""
        return self.api(_authorized_user(system_id))

    def adapter(self) -> SmaxAdapter:
        """A client of the SMAX face for DELTA."""
        return SmaxAdapter(self.base_url, _authorized_user(POLLING), ADAPTER_PASSWORD, POLLING)

    @property
    def simulator(self) -> Client:
        """A client of the simulator's API: received messages, behaviour, and sending."""
        return Client(self.simulator_url)

    def received(self, system_id: str, change: str) -> list[dict[str, Any]]:
        """The messages that the partner received about one change, in order of arrival, including repeats."""
        answer = self.simulator.get("/api/received", params={"system_id": system_id, "change": change})
        answer.raise_for_status()
        return answer.json()

    def until_received(self, system_id: str, change: str, operations: list[str]) -> list[dict[str, Any]]:
        """Waits until the partner has accepted exactly these operations about the change, in this order."""
        taken: list[dict[str, Any]] = []

        def has_them() -> bool:
            answer = self.simulator.get("/api/sequence", params={"system_id": system_id, "change": change})
            answer.raise_for_status()
            taken[:] = answer.json()
            return len(taken) >= len(operations)

        self.until(f"{system_id} has {operations} of {change}", has_them)
        assert [message["operation"] for message in taken] == operations
        return taken

    def until(self, what: str, condition: Callable[[], Any], seconds: float = 60, pause: float = 0.02) -> Any:
        """Waits for a condition. Fails at once if one of the processes has ended."""

        def met() -> Any:
            for process in self.processes.values():
                process.check_running()
            return condition()

        return until(what, met, seconds, pause)

    # --- Processes ---

    def start(self) -> None:
        configuration = self._write("exchange.yaml", self._configuration())
        users = [*ROLES, *map(_authorized_user, (*PARTNERS, PULLING))]
        # The commands of an administrator, in one process, since starting a process takes a second.
        printed = self.shell(_SETUP.format(configuration=str(configuration), users=users))
        self._tokens = dict(zip(users, printed.split(), strict=True))
        self._write("simulator.yaml", {"partners": [self._played(system_id) for system_id in PARTNERS]})
        for name in self.commands():
            if name != "metrics":
                self.start_process(name)
        self.until("the web server answers", self.is_answering)
        self.until("the simulator answers", lambda: _answers(self.simulator_url + "/api/partners"))

    def is_answering(self) -> bool:
        """Whether the web server accepts requests."""
        return _answers(self.base_url + "/accounts/login/")

    def start_process(self, name: str) -> Process:
        """Starts one of `commands()`, or starts it again after it was stopped or killed."""
        environment = {**os.environ, **self.environment}
        self.processes[name] = warm.start(self.commands()[name], environment, self.folder / f"{name}.log")
        return self.processes[name]

    def stop_process(self, name: str) -> None:
        self.stop_processes([name])

    def stop_processes(self, names: Iterable[str]) -> None:
        """Stops them side by side."""
        stopping = [self.processes.pop(name) for name in names]
        for process in stopping:
            process.ask_to_stop()
        for process in stopping:
            process.stop()

    def kill_process(self, name: str) -> None:
        """Kills the process as a crash would. Its children may survive."""
        self.processes.pop(name).kill()

    def kill_process_and_its_children(self, name: str) -> None:
        """Kills the process and its children, like the loss of its host."""
        self.processes.pop(name).kill_all()

    def stop(self) -> None:
        self.stop_processes([*self.processes])

    def logs(self, lines: int = 40) -> str:
        """The last lines of each process's log."""
        files = sorted(self.folder.glob("*.log"))
        ends = ["\n".join(file.read_text(errors="replace").splitlines()[-lines:]) for file in files]
        return "\n".join(f"--- {file.stem}\n{end}" for file, end in zip(files, ends, strict=True))

    def commands(self) -> dict[str, list[str]]:
        celery = ["-m", "celery", "-A", "casexchange"]
        port = self.base_url.rpartition(":")[2]
        web = ["-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", port]
        simulator_port = self.simulator_url.rpartition(":")[2]
        return {
            "web": [*web, "casexchange.asgi:application"],
            "worker": [*celery, "worker", "--loglevel", "INFO"],
            "beat": [*celery, "beat", "--loglevel", "WARNING", "--pidfile="],
            "metrics": ["serve_metrics"],
            "simulator": [
                *("simulator", "--port", simulator_port),
                *("--config", str(self.folder / "simulator.yaml")),
            ],
        }

    def endpoint_url(self, system_id: str) -> str:
        """The address at which the partner receives our operations."""
        return f"{self.simulator_url}/operations"

    def _played(self, system_id: str) -> dict[str, Any]:
        """The simulator's configuration for the partner."""
        return {
            "system_id": system_id,
            "signing_secret": self._secrets[system_id],
            "token": self._tokens[_authorized_user(system_id)],
            "base_url": self.base_url,
        }

    def _configuration(self) -> dict[str, Any]:
        return {
            "external_systems": [
                {
                    "system_id": system_id,
                    "description": f"{system_id} service desk",
                    "authorized_user": _authorized_user(system_id),
                    "delivery": "push",
                    "endpoint_url": self.endpoint_url(system_id),
                    "signing_secret": self._secrets[system_id],
                    "enabled": True,
                }
                for system_id in PARTNERS
            ]
            + [
                {"system_id": PULLING, "authorized_user": _authorized_user(PULLING), "delivery": "pull"},
                {
                    "system_id": POLLING,
                    "authorized_user": _authorized_user(POLLING),
                    "password": ADAPTER_PASSWORD,
                    "delivery": "smax",
                },
            ],
            "groups": [
                {"name": "Network", "members": ["alice"]},
                *({"name": name, "external_system": system_id} for name, system_id in GROUPS.items()),
            ],
            "users": [{"username": username, "roles": [role]} for username, role in ROLES.items()],
        }

    def _write(self, name: str, content: dict[str, Any]) -> Path:
        file = self.folder / name
        file.write_text(yaml.safe_dump(content))
        return file


def _authorized_user(system_id: str) -> str:
    return f"{system_id.lower()}-integration"


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False
