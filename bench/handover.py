"""Requests that cause an operation to a partner: a `Create` into another partner's group, and a comment on a change
that a partner holds. The baseline inserts a row and queues a task that POSTs it.

Measured once with the workers off, which shows the cost for the web server, and once with the workers on. Then they
deliver during the measurement, and everything must have arrived at the end.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle, islice

from . import checks
from .clients import NextRequest, load, post
from .content import AGENTS, COMMENT, SYSTEMS, create_operations, external_group, next_partner
from .cpu import CpuMeter, profile
from .figures import Figure
from .incoming import PATH, SECONDS, WARM_UP
from .outgoing import wait
from .seeding import OurSeed, copy_ours, seed_operations
from .session import Session
from .stack import BASELINE, OURS, Side, Stack

CLIENTS = 8
# The number of changes to which comments are added.
_CHANGES = 100
_DATABASE = "measured"
_OPERATIONS = "SELECT count(*) FROM integrations_outgoingoperation"
_UNDELIVERED = "SELECT count(*) FROM integrations_outgoingoperation WHERE status <> 'Delivered'"
_RECORDS = "SELECT count(*) FROM desk_record"

Connections = list[NextRequest]


class Handover:
    name = "handover"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.figures = [
            Figure(f"Create into another partner's group, workers {how}", "1/s", 1.0) for how in ("off", "on")
        ]

    def measure(self) -> None:
        session = self._session
        ours, baseline = creates(session.partners.tokens), _rows(session.baseline_tokens)
        _compare(session, self.figures, session.partners, ours, baseline)


class AddComment:
    name = "comment"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seed = seed_operations(session.stack, session.partners, _CHANGES, 0)
        self.figures = [Figure(f"comment on a change of a partner, workers {how}", "1/s", 0.9) for how in ("off", "on")]

    def measure(self) -> None:
        session, seed = self._session, self._seed
        numbers = [f"CHG{number:07}" for number in range(1, _CHANGES + 1)]
        _compare(session, self.figures, seed, comments(seed.tokens, numbers), _rows(session.baseline_tokens))


def _compare(session: Session, figures: list[Figure], seed: OurSeed, ours: Connections, baseline: Connections) -> None:
    for figure, has_workers in zip(figures, (False, True), strict=True):
        copy_ours(session.stack, seed, _DATABASE)
        our_rate = _rate(session, OURS, _DATABASE, ours, has_workers)
        session.stack.postgresql.create(_DATABASE, "baseline")
        session.stack.redis.client(BASELINE.redis_number).flushdb()
        figure.add(our_rate, _rate(session, BASELINE, _DATABASE, baseline, has_workers))


def _rate(session: Session, side: Side, database: str, requests: Connections, has_workers: bool) -> float:
    """Answers a second. Checks that each call added its row and, with workers, that every operation arrives."""
    stack = session.stack
    stack.sink.take()
    rows = _OPERATIONS if side is OURS else _RECORDS
    before = stack.postgresql.value(database, rows)
    environment = stack.environment(side, database)
    web, url = stack.start_web(side, environment)
    workers = []
    if has_workers:
        workers = stack.start_workers(side, environment)
        if side is OURS:
            workers.append(stack.start_beat(environment))
    stack.postgresql.checkpoint()
    meter = CpuMeter(
        {
            "web": [web.child.pid],
            "workers": [process.child.pid for process in workers],
            "PostgreSQL": [stack.postgresql.process.child.pid],
        }
    )
    came = load([url], requests, 201, WARM_UP, SECONDS)
    how = "on" if has_workers else "off"
    cost = profile(meter.used(), WARM_UP + SECONDS, came.answered)
    session.say(f"{side.name}, workers {how}: {came.rate:.0f}/s; {cost}")
    checks.equal(f"of {side.name}", {"rows": stack.postgresql.value(database, rows) - before}, {"rows": came.answered})
    if has_workers:
        wait(stack, workers, _all_arrived(stack, side, database, before + came.answered))
    stack.stop([web, *workers])
    return came.rate


def _all_arrived(stack: Stack, side: Side, database: str, expected: int) -> Callable[[], bool]:
    def arrived() -> bool:
        is_settled = side is BASELINE or stack.postgresql.value(database, _UNDELIVERED) == 0
        return is_settled and stack.sink.count() >= expected

    return arrived


# --- The callers and their requests ---


def creates(tokens: Mapping[str, str]) -> Connections:
    """`Create` requests of the partners in turn. Each hands its changes to the next partner."""
    return [partial(next, _create_requests(system_id, tokens)) for system_id in islice(cycle(SYSTEMS), CLIENTS)]


def _create_requests(system_id: str, tokens: Mapping[str, str]) -> Iterator[bytes]:
    for key, body in create_operations(system_id, external_group(next_partner(system_id))):
        yield post(PATH, {**_headers("Bearer", tokens[system_id]), "Idempotency-Key": key}, body)


def _rows(tokens: Mapping[str, str]) -> Connections:
    """The same requests for the baseline."""
    return [partial(next, _row_requests(system_id, tokens)) for system_id in islice(cycle(SYSTEMS), CLIENTS)]


def _row_requests(system_id: str, tokens: Mapping[str, str]) -> Iterator[bytes]:
    for _, body in create_operations(system_id, external_group(next_partner(system_id))):
        yield post("/handover/", _headers("Token", tokens[system_id]), body)


def comments(tokens: Mapping[str, str], numbers: list[str]) -> Connections:
    """Comments by ten agents, each on separate changes: two people seldom comment on one change at a time."""
    return [partial(next, _comment_requests(place, tokens, numbers)) for place in range(CLIENTS)]


def _comment_requests(place: int, tokens: Mapping[str, str], numbers: list[str]) -> Iterator[bytes]:
    for number in cycle(numbers[place :: len(AGENTS)]):
        body = json.dumps({"body": f"{COMMENT} {uuid.uuid4()}"}).encode()
        yield post(f"/api/v1/changes/{number}/comments/", _headers("Bearer", tokens[AGENTS[place]]), body)


def _headers(scheme: str, token: str) -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}", "Content-Type": "application/json"}
