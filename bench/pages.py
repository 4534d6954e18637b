"""The response times of the pages with 1,000,000 changes, compared with 10,000.

A signed-in user requests them over HTTP, alternating between the two databases.
"""

from __future__ import annotations

import html
import http.client
import json
import re
import time
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

from tests.processes import Process

from .checks import CheckFailed
from .figures import Figure
from .session import Session
from .stack import OURS

_SMALL = 10_000
_WARM_UP = 6  # warms up every thread's database connection and every process's templates
_REQUESTS = 15
# The number of times that "next" is followed to reach a page deep in the list.
_DEEP = 30
_NEXT = re.compile(r'<a\b[^>]*\brel="next"[^>]*>')
_HREF = re.compile(r'href="([^"]*)"')

# The address of each page, and a text that it must contain, which proves that the page is not empty.
_ADDRESSES = {
    "list": ("/changes/", "CHG"),
    "list, sorted by planned start": ("/changes/?sort=-planned_start", "CHG"),
    "list, the most urgent first": ("/changes/?sort=priority", "CHG"),
    "list, open ones": ("/changes/?open=true", "CHG"),
    "list, filtered by phase and priority": ("/changes/?phase=Close&priority=High", "CHG"),
    "list, closed ones": ("/changes/?phase=Close", "CHG"),
    "search, a common word": ("/changes/?q=server", "server"),
    "search, two words": ("/changes/?q=certificate+Bergen", "CHG"),
    "search, a rare word": ("/changes/?q=zephyr", "zephyr"),
    "search, no match": ("/changes/?q=nowhereatall", ""),
    "search, a number": ("/changes/?q=CHG0004711", "CHG0004711"),
    "desk": ("/", "ALDER"),
    "calendar, a week": ("/calendar/?view=week", ""),
    "calendar, a month": ("/calendar/?view=month", ""),
    "change": ("/changes/{ordinary}/", "{ordinary}"),
    "change with 200 operations": ("/changes/{busy}/", "{busy}"),
    "edit": ("/changes/{ordinary}/edit/", "{ordinary}"),
    "exchange log": ("/exchange/", "CHG"),
    "exchange log, refused ones": ("/exchange/?status=Refused", "CHG"),
    "exchange log, incoming": ("/exchange/?direction=in", "CHG"),
}
_DEEP_PAGE = f"list, page {_DEEP + 1}"


@dataclass
class _Side:
    """One database and its web server, called over a connection that stays open."""

    web: Process
    connection: http.client.HTTPConnection
    session: str
    changes: dict[str, str]
    deep: str = ""

    def get(self, address: str) -> tuple[float, str]:
        """The response time in ms, and the page. Raises CheckFailed unless the answer is a page."""
        begun = time.perf_counter()
        self.connection.request("GET", address, headers={"Cookie": f"sessionid={self.session}"})
        answer = self.connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - begun) * 1000
        if answer.status != 200:
            raise CheckFailed(f"{address} answered {answer.status}: {body[:500].decode(errors='replace')}")
        return took, body.decode()

    def address(self, name: str) -> tuple[str, str]:
        """The address of this page in this database, and a text that it must contain."""
        if name == _DEEP_PAGE:
            return self.deep, "CHG"
        address, shown = _ADDRESSES[name]
        return address.format(**self.changes), shown.format(**self.changes)

    def go_deep(self) -> str:
        """Follows "next" the given number of times. Returns the last address."""
        address = "/changes/"
        for _ in range(_DEEP):
            link = _NEXT.search(self.get(address)[1])
            target = _HREF.search(link[0]) if link else None
            if target is None:
                raise CheckFailed(f"{address} has no next page")
            address = "/changes/" + html.unescape(target[1]).removeprefix("/changes/")
        return address


class Pages:
    name = "pages"

    def __init__(self, session: Session) -> None:
        self._session = session
        sizes = {"small": _SMALL, "large": session.size}
        self._prepared = {name: self._prepare(f"pages_{name}", count) for name, count in sizes.items()}
        names = [*_ADDRESSES]
        names.insert(1, _DEEP_PAGE)
        against = f"{session.size:,} changes against {_SMALL:,}"
        self.figures = [Figure(name, "ms", 2.0, at_least=False) for name in names]
        self._note = f"pages, {against}"

    def measure(self) -> None:
        sides = {name: self._start(f"pages_{name}", prepared) for name, prepared in self._prepared.items()}
        for side in sides.values():
            side.deep = side.go_deep()
        for figure in self.figures:
            times = self._times(figure.name, sides)
            figure.add(times["large"], times["small"])
            self._session.say(f"{self._note}: {figure.name}: {times['large']:.1f} ms against {times['small']:.1f}")
        for side in sides.values():
            side.connection.close()
        self._session.stack.stop([side.web for side in sides.values()])

    def _times(self, page: str, sides: dict[str, _Side]) -> dict[str, float]:
        """The median of each side. Requests alternate between the sides, so that other load affects both alike."""
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(_WARM_UP + _REQUESTS):
            for name, side in sides.items() if number % 2 else reversed(sides.items()):
                address, shown = side.address(page)
                took, body = side.get(address)
                if shown not in body:
                    raise CheckFailed(f"{page}, {name}: {address} does not show {shown}")
                if number >= _WARM_UP:
                    taken[name].append(took)
        return {name: median(times) for name, times in taken.items()}

    def _prepare(self, database: str, count: int) -> dict[str, object]:
        session, postgresql = self._session, self._session.stack.postgresql
        session.say(f"generating {count:,} changes")
        postgresql.create(database)
        environment = session.stack.environment(OURS, database)
        printed = session.stack.run_module("bench.prepare_pages", str(count), environment=environment)
        postgresql.settle(database)
        size = postgresql.value("postgres", "SELECT pg_database_size(%s)", database) / 2**30
        session.say(f"{count:,} changes are {size:.2f} GiB")
        prepared: dict[str, object] = json.loads(printed)
        return prepared

    def _start(self, database: str, prepared: dict[str, object]) -> _Side:
        stack = self._session.stack
        web, url = stack.start_web(OURS, stack.environment(OURS, database))
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        return _Side(web, connection, str(prepared["session"]), dict(prepared["changes"]))  # type: ignore[call-overload]
