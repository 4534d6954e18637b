"""People and partners at work while faults are injected: they create, comment, reassign and withdraw changes.

A seed determines the actions of each, so a run can be repeated. Their timing depends on the machine.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from random import Random
from types import TracebackType
from typing import Any

import requests

from tests.exchange import Client

from .stack import FaultStack

GROUPS = ("ACME Networks", "BETA Servers", "Network")
OTHERS_GROUP = {"ACME": "BETA Servers", "BETA": "ACME Networks"}
# Seconds. Far more than an answer takes, even on a busy machine: a longer request hangs.
PATIENCE = 10.0


class Load:
    """`with Load(...)`: the actors work until the block ends, each for at least `at_least` steps.

    `answered`: the texts of the comments whose request succeeded; they must exist at the end. `failures`: the failed
    requests. A partner repeats an operation with the same key until it is answered.
    """

    def __init__(self, exchange: FaultStack, seed: str, *, at_least: int = 8, pause: float = 0.08) -> None:
        self.at_least = at_least
        self.pause = pause
        self.is_over = threading.Event()
        self.actors: list[Actor] = [
            Staff("staff", seed, exchange.api("alice")),
            Reader("reader", seed, exchange.api("alice"), exchange.pages("alice")),
            *(Partner(system_id, seed, exchange.partner_api(system_id)) for system_id in OTHERS_GROUP),
        ]
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._work, args=(actor,)) for actor in self.actors]

    @property
    def answered(self) -> set[str]:
        return {text for actor in self.actors for text in actor.answered}

    @property
    def failures(self) -> list[str]:
        return [failure for actor in self.actors for failure in actor.failures]

    def marks(self) -> list[int]:
        """The number of steps of each actor."""
        return [actor.steps for actor in self.actors]

    def everybody_did(self, steps: int, since: list[int] | None = None) -> bool:
        """Whether every actor made `steps` steps since `marks()` or the beginning. Raises the error of an actor."""
        for error in self._errors:
            raise error
        return all(now >= then + steps for now, then in zip(self.marks(), since or [0] * len(self.actors), strict=True))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.is_over.set()
        for thread in self._threads:
            thread.join()
        if error is None and self._errors:
            raise self._errors[0]
        if error is not None:
            error.add_note(f"Steps: {self.marks()}. Errors of the actors: {self._errors}. Failures: {self.failures}.")

    def _work(self, actor: Actor) -> None:
        try:
            while actor.steps < self.at_least or not self.is_over.is_set():
                actor.step()
                actor.steps += 1
                time.sleep(actor.random.uniform(0, 2 * self.pause))
        except BaseException as error:
            self._errors.append(error)


class Actor(ABC):
    """A person or partner at work. `step()` does its next action."""

    def __init__(self, name: str, seed: str, client: Client) -> None:
        self.name = name
        self.client = client
        self.random = Random(f"{seed}/{name}")
        self.seed = seed
        self.steps = 0
        self.answered: set[str] = set()
        self.failures: list[str] = []
        self.changes: list[str] = []

    def step(self) -> None:
        if not self.changes or self.random.random() < 0.25:
            self.create()
        else:
            self.work_on(self.random.choice(self.changes))

    @abstractmethod
    def create(self) -> None:
        """Creates a change and adds it to `changes`."""

    @abstractmethod
    def work_on(self, change: str) -> None: ...

    def text(self) -> str:
        """A text that no other actor writes."""
        return f"{self.seed}/{self.name}/{self.steps}"

    def send(self, client: Client, method: str, path: str, expected: int, **request: Any) -> requests.Response | None:
        """The answer. None if there is no answer, or for a status of 500 and above."""
        try:
            answer = client.request(method, path, timeout=PATIENCE, allow_redirects=False, **request)
        except requests.RequestException as error:
            self.failures.append(f"{self.name}: {method} {path}: {error}")
            return None
        if answer.status_code >= 500:
            self.failures.append(f"{self.name}: {method} {path}: {answer.status_code} {answer.text[:200]}")
            return None
        assert answer.status_code == expected, f"{self.name}: {method} {path}: {answer.status_code} {answer.text}"
        return answer


class Staff(Actor):
    """Works with the API, as alice."""

    def create(self) -> None:
        fields = {"title": self.text(), "owning_group": self.random.choice(GROUPS)}
        if answer := self.send(self.client, "POST", "/api/v1/changes/", 201, json=fields):
            self.changes.append(answer.json()["number"])

    def work_on(self, change: str) -> None:
        chance = self.random.random()
        if chance < 0.6:
            self.comment(change, self.text())
        else:
            fields = {"owning_group": self.random.choice(GROUPS)} if chance < 0.9 else {"completion_code": "Withdrawn"}
            self.send(self.client, "PATCH", f"/api/v1/changes/{change}/", 200, json=fields)

    def comment(self, change: str, text: str) -> None:
        path = f"/api/v1/changes/{change}/comments/"
        if self.send(self.client, "POST", path, 201, json={"body": text}):
            self.answered.add(text)


class Reader(Staff):
    """Comments on the pages, as alice in a browser."""

    def __init__(self, name: str, seed: str, client: Client, pages: Client) -> None:
        super().__init__(name, seed, client)
        self.pages = pages

    def comment(self, change: str, text: str) -> None:
        page = f"/changes/{change}/"
        if not self.send(self.pages, "GET", page, 200):
            return
        form = {"body": text, "visibility": "public", "csrfmiddlewaretoken": self.pages.cookies["csrftoken"]}
        if self.send(self.pages, "POST", f"{page}comments/", 302, data=form):
            self.answered.add(text)


class Partner(Actor):
    """Sends operations about changes that the other partner works on."""

    def create(self) -> None:
        text = self.text()
        properties = {"title": text, "owning_group": OTHERS_GROUP[self.name]}
        if self.operation("Create", 201, text, external_id=text, properties=properties):
            self.changes.append(text)

    def work_on(self, change: str) -> None:
        text = self.text()
        fields: dict[str, Any] = {"comments": [{"body": text}]}
        if self.random.random() < 0.3:
            fields["properties"] = {"owning_group": self.random.choice(GROUPS)}
        if self.operation("Update", 200, text, external_id=change, **fields):
            self.answered.add(text)

    def operation(self, operation: str, expected: int, key: str, **fields: Any) -> bool:
        """Repeats it under its key until it is answered, for a minute at most."""
        body = {"system_id": self.name, "operation": operation, **fields}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.send(
                self.client, "POST", "/api/v1/operations/", expected, json=body, headers={"Idempotency-Key": key}
            ):
                return True
            time.sleep(0.1)
        return False
