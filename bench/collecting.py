"""Four readers collect and acknowledge the 5,000 waiting operations of the drain. The comparison is the push drain."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from . import checks
from .content import SYSTEMS
from .cpu import CpuMeter, profile
from .figures import Figure
from .outgoing import DATABASE, drain_ours
from .seeding import copy_ours
from .session import Session
from .stack import OURS

READERS = 4
LIMIT = 200
_PULLS = "UPDATE integrations_externalsystem SET delivery = 'pull'"
_ROWS = {
    "delivered": "SELECT count(*) FROM integrations_outgoingoperation WHERE status = 'Delivered'",
    "attempts": "SELECT count(*) FROM integrations_deliveryattempt WHERE confirmation = 'acknowledged'",
    "references": "SELECT count(*) FROM integrations_externalreference",
}


class Collect:
    name = "collect"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.figures = [Figure(f"collected by {READERS} readers against the drain", "1/s", 0.8)]

    def measure(self) -> None:
        session = self._session
        drained = drain_ours(session)
        session.say(f"push: {drained.rate:.0f}/s; {drained.cost}")
        self.figures[0].add(self._collected(), drained.rate)

    def _collected(self) -> float:
        """Operations a second, from the first call to the last acknowledgement."""
        session, stack, seed = self._session, self._session.stack, self._session.waiting
        copy_ours(stack, seed, DATABASE)
        with stack.postgresql.connect(DATABASE) as database:
            database.execute(_PULLS)
        web, url = stack.start_web(OURS, stack.environment(OURS, DATABASE))
        desk = _Desk()
        readers = [threading.Thread(target=_read, args=(url, seed.tokens, number, desk)) for number in range(READERS)]
        meter = CpuMeter({"web": [web.child.pid], "PostgreSQL": [stack.postgresql.process.child.pid]})
        begun = time.monotonic()
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        seconds = time.monotonic() - begun
        session.say(
            f"pull: {seed.operations / seconds:.0f}/s; {profile(meter.used(), seconds, seed.operations)}; "
            f"{desk.calls} calls"
        )
        stack.stop([web])
        desk.check(seed.operations)
        expected = {"delivered": seed.operations, "attempts": seed.operations, "references": seed.changes}
        checks.equal("after the collection", stack.postgresql.values(DATABASE, _ROWS), expected)
        return seed.operations / seconds


@dataclass
class _Desk:
    """What the readers took, by the change and the system, and how many calls they made."""

    taken: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    calls: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, operations: list[dict[str, object]], change_numbers: list[str]) -> None:
        with self.lock:
            self.calls += 2
            for operation, number in zip(operations, change_numbers, strict=True):
                sequences = self.taken.setdefault((str(operation["system_id"]), number), [])
                sequences.append(int(str(operation["sequence"])))

    def check(self, expected: int) -> None:
        """Raises CheckFailed unless all came, each once, in order for each change."""
        found = {
            "operations": sum(map(len, self.taken.values())),
            "changes out of order": sum(each != [*range(1, len(each) + 1)] for each in self.taken.values()),
        }
        checks.equal("collected", found, {"operations": expected, "changes out of order": 0})


def _read(url: str, tokens: dict[str, str], number: int, desk: _Desk) -> None:
    """Collects from each system in turn, beginning with another one than the other readers, until nothing is left."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for place in range(2 * len(SYSTEMS)):
        system_id = SYSTEMS[(place + number * 3) % len(SYSTEMS)]
        headers = {"Authorization": f"Bearer {tokens[system_id]}", "Content-Type": "application/json"}
        cursor = ""
        while True:
            said = _call(connection, "GET", f"/api/v1/outbox/?limit={LIMIT}&after={cursor}", headers)
            if not (operations := said["results"]):
                break
            cursor = said["cursor"]
            numbers = [operation["change"]["number"] for operation in operations]
            desk.take(operations, numbers)
            done = [
                {"id": operation["id"], "external_id": f"{system_id}-{change}"}
                for operation, change in zip(operations, numbers, strict=True)
            ]
            _call(connection, "POST", "/api/v1/outbox/acknowledge/", headers, {"operations": done})


def _call(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], body: object = None
) -> Any:
    connection.request(method, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise checks.CheckFailed(f"{method} {path} answered {answer.status}: {content[:500]!r}")
    return json.loads(content)
