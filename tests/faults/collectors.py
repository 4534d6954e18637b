"""Partners that collect, as programs that die again and again: after reading, after applying, before acknowledging."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from random import Random
from types import TracebackType
from typing import Any, Self

from integrations.sandbox.simulator.smax_adapter import Element, Refused, SmaxAdapter
from tests.exchange import Client

OUTBOX = "/api/v1/outbox/"
PATIENCE = 10.0


class Desk(ABC):
    """A partner whose readers die. What it keeps stays, whatever happens to them.

    `with desk:`: the readers work until the block ends. `deaths`: how often they died, and where.
    """

    def __init__(self, random: Random, readers: int) -> None:
        self.random = random
        self.deaths: dict[str, int] = defaultdict(int)
        self.may_die = True
        self._is_over = threading.Event()
        self.lock = threading.Lock()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._work, args=(reader,)) for reader in range(readers)]

    @abstractmethod
    def live(self, reader: int) -> None:
        """One life of a reader: what is not kept at the desk is lost when it ends."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.may_die = False
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        if error is None and self._errors:
            raise self._errors[0]

    def is_over(self) -> bool:
        return self._is_over.is_set()

    def dies(self, where: str) -> bool:
        """Now and then, and in any case at first."""
        with self.lock:
            dies = self.may_die and (not self.deaths[where] or self.random.random() < 0.15)
            self.deaths[where] += dies
        return dies

    def _work(self, reader: int) -> None:
        try:
            while not self.is_over():
                try:
                    self.live(reader)
                except OSError:
                    time.sleep(0.1)  # the server is gone, or comes back; a new life begins
        except BaseException as error:
            self._errors.append(error)


class PullingDesk(Desk):
    """It collects by our API. An id that it knows is dropped.

    `applied`: for each change the sequences in the order in which they took effect. `known`: the ids.
    """

    def __init__(self, clients: list[Client], random: Random) -> None:
        super().__init__(random, len(clients))
        self.clients = clients
        self.applied: dict[str, list[int]] = defaultdict(list)
        self.known: set[str] = set()

    def live(self, reader: int) -> None:
        client, cursor = self.clients[reader], ""
        while not self.is_over():
            answer = client.get(OUTBOX, params={"after": cursor, "limit": 5, "wait": 1}, timeout=PATIENCE)
            if answer.status_code >= 500:
                time.sleep(0.1)
                continue
            assert answer.status_code == 200, answer.text
            said = answer.json()
            cursor = said["cursor"] or ""
            if self.dies("after reading"):
                return
            done = [self._apply(operation) for operation in said["results"]]
            if done and self.dies("after applying"):
                return
            if not self._acknowledge(client, done):
                return

    def _apply(self, operation: dict[str, Any]) -> dict[str, str]:
        with self.lock:
            number = operation["change"]["number"]
            if operation["id"] not in self.known:
                self.known.add(operation["id"])
                self.applied[number].append(operation["sequence"])
        return {"id": operation["id"], "external_id": f"G-{number}"}

    def _acknowledge(self, client: Client, done: list[dict[str, str]]) -> bool:
        """Acknowledges one by one or all at once. False if the reader dies before it has come to the end."""
        if not done:
            return True
        if self.random.random() < 0.5:
            answer = client.post(f"{OUTBOX}acknowledge/", json={"operations": done}, timeout=PATIENCE)
            assert answer.status_code == 200 or answer.status_code >= 500, answer.text
            return answer.status_code == 200
        for said in done:
            if self.dies("before acknowledging"):
                return False
            path = f"{OUTBOX}{said['id']}/acknowledge/"
            answer = client.post(path, json={"external_id": said["external_id"]}, timeout=PATIENCE)
            assert answer.status_code == 200 or answer.status_code >= 500, answer.text
        return True


class PollingDesk(Desk):
    """It polls with SMAX adapters. A comment that it knows by its id is dropped.

    `records`: our change's id, and its own. `comments`: for each change the bodies, in the order in which they came.
    """

    def __init__(self, adapters: list[SmaxAdapter], random: Random) -> None:
        super().__init__(random, len(adapters))
        self.adapters = adapters
        self.since = [0] * len(adapters)
        self.records: dict[str, str] = {}
        self.comments: dict[str, list[str]] = defaultdict(list)
        self.known: set[str] = set()

    def live(self, reader: int) -> None:
        adapter = self.adapters[reader]
        adapter.token = ""
        try:
            while not self.is_over():
                adapter.since = self.since[reader]
                elements = adapter.poll(size=7)
                if self.dies("after reading"):
                    return
                for element in elements:
                    self._apply(adapter, element)
                    if self.dies("after applying"):
                        return
                self.since[reader] = adapter.since
                time.sleep(0.2)
        except Refused as refused:
            assert refused.status >= 500, refused
            time.sleep(0.1)

    def _apply(self, adapter: SmaxAdapter, element: Element) -> None:
        with self.lock:
            if element.operation == "Assign":
                self.records.setdefault(element.id, f"D-{element.id}")
        if element.operation == "Assign" and not self.dies("before answering"):
            adapter.answer(element.id, external_id=self.records[element.id])
        if element.operation == "Update" and element.id in self.records:
            there = adapter.comments(element.id)
            with self.lock:
                for comment in there:
                    if comment["Id"] not in self.known:
                        self.known.add(comment["Id"])
                        self.comments[element.id].append(comment["Body"])
