"""Two installations of this product, connected with each other: one as it is, the other by the presets.

`a` registers `b` twice: it pushes to B-PUSH, and B-SMAX collects from its SMAX face. `b` registers `a` twice, mapped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import requests

from integrations.transports.signing import new_secret
from tests import services
from tests.exchange import RunningExchange
from tests.processes import until

from .partnership import PRESETS

PASSWORD = "not-used-anywhere-else-7"
SETTINGS = {
    "DELIVERY_TIMEOUT": "4",
    "DELIVERY_LEASE": "5",
    # Two minutes of pauses, so that no operation is given up while the other desk is down.
    "DELIVERY_RETRY_SCHEDULE": ",".join(["0.2", *["0.5"] * 240]),
    "BREAKER_OPEN_SECONDS": "0.5",
    "DISPATCH_INTERVAL": "0.5",
    "SMAX_FEED_OVERLAP_SECONDS": "1",
    "LOG_LEVEL": "INFO",
}
SETUP = """
import sys
from django.core.management import call_command

call_command("load_exchange", {file!r}, stdout=sys.stderr)
for user in {users!r}:
    call_command("create_api_token", user)
"""


class TwoDesksExchange(RunningExchange):
    """One of the two. There is no simulator: the other desk is its partner."""

    def __init__(self, folder: Path, name: str, environment: Mapping[str, str]) -> None:
        super().__init__(folder, {**environment, **SETTINGS})
        self.name = name
        self.is_given_up = threading.Event()
        self._of_thread = threading.local()
        self.dsn = f"host={services.run_dir() / 'postgresql'} user=postgres dbname={name}"

    def set_up(self, systems: list[dict[str, Any]]) -> str:
        """Registers these systems, each with a group. Returns a token of the account of the first."""
        accounts = [{**system, "authorized_user": account_of(system["system_id"])} for system in systems]
        groups = [{"name": people(system["system_id"]), "external_system": system["system_id"]} for system in systems]
        configuration = {
            "external_systems": accounts,
            "groups": [{"name": "Network", "members": ["alice"]}, *groups],
            "users": [{"username": "alice", "roles": ["Service desk agent"]}],
        }
        file = self._write("exchange.yaml", configuration)
        users = ["alice", accounts[0]["authorized_user"]]
        tokens = self.shell(SETUP.format(file=str(file), users=users)).split()
        self._tokens = dict(zip(users, tokens, strict=True))
        return tokens[1]

    def start(self) -> None:
        for name in self.commands():
            self.start_process(name)
        self.until(f"the web server of {self.name} answers", self.is_answering)

    def commands(self) -> dict[str, list[str]]:
        commands = super().commands()
        del commands["simulator"]
        return {**commands, "worker": [*commands["worker"], "--concurrency", "2"]}

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Queries the database directly, without the product."""
        if not hasattr(self._of_thread, "connection"):
            self._of_thread.connection = psycopg.connect(self.dsn, autocommit=True)
        answer = self._of_thread.connection.execute(sql, values)
        return answer.fetchall() if answer.description else []

    def until(self, what: str, condition: Callable[[], Any], seconds: float = 300, pause: float = 0.3) -> Any:
        """Waits for a condition, whichever processes are killed meanwhile. Ends early if `is_given_up`."""

        def met() -> Any:
            if self.is_given_up.is_set():
                raise RuntimeError(f"Gave up waiting until {what}.")
            return condition()

        return until(what, met, seconds, pause)

    def poll_now(self) -> None:
        """The next poll is due now, and not in the 10 seconds that a document must wait at least."""
        self.query("UPDATE integrations_connectionpoll SET due_at = now() WHERE due_at > now()")


def account_of(system_id: str) -> str:
    return f"{system_id.lower()}-integration"


def people(system_id: str) -> str:
    return f"{system_id} people"


class TwoDesks:
    """The installations `a` and `b`. `links`: for each, the names that the desks have for each other on it."""

    links = {"push": {"a": "B-PUSH", "b": "A-REST"}, "smax": {"a": "B-SMAX", "b": "A-SMAX"}}

    def __init__(self, folder: Path, environments: Mapping[str, Mapping[str, str]]) -> None:
        folder.mkdir()
        self.a, self.b = (TwoDesksExchange(folder / name, f"desk_{name}", environments[name]) for name in environments)

    def start(self, rest: str, smax: str) -> None:
        """`rest`, `smax`: the presets."""
        secret = new_secret()
        inbox = f"{self.b.base_url}/api/v1/inbox/A-REST/"
        token = self.a.set_up(
            [
                {"system_id": "B-PUSH", "delivery": "push", "endpoint_url": inbox, "signing_secret": secret},
                {"system_id": "B-SMAX", "delivery": "smax", "password": PASSWORD},
            ]
        )
        groups = {'our_group: ""': "our_group: Network", 'their_group: ""': "their_group: Network"}
        by_rest = {"them: THEM": "them: A-REST", "us: US": "us: B-PUSH", **groups}
        by_smax = {"us: US": "us: B-SMAX", "us-integration": account_of("B-SMAX"), **groups}
        secrets = {"DESK_TOKEN": token, "DESK_SIGNING_SECRET": secret}
        self.b.set_up(
            [
                self._mapped("A-REST", rest, by_rest, secrets),
                self._mapped("A-SMAX", smax, by_smax, {"DESK_PASSWORD": PASSWORD}),
            ]
        )
        self.a.start()
        self.b.start()

    def _mapped(self, name: str, preset: str, adapted: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, Any]:
        document = (PRESETS / preset).read_text()
        for text, own in {"https://desk.example.com": self.a.base_url, **adapted}.items():
            assert text in document, text
            document = document.replace(text, own)
        return {"system_id": name, "delivery": "mapped", "connection": document, "secrets": dict(secrets)}

    def stop(self) -> None:
        for desk in (self.a, self.b):
            desk.stop()

    def other(self, desk: TwoDesksExchange) -> TwoDesksExchange:
        return self.b if desk is self.a else self.a


class Alice:
    """Works at a desk whose web server may die: she looks whether a call was done, and repeats it if it was not."""

    def __init__(self, desk: TwoDesksExchange) -> None:
        self.desk = desk
        self._api = desk.api("alice")

    def create(self, title: str, group: str) -> str:
        fields = {"title": title, "description": f'{title}: 3 < 4 & "so on"', "owning_group": group}
        self._until_done("POST", "", lambda: self.number_of(title), json=fields)
        return str(self.number_of(title))

    def comment(self, number: str, body: str) -> None:
        found = "SELECT 1 FROM changes_comment WHERE body = %s"
        self._until_done("POST", f"{number}/comments/", lambda: self.desk.query(found, body), json={"body": body})

    def attach(self, number: str, name: str, content: bytes) -> None:
        found = "SELECT 1 FROM changes_attachment WHERE file_name = %s"
        files = {"file": (name, content, "text/plain")}
        self._until_done("POST", f"{number}/attachments/", lambda: self.desk.query(found, name), files=files)

    def edit(self, number: str, field: str, value: str) -> None:
        self._until_done("PATCH", f"{number}/", None, json={field: value})

    def number_of(self, title: str) -> str | None:
        found = self.desk.query("SELECT number FROM changes_change WHERE title = %s", title)
        return found[0][0] if found else None

    def _until_done(self, method: str, path: str, is_done: Any, **request: Any) -> None:
        def done() -> bool:
            try:
                answer = self._api.request(method, f"/api/v1/changes/{path}", timeout=10, **request)
            except (requests.ConnectionError, requests.Timeout):
                return bool(is_done and is_done())
            assert answer.ok or answer.status_code >= 500, f"{method} {path}: {answer.status_code} {answer.text}"
            return answer.ok or bool(is_done and is_done())

        self.desk.until(f"{method} {path} is done", done, pause=0.2)
