"""A long run at half of the capacity: partners hand over changes, agents comment, and people read pages.

First everybody calls as fast as they are answered, which shows the capacity. Then they call half as often, for the
minutes of `--minutes`. The memory of each part is read each minute; after a third of the time it must not grow any
more. In the end every operation must have arrived, once, signed and in order.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from statistics import linear_regression, mean

from tests.processes import Process

from . import checks
from .clients import Load, NextRequest, get, load
from .content import AGENTS
from .cpu import CpuMeter, profile
from .deliveries import check_order, check_signatures
from .figures import Figure
from .handover import comments, creates
from .memory import private
from .outgoing import DATABASE, wait
from .seeding import copy_ours, seed_operations
from .session import Session
from .sink import Arrival
from .stack import OURS, Stack

WRITERS, READERS = 4, 4
# Changes that get comments.
_CHANGES = 1000
_CAPACITY_SECONDS = 30.0
_LOOK = 60.0
_ROWS = {
    "operations": "SELECT count(*) FROM integrations_outgoingoperation",
    "delivered": "SELECT count(*) FROM integrations_outgoingoperation WHERE status = 'Delivered'",
}
_OPEN = "SELECT count(*) FROM integrations_outgoingoperation WHERE status <> 'Delivered'"


class Soak:
    name = "soak"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seed = seed_operations(session.stack, session.partners, _CHANGES, 0)
        parts = ("web", "workers", "beat")
        self.figures = [
            Figure(f"memory of {part} in the last third against the second", "MiB", 1.05, False) for part in parts
        ]

    def measure(self) -> None:
        session, stack, seed = self._session, self._session.stack, self._seed
        copy_ours(stack, seed, DATABASE)
        stack.sink.take()
        environment = stack.environment(OURS, DATABASE, API_RATE_LIMIT="")
        web, url = stack.start_web(OURS, environment)
        parts = {
            "web": [web],
            "workers": stack.start_workers(OURS, environment),
            "beat": [stack.start_beat(environment)],
        }
        processes = [process for part in parts.values() for process in part]
        sessions = json.loads(stack.run_module("bench.sign_in", *AGENTS[:READERS], environment=environment))
        numbers = [f"CHG{number:07}" for number in range(1, _CHANGES + 1)]
        written = [*creates(seed.tokens)[:WRITERS], *comments(seed.tokens, numbers)[:WRITERS]]
        read = [partial(next, _pages(key, numbers[place::READERS])) for place, key in enumerate(sessions)]
        work = partial(_work, url, written, read)

        full_written, full_read = work(_CAPACITY_SECONDS, None, None)
        session.say(f"capacity: {full_written.rate:.0f} writes and {full_read.rate:.0f} pages a second")
        wait(stack, processes, lambda: _is_settled(stack))
        samples = _Samples(parts, session.say)
        services = {"PostgreSQL": [stack.postgresql.process.child.pid], "Redis": [stack.redis.process.child.pid]}
        meter = CpuMeter({name: [each.child.pid for each in part] for name, part in parts.items()} | services)
        seconds = 60.0 * session.minutes
        arrivals: list[Arrival] = []

        def take() -> None:
            taken = stack.sink.take()
            check_signatures(seed, taken)
            arrivals.extend(taken)

        take()
        with samples.each(_LOOK, take):
            half_written, half_read = work(seconds, full_written.rate / 2, full_read.rate / 2)
        answered = half_written.answered + half_read.answered
        session.say(
            f"half of it for {session.minutes} minutes: {half_written.answered} writes and {half_read.answered} pages; "
            + profile(meter.used(), seconds, answered)
        )
        wait(stack, processes, lambda: _is_settled(stack))
        take()
        stack.stop(processes)
        self._check(arrivals, full_written.answered + half_written.answered)
        for figure, (early, late) in zip(self.figures, samples.thirds(), strict=True):
            figure.add(late, early)
        session.say(samples.slopes())

    def _check(self, arrivals: Sequence[Arrival], written: int) -> None:
        """Each write caused one operation, beside those with which the changes were given to the partners."""
        check_order(arrivals)
        found = self._session.stack.postgresql.values(DATABASE, _ROWS)
        found |= {"arrivals": len(arrivals), "ids": len({arrival.header("webhook-id") for arrival in arrivals})}
        checks.equal("after the soak", found, dict.fromkeys(found, self._seed.operations + written))


def _work(
    url: str,
    written: list[NextRequest],
    read: list[NextRequest],
    seconds: float,
    writes: float | None,
    reads: float | None,
) -> tuple[Load, Load]:
    """What came of the writes and of the pages, which are called at the same time."""
    with ThreadPoolExecutor() as threads:
        writing = threads.submit(load, [url], written, 201, 0, seconds, writes)
        reading = threads.submit(load, [url], read, 200, 0, seconds, reads)
        return writing.result(), reading.result()


def _pages(session: str, numbers: list[str]) -> Iterator[bytes]:
    """What a person opens, one page after the other."""
    for number in cycle(numbers):
        for path in ("/", "/changes/", f"/changes/{number}/", "/exchange/", f"/changes/?q={number}"):
            yield get(path, {"Cookie": f"sessionid={session}"})


def _is_settled(stack: Stack) -> bool:
    return stack.postgresql.value(DATABASE, _OPEN) == 0


class _Samples:
    """The memory of each part, in MiB, read at intervals."""

    def __init__(self, parts: dict[str, list[Process]], say: Callable[[str], None]) -> None:
        self._parts = parts
        self._say = say
        self._begun = time.monotonic()
        self._taken: list[tuple[float, dict[str, float]]] = []
        self._is_over = threading.Event()

    def each(self, seconds: float, also: Callable[[], object]) -> _Samples:
        """`with` it: reads the memory, and does `also`, every so many seconds meanwhile."""

        def look() -> None:
            while not self._is_over.wait(seconds):
                also()
                self._take()

        self._thread = threading.Thread(target=look)
        return self

    def __enter__(self) -> None:
        self._take()
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._take()

    def thirds(self) -> list[tuple[float, float]]:
        """Of each part, the mean memory in the second and in the last third of the time."""
        end = self._taken[-1][0]
        later = [(3 * moment / end, memory) for moment, memory in self._taken if 3 * moment >= end]
        middle = [memory for third, memory in later if third <= 2]
        last = [memory for third, memory in later if third > 2]
        return [
            (mean(memory[part] for memory in middle), mean(memory[part] for memory in last)) for part in self._parts
        ]

    def slopes(self) -> str:
        """What each part gained in an hour, by a straight line through the last two thirds."""
        end = self._taken[-1][0]
        later = [(moment, memory) for moment, memory in self._taken if 3 * moment >= end]
        hours = [moment / 3600 for moment, _ in later]
        gained = {part: linear_regression(hours, [memory[part] for _, memory in later]).slope for part in self._parts}
        return "slope: " + ", ".join(f"{part} {slope:+.1f} MiB an hour" for part, slope in gained.items())

    def _take(self) -> None:
        memory = {part: private(processes) for part, processes in self._parts.items()}
        moment = time.monotonic() - self._begun
        self._taken.append((moment, memory))
        self._say(f"minute {moment / 60:.0f}: " + ", ".join(f"{part} {mib:.1f} MiB" for part, mib in memory.items()))
