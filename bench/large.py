"""The claim query and `Create` with 1,000,000 changes and 5,000,000 delivered operations, against a hundredth of that.

Both databases grow out of the same 200 changes: 100 given to partners, with ten operations each that real workers
delivered, and 100 that partners created over the API. In both the same operations wait to be claimed.
"""

from __future__ import annotations

import json
from statistics import median

from . import checks
from .figures import Figure
from .incoming import create_rates, post_creates
from .multiply import multiply
from .outgoing import DATABASE, drain_ours
from .seeding import OurSeed, seed_operations
from .session import Session
from .stack import OURS

_UNIT_CHANGES = 100
_UNIT_COMMENTS = 9
# Of the unit, which is 200 changes and 1,000 operations.
_COPIES = {"small": 50, "large": 5000}
_WAITING_CHANGES = 100
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
        unit = self._delivered_unit()
        self._databases = {name: self._grow(unit, name, copies) for name, copies in _COPIES.items()}
        sizes = "1,000,000 changes against 10,000"
        self.figures = [
            Figure(f"claim query, {sizes}", "ms", 1.2, at_least=False),
            Figure(f"Create, {sizes}", "ms", 1.2, at_least=False),
        ]

    def measure(self) -> None:
        claims, creates = {}, {}
        for name, database in self._databases.items():
            claims[name] = self._claim(database)
            self._session.say(f"{name}: a claim takes {claims[name]:.2f} ms")
        for name, database in self._databases.items():
            tokens = self._session.partners.tokens
            (rate,) = create_rates(self._session, OURS, database, tokens, [_CLIENTS])
            creates[name] = 1000 / rate
        self.figures[0].add(claims["large"], claims["small"])
        self.figures[1].add(creates["large"], creates["small"])

    def _delivered_unit(self) -> OurSeed:
        session = self._session
        seed = seed_operations(session.stack, session.partners, _UNIT_CHANGES, _UNIT_COMMENTS)
        drain_ours(session, seed=seed)
        post_creates(session, DATABASE, session.partners.tokens, _UNIT_CHANGES)
        session.stack.postgresql.create("unit", DATABASE)
        return seed

    def _grow(self, unit: OurSeed, name: str, copies: int) -> str:
        session, postgresql = self._session, self._session.stack.postgresql
        session.say(f"{name}: growing it in SQL to {copies * 2 * unit.changes:,} changes")
        grown = OurSeed(f"{name}_grown", unit.tokens, unit.signing_secrets)
        postgresql.create(grown.database, "unit")
        with postgresql.connect(grown.database) as connection:
            multiply(connection, copies - 1)
        waiting = seed_operations(session.stack, grown, _WAITING_CHANGES, _UNIT_COMMENTS)
        postgresql.drop(grown.database)
        operations = copies * unit.operations
        expected = {
            "changes": copies * 2 * unit.changes + _WAITING_CHANGES,
            "delivered operations": operations,
            "waiting operations": waiting.operations,
            "history rows": copies * 2 * unit.changes + _WAITING_CHANGES,
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
