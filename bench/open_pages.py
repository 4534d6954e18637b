"""Two hundred open pages of changes: the time from an event to the page that shows it, and what the waiting costs.

Each page asks as the browser's script does: at most once a second, and each answer waits for news. Meanwhile partners
send Updates, and people write comments, whose operations are delivered. The time is counted from the answer to the
partner, or from the moment that the delivery was stored, until the page has the part that says so.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import requests

from .checks import CheckFailed
from .content import AGENTS
from .cpu import CpuMeter, profile
from .figures import Figure, percentile
from .outgoing import DATABASE, open_operations, wait
from .seeding import copy_ours, seed_operations
from .session import Session
from .stack import OURS, WEB_WORKERS

PAGES = 200
EVENTS = 150
# Seconds between two events, at random.
_PAUSE = (0.05, 0.25)
# Seconds during which nothing happens, to show what waiting alone costs: longer than an answer waits.
_QUIET = 60.0
# Milliseconds. What the event must be shown within.
_BAR = 2000.0
_VERSION = re.compile(r'id="news" data-version="([^"]*)" hx-get="([^"]*)"')
_HOLDERS = """
SELECT c.number, s.system_id FROM changes_change c
JOIN integrations_externalgroup g ON g.group_id = c.owning_group_id
JOIN integrations_externalsystem s ON s.id = g.system_id"""
_SETTLED = """
SELECT c.body, extract(epoch FROM o.settled_at) FROM integrations_outgoingoperation o
JOIN changes_comment c ON c.id = o.comment_id WHERE o.status = 'Delivered'"""


@dataclass
class _Pages:
    """The open pages, in an event loop of their own thread. `seen`: for each change, what its page got, and when."""

    url: str
    sessions: list[str]
    seen: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    answers: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    async def run(self, numbers: list[str]) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
            pages = [
                self._page(client, number, self.sessions[place % len(self.sessions)])
                for place, number in enumerate(numbers)
            ]
            await asyncio.gather(*pages)

    async def _page(self, client: aiohttp.ClientSession, number: str, session: str) -> None:
        cookie = {"Cookie": f"sessionid={session}"}
        async with client.get(f"{self.url}/changes/{number}/", headers=cookie) as answer:
            version, address = self._asks(await answer.text())
        self.seen[number] = []
        while not self.is_over.is_set():
            asked = time.monotonic()
            headers = {**cookie, "HX-Request": "true", "HX-Target": "news", "X-Version": version}
            async with client.get(f"{self.url}{address}", headers=headers) as answer:
                self.answers += 1
                if answer.status not in (200, 204):
                    raise CheckFailed(f"the news of {number} answered {answer.status}: {await answer.text():.500}")
                if answer.status == 200:
                    content = await answer.text()
                    self.seen[number].append((time.time(), content))
                    version, address = self._asks(content)
            await asyncio.sleep(max(0.0, asked + 1 - time.monotonic()))

    @staticmethod
    def _asks(content: str) -> tuple[str, str]:
        found = _VERSION.search(content)
        if found is None:
            raise CheckFailed("a page does not ask for news")
        return found[1], found[2].replace("&amp;", "&")


class OpenPages:
    name = "open-pages"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seed = seed_operations(session.stack, session.partners, PAGES, 0)
        self.figures = [
            Figure(f"event to open page, {what}, {name}", "ms", 1.0, at_least=False)
            for what in ("incoming", "delivered")
            for name in ("p50", "p95")
        ]

    def measure(self) -> None:
        stack, session = self._session.stack, self._session
        copy_ours(stack, self._seed, DATABASE)
        environment = stack.environment(OURS, DATABASE, API_RATE_LIMIT="")
        processes = [stack.start_beat(environment), *stack.start_workers(OURS, environment)]
        wait(stack, processes, lambda: open_operations(stack) == 0)
        web, url = stack.start_web(OURS, environment)
        wait(stack, [web], lambda: web.log(100).count("Started worker") == WEB_WORKERS)
        sessions = json.loads(stack.run_module("bench.sign_in", *AGENTS, environment=environment))
        with stack.postgresql.connect(DATABASE) as connection:
            holders = dict(connection.execute(_HOLDERS).fetchall())
        pages = _Pages(url, sessions)
        thread = threading.Thread(target=lambda: asyncio.run(pages.run([*holders])))
        thread.start()
        wait(stack, [*processes, web], lambda: len(pages.seen) == PAGES or not thread.is_alive())
        meters = {"web": [web.child.pid], "PostgreSQL": [stack.postgresql.process.child.pid]}
        time.sleep(3)
        self._cost("while nothing happens", pages, CpuMeter(meters), lambda: time.sleep(_QUIET))
        made: dict[str, tuple[str, str, float]] = {}
        self._cost("with events", pages, CpuMeter(meters), lambda: made.update(self._events(url, holders)))
        wait(stack, [*processes, web], lambda: open_operations(stack) == 0)
        time.sleep(3)
        pages.is_over.set()
        thread.join(60)
        with stack.postgresql.connect(DATABASE) as connection:
            settled = {body: float(moment) for body, moment in connection.execute(_SETTLED)}
        stack.stop([*processes, web])
        delays = _delays(pages, made, settled)
        for figure, (what, share) in zip(
            self.figures, [(what, share) for what in delays for share in (0.5, 0.95)], strict=True
        ):
            figure.add(percentile(delays[what], share) * 1000, _BAR)
        session.say(", ".join(f"{len(values)} {what}" for what, values in delays.items()))

    def _cost(self, when: str, pages: _Pages, meter: CpuMeter, work: Callable[[], object]) -> None:
        begun, before = time.monotonic(), pages.answers
        work()
        wall, count = time.monotonic() - begun, pages.answers - before
        self._session.say(f"{PAGES} pages {when}: {count / wall:.1f} requests/s; {profile(meter.used(), wall, count)}")

    def _events(self, url: str, holders: dict[str, str]) -> dict[str, tuple[str, str, float]]:
        """By the text of each event's comment: the kind, the change, and the moment when it was answered."""
        made = {}
        client = requests.Session()
        for place in range(EVENTS):
            number, text = random.choice([*holders]), f"Event {uuid.uuid4()}"
            if place % 2:
                system = holders[number]
                body = {
                    "system_id": system,
                    "operation": "Update",
                    "change_number": number,
                    "comments": [{"body": text}],
                }
                headers = {"Authorization": f"Bearer {self._seed.tokens[system]}", "Idempotency-Key": text}
                answer = client.post(f"{url}/api/v1/operations/", json=body, headers=headers, timeout=30)
            else:
                headers = {"Authorization": f"Bearer {self._seed.tokens[AGENTS[0]]}"}
                address = f"{url}/api/v1/changes/{number}/comments/"
                answer = client.post(address, json={"body": text}, headers=headers, timeout=30)
            if not answer.ok:
                raise CheckFailed(f"{answer.status_code}: {answer.text}")
            made[text] = ("incoming" if place % 2 else "delivered", number, time.time())
            time.sleep(random.uniform(*_PAUSE))
        return made


def _delays(
    pages: _Pages, made: dict[str, tuple[str, str, float]], settled: dict[str, float]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"incoming": [], "delivered": []}
    for text, (kind, number, answered) in made.items():
        moment = answered if kind == "incoming" else settled[text]
        shown = "Nothing is on its way" if kind == "delivered" else text
        later = [at for at, content in pages.seen[number] if shown in content and (kind == "incoming" or at > moment)]
        if not later:
            raise CheckFailed(f"the page of {number} never showed what was {kind}: {text}")
        found[kind].append(max(0.0, min(later) - moment))
    return found
