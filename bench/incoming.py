"""Incoming `Create` per second, with all rules, audit row and reference, against the baseline's one-row insert."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle, islice

from . import checks
from .clients import NextRequest, load, post
from .content import SYSTEMS, create_operations
from .cpu import CpuMeter, profile
from .figures import Figure
from .seeding import copy_ours
from .session import Session
from .stack import BASELINE, OURS, Side, Stack

PATH = "/api/v1/operations/"
CLIENTS = (8, 32)
WARM_UP = 2.0
SECONDS = 6.0
_DATABASE = "measured"

# Each count must equal the number of applied operations.
_OUR_ROWS = {
    "changes": "SELECT count(*) FROM changes_change",
    "history rows": "SELECT count(*) FROM changes_historicalchange WHERE history_type = '+' AND source_system <> ''",
    "external references": "SELECT count(*) FROM integrations_externalreference r"
    " JOIN changes_change c ON c.id = r.change_id WHERE r.external_url <> '' AND r.external_status = 'New'",
    "incoming operations": "SELECT count(DISTINCT (system_id, idempotency_key)) FROM integrations_incomingoperation"
    " WHERE status = 'Applied' AND change_id IS NOT NULL AND http_status = 201 AND result IS NOT NULL",
    "complete changes": "SELECT count(*) FROM changes_change c JOIN changes_supportgroup g ON g.id = c.owning_group_id"
    " WHERE c.priority = 'Medium' AND g.name = 'Network' AND c.planned_end IS NOT NULL"
    " AND '' NOT IN (c.title, c.description, c.reason, c.justification, c.implementation_plan, c.backout_plan)",
}
_BASELINE_ROWS = {"records": "SELECT count(*) FROM desk_record WHERE backout_plan <> ''"}


class Incoming:
    name = "create"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tokens = {OURS: session.partners.tokens, BASELINE: session.baseline_tokens}
        session.say(f"the clients reach {ceiling(session.stack):.0f} calls a second of a server that does nothing")
        self.figures = [Figure(f"incoming Create, {count} clients", "1/s", 1.0) for count in CLIENTS]

    def measure(self) -> None:
        copy_ours(self._session.stack, self._session.partners, _DATABASE)
        ours = create_rates(self._session, OURS, _DATABASE, self._tokens[OURS], CLIENTS)
        self._session.stack.postgresql.create(_DATABASE, "baseline")
        baseline = create_rates(self._session, BASELINE, _DATABASE, self._tokens[BASELINE], CLIENTS)
        for figure, our_rate, baseline_rate in zip(self.figures, ours, baseline, strict=True):
            figure.add(our_rate, baseline_rate)


def create_rates(
    session: Session, side: Side, database: str, tokens: Mapping[str, str], numbers: Sequence[int]
) -> list[float]:
    """Applied operations per second for each number of clients. Checks the rows in the database."""
    stack = session.stack
    rows = _OUR_ROWS if side is OURS else _BASELINE_ROWS
    before = stack.postgresql.values(database, rows)
    web, url = stack.start_web(side, stack.environment(side, database))
    rates, answered = [], 0
    for number in numbers:
        stack.postgresql.checkpoint()
        meter = CpuMeter({"web": [web.child.pid], "PostgreSQL": [stack.postgresql.process.child.pid]})
        own = time.process_time()
        scheme = "Bearer" if side is OURS else "Token"
        came = load([url], connections(number, scheme, tokens), 201, WARM_UP, SECONDS)
        used = {**meter.used(), "clients": time.process_time() - own}
        cost = profile(used, WARM_UP + SECONDS, came.answered)
        session.say(f"{side.name}, {number} clients: {came.rate:.0f}/s; {cost}")
        rates.append(came.rate)
        answered += came.answered
    stack.stop([web])
    after = stack.postgresql.values(database, rows)
    added = {name: after[name] - before[name] for name in rows}
    checks.equal(f"after the Create operations of {side.name}", added, dict.fromkeys(rows, answered))
    return rates


def connections(number: int, scheme: str, tokens: Mapping[str, str]) -> list[NextRequest]:
    """`Create` requests: one source for each client. The clients act for the partners in turn."""
    return [
        partial(next, _requests(system_id, f"{scheme} {tokens[system_id]}"))
        for system_id in islice(cycle(SYSTEMS), number)
    ]


def _requests(system_id: str, authorization: str) -> Iterator[bytes]:
    for key, body in create_operations(system_id):
        yield post(PATH, _headers(authorization, key), body)


def _headers(authorization: str, key: str) -> dict[str, str]:
    return {"Authorization": authorization, "Content-Type": "application/json", "Idempotency-Key": key}


def ceiling(stack: Stack) -> float:
    """Calls per second that the clients can make to the sink, which does almost nothing: the limit of the clients."""
    callers = connections(CLIENTS[-1], "Bearer", dict.fromkeys(SYSTEMS, "none"))
    came = load([stack.sink.url], callers, 200, 0.5, 2)
    stack.sink.take()
    return came.rate
