"""A partner that pulls, as a program that dies again and again: after reading, after applying, before acknowledging."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from random import Random
from types import TracebackType
from typing import Any

import requests

from tests.exchange import Client

OUTBOX = "/api/v1/outbox/"
PATIENCE = 10.0


class PullingDesk:
    """The partner's records, kept whatever happens to its readers: an id that it knows is dropped.

    `with PullingDesk(...)`: several readers collect until the block ends, and then until nothing is left.
    `applied`: for each change the sequences in the order in which they took effect. `repeats`: how many were dropped.
    """

    def __init__(self, clients: list[Client], random: Random) -> None:
        self.random, self.clients = random, clients
        self.applied: dict[str, list[int]] = defaultdict(list)
        self.known: dict[str, str] = {}
        self.repeats = 0
        self.deaths: dict[str, int] = defaultdict(int)
        self.may_die = True
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._work, args=(client,)) for client in clients]

    def __enter__(self) -> PullingDesk:
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

    def _work(self, client: Client) -> None:
        try:
            while not self._is_over.is_set():
                try:
                    self._live(client)
                except requests.RequestException:
                    time.sleep(0.1)  # the server is gone, or comes back; a new life begins
        except BaseException as error:
            self._errors.append(error)

    def _live(self, client: Client) -> None:
        """One life of a reader: it keeps its cursor in memory."""
        cursor = ""
        while not self._is_over.is_set():
            answer = client.get(OUTBOX, params={"after": cursor, "limit": 5, "wait": 1}, timeout=PATIENCE)
            if answer.status_code >= 500:
                time.sleep(0.1)
                continue
            assert answer.status_code == 200, answer.text
            said = answer.json()
            cursor = said["cursor"] or ""
            if self._dies("after reading"):
                return
            done = [self._apply(operation) for operation in said["results"]]
            if done and self._dies("after applying"):
                return
            if not self._acknowledge(client, done):
                return

    def _dies(self, where: str) -> bool:
        with self._lock:
            dies = self.may_die and self.random.random() < 0.15
            self.deaths[where] += dies
        return dies

    def _apply(self, operation: dict[str, Any]) -> dict[str, str]:
        with self._lock:
            number = operation["change"]["number"]
            if operation["id"] in self.known:
                self.repeats += 1
            else:
                self.known[operation["id"]] = number
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
            if self._dies("before acknowledging"):
                return False
            path = f"{OUTBOX}{said['id']}/acknowledge/"
            answer = client.post(path, json={"external_id": said["external_id"]}, timeout=PATIENCE)
            assert answer.status_code == 200 or answer.status_code >= 500, answer.text
        return True
