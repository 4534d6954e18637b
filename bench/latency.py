"""Time from commit to arrival at the partner on an idle system, against the baseline's from `delay()` to arrival."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from . import checks
from .deliveries import check_all_delivered
from .figures import Figure, percentile
from .outgoing import CONCURRENCY, DATABASE, check_baseline, open_operations, wait
from .seeding import copy_ours, seed_operations
from .session import Session
from .sink import Arrival
from .stack import BASELINE, OURS

COUNT = 100
PERCENTILES = {"p50": 0.5, "p95": 0.95}
# The number of changes to which comments are added. They are given to the partners, and delivered, beforehand.
_CHANGES = 50
# Random, so that the comments do not synchronise with a periodic task.
_PAUSE = (0.08, 0.16)


class Latency:
    name = "latency"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seed = seed_operations(session.stack, session.partners, _CHANGES, 0)
        self.figures = [
            Figure(f"commit to arrival when idle, {name}", "ms", 1.5, at_least=False) for name in PERCENTILES
        ]

    def measure(self) -> None:
        sides = {"ours": self._ours(), "baseline": self._baseline()}
        values = {
            side: [percentile(delays, share) * 1000 for share in PERCENTILES.values()] for side, delays in sides.items()
        }
        for side, (p50, p95) in values.items():
            self._session.say(f"{side}: p50 {p50:.2f} ms, p95 {p95:.2f} ms")
        for figure, ours, baseline in zip(self.figures, values["ours"], values["baseline"], strict=True):
            figure.add(ours, baseline)

    def _ours(self) -> list[float]:
        stack, seed = self._session.stack, self._seed
        copy_ours(stack, seed, DATABASE)
        environment = stack.environment(OURS, DATABASE)
        stack.sink.take()
        processes = [stack.start_beat(environment), *stack.start_workers(OURS, environment, concurrency=CONCURRENCY)]
        wait(stack, processes, lambda: stack.sink.count() >= seed.operations and open_operations(stack) == 0)
        assigned = stack.sink.take()
        printed = stack.run_module("bench.comment_one_by_one", environment=environment, stdin=json.dumps(_pauses()))
        wait(stack, processes, lambda: stack.sink.count() >= COUNT and open_operations(stack) == 0)
        stack.stop(processes)
        arrivals = stack.sink.take()
        done = replace(seed, comments=COUNT // seed.changes)
        check_all_delivered(stack, DATABASE, done, [*assigned, *arrivals])
        came = {json.loads(arrival.body)["comment"]["id"]: arrival.moment for arrival in arrivals}
        return [came[comment] - committed for comment, committed in json.loads(printed)]

    def _baseline(self) -> list[float]:
        stack, messages = self._session.stack, self._session.messages[:COUNT]
        environment = stack.environment(BASELINE, "baseline")
        stack.redis.client(BASELINE.redis_number).flushdb()
        stack.sink.take()
        processes = stack.start_workers(BASELINE, environment, concurrency=CONCURRENCY)
        # A warm-up: afterwards each process has started and has a connection.
        stack.run_module("bench.baseline.celery_post.enqueue", environment=environment, stdin=json.dumps(messages))
        wait(stack, processes, lambda: stack.sink.count() >= COUNT)
        stack.sink.take()
        printed = stack.run_module(
            "bench.baseline.celery_post.one_by_one",
            environment=environment,
            stdin=json.dumps({"messages": messages, "pauses": _pauses()}),
        )
        wait(stack, processes, lambda: stack.sink.count() >= COUNT)
        stack.stop(processes)
        arrivals = stack.sink.take()
        check_baseline(messages, arrivals)
        return _delays(messages, arrivals, json.loads(printed))


def _delays(messages: list[tuple[str, str]], arrivals: list[Arrival], moments: list[float]) -> list[float]:
    came = {arrival.body.decode(): arrival.moment for arrival in arrivals}
    if len(came) != len(messages):
        raise checks.CheckFailed("two messages of the baseline are alike")
    return [came[body] - moment for (_, body), moment in zip(messages, moments, strict=True)]


def _pauses() -> list[float]:
    return [random.uniform(*_PAUSE) for _ in range(COUNT)]
