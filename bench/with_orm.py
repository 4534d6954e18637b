"""The time of an operation with a hand-written SQL statement, and with the ORM instead: `python -m bench.with_orm`.

Reads a JSON object from stdin: `tokens`, `pairs` of an operation and a statement, `rounds`. Prints both medians of each
pair in ms, as JSON. The difference is so small that noise would hide it, so blocks of both kinds alternate in one
process, without a web server or a worker.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from statistics import median
from typing import Any

import django

from .content import AGENTS, COMMENT, SYSTEMS, create_operations, external_group, next_partner

CHANGES = 100
_BLOCK = 20
_AFTER_SWITCH = 4
# Where such shortcuts are besides integrations/statements/.
_ELSEWHERE = ("changes.models.prepared", "changes.models.inserting")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    django.setup()
    wanted = json.load(sys.stdin)
    operations = _operations(wanted["tokens"])
    for run in operations.values():
        for _ in range(_BLOCK):
            run()
    json.dump(
        [_compare(operations[name], statement, wanted["rounds"]) for name, statement in wanted["pairs"]], sys.stdout
    )


def _compare(run: Callable[[], float], statement: str, rounds: int) -> tuple[float, float]:
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        for is_ours in (True, False) if number % 2 else (False, True):
            with _replaced("" if is_ours else statement):
                times = [run() for _ in range(_AFTER_SWITCH + _BLOCK)]
            taken[is_ours] += times[_AFTER_SWITCH:]
    return median(taken[True]) * 1000, median(taken[False]) * 1000


@contextmanager
def _replaced(statement: str) -> Iterator[None]:
    """Replaces the statement of this name by its ORM version in all modules that imported it. Nothing for ""."""
    if not statement:
        yield
        return
    from .orm_statements import REPLACED

    users: list[Any] = [
        module for name, module in sys.modules.items() if name.startswith(("changes.", "integrations."))
    ]
    users = [module for module in users if hasattr(module, "__dict__") and statement in vars(module)]
    ordinary = [(module, vars(module)[statement]) for module in users if _is_same(vars(module)[statement])]
    for module, _ in ordinary:
        setattr(module, statement, REPLACED[statement])
    try:
        yield
    finally:
        for module, function in ordinary:
            setattr(module, statement, function)


def _is_same(function: Any) -> bool:
    module = getattr(function, "__module__", "") or ""
    return module.startswith("integrations.statements.") or module in _ELSEWHERE


# --- The operations. Each returns the seconds that it took ---


def _operations(tokens: dict[str, str]) -> dict[str, Callable[[], float]]:
    from django.contrib.auth import get_user_model

    from casexchange.wsgi import application
    from changes.models import Change, Comment
    from integrations.outgoing import delivery

    def call(path: str, token: str, body: bytes, **headers: str) -> float:
        environment = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "HTTP_HOST": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": "application/json",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_AUTHORIZATION": f"Bearer {token}",
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            **headers,
        }
        status: list[str] = []
        begun = time.perf_counter()
        answer = application(environment, lambda said, _headers: status.append(said))
        answered = b"".join(answer)
        answer.close()
        took = time.perf_counter() - begun
        if not status[0].startswith("201"):
            raise RuntimeError(f"{path} answered {status[0]}: {answered[:500]!r}")
        return took

    creates = {name: create_operations(name, external_group(next_partner(name))) for name in SYSTEMS}
    numbers, alice = count(), get_user_model().objects.get(username="alice")
    changes = list(Change.objects.order_by("pk")[:CHANGES])

    def create() -> float:
        system = SYSTEMS[next(numbers) % len(SYSTEMS)]
        key, body = next(creates[system])
        return call("/api/v1/operations/", tokens[system], body, HTTP_IDEMPOTENCY_KEY=key)

    def comment() -> float:
        number = next(numbers)
        body = json.dumps({"body": f"{COMMENT} {uuid.uuid4()}"}).encode()
        change = changes[number % len(changes)]
        return call(f"/api/v1/changes/{change.number}/comments/", tokens[AGENTS[number % len(AGENTS)]], body)

    def drain() -> float:
        Comment(change=changes[next(numbers) % len(changes)], author=alice, body=COMMENT).save()
        begun = time.perf_counter()
        sent = delivery.drain()
        took = time.perf_counter() - begun
        if sent != 1:
            raise RuntimeError(f"{sent} operations were sent instead of one")
        return took

    delivery.drain()
    return {"Create": create, "comment": comment, "drain of one": _without_backlog(drain, delivery.drain)}


def _without_backlog(drain: Callable[[], float], drain_all: Callable[[], int]) -> Callable[[], float]:
    """First delivers, unmeasured, what the other operations left over. Then measures `drain`."""

    def run() -> float:
        drain_all()
        return drain()

    return run


if __name__ == "__main__":
    main()
