"""A real desk that is connected to an installation with its preset, and what people do at both ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.exchange import RunningExchange

from .desk import PERSON_NAME, Desk

# Has the poll made now, by whichever worker comes first, and waits for its end. Prints how far it got.
_STATE = """
from integrations.models import DeliveryAttempt, ExternalSystem, OutgoingOperation
system = ExternalSystem.objects.select_related("control").get(system_id="{system_id}")
print("paused", system.paused_at, system.pause_status, "breaker", system.control.breaker)
for row in OutgoingOperation.objects.filter(system=system).order_by("id"):
    print(row, row.status, row.tries, row.last_failure, row.last_error, row.done_steps)
for row in DeliveryAttempt.objects.filter(operation__system=system).order_by("id"):
    print(row.step, row.http_status, row.error, row.answer[:200])
"""
_POLL = """
import json, time
from django.utils import timezone
from integrations.connections import polling
from integrations.models import ConnectionPoll

poll = ConnectionPoll.objects.filter(system__system_id={system_id!r})
begun = timezone.now()
poll.update(due_at=begun, **{more!r})
while not poll.filter(polled_at__gt=begun).exists():
    polling.poll_due()
    time.sleep(0.02)
print(json.dumps(poll.get().cursor))
"""
_POLL_UNTIL_PAUSED = """
import time
from django.utils import timezone
from integrations.connections import polling
from integrations.models import ConnectionPoll, ExternalSystem

system = ExternalSystem.objects.filter(system_id={system_id!r})
while not system.get().paused_at:
    ConnectionPoll.objects.filter(system__in=system).update(due_at=timezone.now())
    polling.poll_due()
    time.sleep(0.02)
print(system.get().pause_status)
"""
PRESETS = Path(__file__).resolve().parent.parent.parent / "integrations" / "presets"
FILE_NAME, CONTENT = "Pläne für Müller.txt", "Größe: 7 m²\n".encode()


@dataclass
class Partnership:
    exchange: RunningExchange
    desk: Desk
    system_id: str
    polls: bool = True
    began_at: Any = None  # the cursor after the first poll

    @property
    def group(self) -> str:
        return f"{self.system_id} people"

    def connect(self, preset: str, adapted: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """Registers the desk with a preset, in which some texts are replaced, as an administrator adapts them."""
        document = (PRESETS / preset).read_text()
        for text, own in adapted.items():
            assert text in document
            document = document.replace(text, own)
        system = {
            "system_id": self.system_id,
            "authorized_user": f"{self.system_id.lower()}-integration",
            "delivery": "mapped",
            "connection": document,
            "secrets": dict(secrets),
        }
        self._load(external_systems=[system], groups=[{"name": self.group, "external_system": self.system_id}])
        if self.polls:
            self.began_at = self.poll()

    def write_secrets(self, **secrets: str) -> None:
        self._load(external_systems=[{"system_id": self.system_id, "secrets": secrets}])

    def _load(self, **entries: Any) -> None:
        file = self.exchange.folder / f"{self.system_id}.yaml"
        file.write_text(yaml.safe_dump(entries))
        self.exchange.manage("load_exchange", str(file))

    def poll_until_paused(self) -> int:
        """Polls until the system is paused. Returns the status for which it is."""
        return int(self.exchange.shell(_POLL_UNTIL_PAUSED.format(system_id=self.system_id)))

    def poll(self, **more: Any) -> Any:
        """Polls at once, besides the worker, instead of in some seconds. Returns the cursor."""
        return json.loads(self.exchange.shell(_POLL.format(system_id=self.system_id, more=more)))

    def poll_anew(self) -> None:
        """Polls again all that came since the first poll, as after a crash before the cursor was stored."""
        self.poll(cursor=self.began_at)

    # --- What our people do ---

    def give(self, title: str, **fields: Any) -> str:
        """alice creates a change for the desk. Returns its number."""
        return self._call("POST", "", json={"title": title, "owning_group": self.group, **fields})["number"]

    def edit(self, number: str, **fields: Any) -> None:
        self._call("PATCH", f"{number}/", json=fields)

    def comment(self, number: str, body: str) -> None:
        self._call("POST", f"{number}/comments/", json={"body": body})

    def attach(self, number: str, name: str, content: bytes) -> None:
        self._call("POST", f"{number}/attachments/", files={"file": (name, content, "text/plain")})

    def change(self, number: str) -> Any:
        return self._call("GET", f"{number}/")

    def reference(self, number: str) -> Any:
        """Our reference to the desk's record, or None."""
        found = self.change(number)["external_references"]
        return found[0] if found else None

    def comments(self, number: str) -> list[tuple[str, str]]:
        """Author and text of each comment, the oldest first."""
        return [(one["author"], one["body"]) for one in self._call("GET", f"{number}/comments/")["results"]]

    def counts(self, *titles: str) -> list[int]:
        """How many changes have each of these titles."""
        return [sum(one["title"] == title for one in self._found(title)) for title in titles]

    def change_of(self, record: str) -> Any:
        """The change that refers to this record, or None."""
        for change in self._found(record):
            named = [(one["system_id"], one["external_id"]) for one in change["external_references"]]
            if (self.system_id, record) in named:
                return change
        return None

    @property
    def author(self) -> str:
        """How a text of Jane Doe is signed here."""
        return f"{PERSON_NAME} ({self.system_id})"

    def _found(self, words: str) -> Any:
        return self._call("GET", "", params={"search": words})["results"]

    def _call(self, method: str, path: str, **options: Any) -> Any:
        answer = self.exchange.api("alice").request(method, f"/api/v1/changes/{path}", **options)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    # --- Waiting ---

    def until(self, what: str, condition: Callable[[], Any]) -> Any:
        try:
            # A look is work for the desk.
            return self.exchange.until(f"{self.system_id}: {what}", condition, pause=0.25)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.exchange.shell(_STATE.format(system_id=self.system_id))}") from error
