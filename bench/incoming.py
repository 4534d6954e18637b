"""Incoming `Create` per second: all rules, audit and reference, against the baseline's one-row insert."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice

from . import checks
from .clients import Load, NextRequest, load, post
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

# After so many applied operations our database must hold exactly these rows.
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
        self._stack = session.stack
        self._tokens = {OURS: session.partners.tokens, BASELINE: session.baseline_tokens}
        session.say(f"the clients reach {ceiling(session.stack):.0f} calls a second of a server that does nothing")
        self.figures = [Figure(f"incoming Create, {count} clients", "1/s", 0.7) for count in CLIENTS]

    def measure(self) -> None:
        ours = self._side(OURS)
        baseline = self._side(BASELINE)
        for figure, our_rate, baseline_rate in zip(self.figures, ours, baseline, strict=True):
            figure.add(our_rate, baseline_rate)

    def _side(self, side: Side) -> list[float]:
        stack = self._stack
        if side is OURS:
            copy_ours(stack, self._session.partners, _DATABASE)
        else:
            stack.postgresql.create(_DATABASE, "baseline")
        web, url = stack.start_web(side, stack.environment(side, _DATABASE))
        rates, answered = [], 0
        for clients in CLIENTS:
            stack.postgresql.checkpoint()
            meter = CpuMeter({"web": [web.child.pid], "PostgreSQL": [stack.postgresql.process.child.pid]})
            came = self._load(side, url, clients)
            cost = profile(meter.used(), WARM_UP + SECONDS, came.answered)
            self._session.say(f"{side.name}, {clients} clients: {came.rate:.0f}/s; {cost}")
            rates.append(came.rate)
            answered += came.answered
        stack.stop([web])
        rows = _OUR_ROWS if side is OURS else _BASELINE_ROWS
        found = stack.postgresql.values(_DATABASE, rows)
        checks.equal(f"after the Create operations of {side.name}", found, dict.fromkeys(rows, answered))
        return rates

    def _load(self, side: Side, url: str, clients: int) -> Load:
        scheme = "Bearer" if side is OURS else "Token"
        tokens = self._tokens[side]
        requests = [
            partial(next, _requests(system_id, f"{scheme} {tokens[system_id]}"))
            for system_id in islice(cycle(SYSTEMS), clients)
        ]
        return load(url, requests, 201, WARM_UP, SECONDS)


def _requests(system_id: str, authorization: str) -> Iterator[bytes]:
    for key, body in create_operations(system_id):
        headers = {"Authorization": authorization, "Content-Type": "application/json", "Idempotency-Key": key}
        yield post(PATH, headers, body)


def ceiling(stack: Stack) -> float:
    """How many calls per second the clients make of the sink, which does nothing with them."""
    requests: list[NextRequest] = [
        partial(next, _requests(system_id, "none")) for system_id in islice(cycle(SYSTEMS), CLIENTS[-1])
    ]
    came = load(stack.sink.url, requests, 200, 0.5, 2)
    stack.sink.take()
    return came.rate
