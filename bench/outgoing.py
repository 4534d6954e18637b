"""Drains 5,000 waiting operations of 500 changes to 10 systems. The baseline runs as many tasks.

On both sides everything is queued before the workers start. The time runs from the first arrival at the sink to the
last; for casexchange, to the last result in the database.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.processes import Process

from . import checks
from .cpu import Cost, CpuMeter
from .deliveries import check_all_delivered
from .figures import Figure
from .seeding import OurSeed, copy_ours
from .session import Session
from .sink import Arrival
from .stack import BASELINE, OURS, Stack

CONCURRENCY = 2
PATIENCE = 300.0
DATABASE = "measured"
_LOOK = 0.1
_OPEN = (
    "SELECT count(*) FROM integrations_outgoingoperation o JOIN integrations_externalsystem s ON s.id = o.system_id"
    " WHERE o.status NOT IN ('Delivered', 'Skipped') AND s.system_id <> %s"
)
_LAST_SETTLED = "SELECT (extract(epoch FROM max(settled_at)) * 1000000)::bigint FROM integrations_outgoingoperation"


@dataclass(frozen=True)
class Drained:
    """`seconds`: from the first arrival to the last result. `cost`: the processor time."""

    arrivals: list[Arrival]
    seconds: float
    cost: Cost

    @property
    def rate(self) -> float:
        return len(self.arrivals) / self.seconds


class Drain:
    name = "drain"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.figures = [Figure("outgoing, drain of 5,000 over 10 systems", "1/s", 2.0)]

    def measure(self) -> None:
        ours = drain_ours(self._session)
        self._session.keep_messages(ours.arrivals)
        self._session.say(f"ours: {ours.rate:.0f}/s; {ours.cost}")
        baseline = drain_baseline(self._session)
        self._session.say(f"baseline: {baseline.rate:.0f}/s; {baseline.cost}")
        self.figures[0].add(ours.rate, baseline.rate)


class Workers:
    name = "workers"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.figures = [Figure("drain: two worker processes against one", "1/s", 1.6)]

    def measure(self) -> None:
        rates = {}
        for count in (1, 2):
            drained = drain_ours(self._session, workers=count, concurrency=1)
            self._session.say(f"{count} worker processes: {drained.rate:.0f}/s; {drained.cost}")
            rates[count] = drained.rate
        self.figures[0].add(rates[2], rates[1])


def drain_ours(
    session: Session,
    workers: int = 1,
    concurrency: int = CONCURRENCY,
    seed: OurSeed | None = None,
    look: Callable[[int, list[Process]], None] | None = None,
) -> Drained:
    """Starts beat and workers, waits until all waiting operations are delivered, and checks them.

    `look` is called repeatedly with the number of arrivals and the workers.
    """
    stack, seed = session.stack, seed or session.waiting
    copy_ours(stack, seed, DATABASE)
    drained = drain_database(session, seed, workers, concurrency, look)
    check_all_delivered(stack, DATABASE, seed, drained.arrivals)
    return drained


def drain_database(
    session: Session,
    seed: OurSeed,
    workers: int = 1,
    concurrency: int = CONCURRENCY,
    look: Callable[[int, list[Process]], None] | None = None,
) -> Drained:
    """As `drain_ours()`, with the copy that was made of `seed`, and without the check."""
    stack = session.stack
    environment = stack.environment(OURS, DATABASE)
    stack.sink.take()
    beat = stack.start_beat(environment)
    started = stack.start_workers(OURS, environment, workers, concurrency)

    def is_done() -> bool:
        if look:
            look(stack.sink.count(), started)
        return open_operations(stack) == 0

    cost = watch(stack, [beat, *started], seed.operations, is_done)
    stack.stop([beat, *started])
    arrivals = stack.sink.take()
    end = max(arrivals[-1].moment, _last_settled(stack))
    return Drained(arrivals, end - arrivals[0].moment, cost)


def drain_baseline(session: Session) -> Drained:
    """Queues the baseline's tasks, starts its worker, waits until all have arrived, and checks them."""
    stack, messages = session.stack, session.messages
    environment = stack.environment(BASELINE, "baseline")
    enqueue(session, messages)
    stack.sink.take()
    processes = stack.start_workers(BASELINE, environment, concurrency=CONCURRENCY)
    cost = watch(stack, processes, len(messages))
    stack.stop(processes)
    arrivals = stack.sink.take()
    check_baseline(messages, arrivals)
    return Drained(arrivals, arrivals[-1].moment - arrivals[0].moment, cost)


def enqueue(session: Session, messages: Sequence[tuple[str, str]]) -> None:
    stack = session.stack
    queue = stack.redis.client(BASELINE.redis_number)
    queue.flushdb()
    environment = stack.environment(BASELINE, "baseline")
    stack.run_module("bench.baseline.celery_post.enqueue", environment=environment, stdin=json.dumps(messages))
    checks.equal("before the drain of the baseline", {"tasks": int(queue.llen("celery"))}, {"tasks": len(messages)})


def check_baseline(messages: Sequence[tuple[str, str]], arrivals: Sequence[Arrival]) -> None:
    """Raises CheckFailed unless exactly these messages arrived."""
    bodies = {arrival.body.decode() for arrival in arrivals}
    found = {"arrivals": len(arrivals), "expected bodies": len(bodies & {body for _, body in messages})}
    checks.equal("after the tasks of the baseline", found, dict.fromkeys(found, len(messages)))


def watch(
    stack: Stack,
    workers: Sequence[Process],
    expected: int,
    is_done: Callable[[], bool] = lambda: True,
    **further: list[int],
) -> Cost:
    """Waits until `expected` messages have arrived and `is_done()`. Returns the processor time meanwhile.

    `further`: process ids of other parts, by name.
    """
    wait(stack, workers, lambda: stack.sink.count() > 0)
    begun, already = time.monotonic(), stack.sink.count()
    meter = CpuMeter(
        {
            "workers": [process.child.pid for process in workers],
            "PostgreSQL": [stack.postgresql.process.child.pid],
            "Redis": [stack.redis.process.child.pid],
            "sink": [stack.sink.process.child.pid],
            **further,
        }
    )
    wait(stack, workers, lambda: is_done() and stack.sink.count() >= expected)
    return Cost(meter.used(), time.monotonic() - begun, expected - already)


def wait(stack: Stack, processes: Sequence[Process], is_met: Callable[[], bool]) -> None:
    """Waits until the condition is true. Raises RuntimeError if one of the processes ends, and TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not is_met():
        for process in processes:
            process.check_running()
        if time.monotonic() > deadline:
            raise TimeoutError(f"After {PATIENCE:g} s only {stack.sink.count()} have arrived.")
        time.sleep(_LOOK)


def open_operations(stack: Stack, but: str = "") -> int:
    """The number of operations that are not settled, without those of one system."""
    return stack.postgresql.value(DATABASE, _OPEN, but)


def _last_settled(stack: Stack) -> float:
    """The time.monotonic() at which the last result was written."""
    settled = stack.postgresql.value(DATABASE, _LAST_SETTLED) / 1e6
    return settled - time.time() + time.monotonic()
