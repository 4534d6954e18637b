"""The claim query, `Create` and a poll of the SMAX feed in a large database, against a hundredth of it.

The large one has 1,000,000 changes and 5,000,000 delivered operations. Both databases are filled by `manage.py
generate_changes`. In both the same operations wait to be claimed.
"""

from __future__ import annotations

import json
from statistics import median

from . import checks
from .content import SYSTEMS
from .figures import Figure
from .incoming import create_rates
from .seeding import OurSeed, seed_operations
from .session import Session
from .smax import poll_time
from .stack import OURS

_SMALL = 10_000
_OPERATIONS = 5  # of each change, on average
_WAITING_CHANGES = 100
_WAITING_COMMENTS = 9
_CLIENTS = 8
_CLAIMS = 150
_WARM_UP_CLAIMS = 30
_SIZE = {
    "changes": "SELECT count(*) FROM changes_change",
    "delivered operations": "SELECT count(*) FROM integrations_outgoingoperation WHERE status = 'Delivered'",
    "waiting operations": "SELECT count(*) FROM integrations_outgoingoperation WHERE status = 'Waiting'",
    "history rows": "SELECT count(*) FROM changes_historicalchange",
    "attempts": "SELECT count(*) FROM integrations_deliveryattempt",
}


class Size:
    name = "size"

    def __init__(self, session: Session) -> None:
        self._session = session
        counts = {"small": _SMALL, "large": session.size}
        self._databases = {name: self._grow(name, count) for name, count in counts.items()}
        sizes = f"{session.size:,} changes against {_SMALL:,}"
        self.figures = [
            Figure(f"claim query, {sizes}", "ms", 1.2, at_least=False),
            Figure(f"Create, {sizes}", "ms", 1.2, at_least=False),
            Figure(f"poll of the SMAX feed, {sizes}", "ms", 1.2, at_least=False),
        ]

    def measure(self) -> None:
        claims, creates, polls = {}, {}, {}
        for name, database in self._databases.items():
            claims[name] = self._claim(database)
            self._session.say(f"{name}: a claim takes {claims[name]:.2f} ms")
        for name, database in self._databases.items():
            tokens = self._session.partners.tokens
            (rate,) = create_rates(self._session, OURS, database, tokens, [_CLIENTS])
            creates[name] = 1000 / rate
        self.figures[0].add(claims["large"], claims["small"])
        for name, database in self._databases.items():
            copied = f"{name}_polled"
            self._session.stack.postgresql.create(copied, database)
            polls[name] = poll_time(self._session, copied)
            self._session.stack.postgresql.drop(copied)
            self._session.say(f"{name}: a poll of the feed takes {polls[name]:.1f} ms")
        self.figures[1].add(creates["large"], creates["small"])
        self.figures[2].add(polls["large"], polls["small"])

    def _grow(self, name: str, count: int) -> str:
        session, stack, postgresql = self._session, self._session.stack, self._session.stack.postgresql
        session.say(f"{name}: generating {count:,} changes")
        grown = OurSeed(f"{name}_grown", session.partners.tokens, session.partners.signing_secrets)
        postgresql.create(grown.database, session.partners.database)
        operations = _OPERATIONS * count
        wanted = ["--count", str(count), "--operations", str(operations), "--settled", "--partners", *SYSTEMS]
        environment = stack.environment(OURS, grown.database)
        stack.run_module("manage", "generate_changes", *wanted, environment=environment)
        waiting = seed_operations(stack, grown, _WAITING_CHANGES, _WAITING_COMMENTS)
        postgresql.drop(grown.database)
        expected = {
            "changes": count + _WAITING_CHANGES,
            "delivered operations": operations,
            "waiting operations": waiting.operations,
            "history rows": 2 * count + _WAITING_CHANGES,
            "attempts": operations,
        }
        checks.equal(f"in the {name} database", postgresql.values(waiting.database, _SIZE), expected)
        session.say(f"{name}: {postgresql.value('postgres', _BYTES, waiting.database) / 2**30:.1f} GiB")
        return waiting.database

    def _claim(self, database: str) -> float:
        """The median of one claim, in ms."""
        stack = self._session.stack
        stack.postgresql.checkpoint()
        environment = stack.environment(OURS, database)
        printed = stack.run_module("bench.claim_times", str(_WARM_UP_CLAIMS + _CLAIMS), environment=environment)
        return median(json.loads(printed)[_WARM_UP_CLAIMS:]) * 1000


_BYTES = "SELECT pg_database_size(%s)"
