"""The delivery rate of nine systems while the tenth hangs until its timeout, compared with all ten healthy.

Both times the same operations wait for all ten systems. Only the operations of the nine systems count.
"""

from __future__ import annotations

from collections.abc import Sequence

from .content import SYSTEMS
from .deliveries import check_all_delivered
from .figures import Figure
from .outgoing import CONCURRENCY, DATABASE, open_operations, wait
from .seeding import copy_ours
from .session import Session
from .sink import Arrival
from .stack import OURS

HANGING = SYSTEMS[-1]
# Short times, so that several requests in a row time out and the circuit breaker opens during the measurement.
SETTINGS = {
    "DELIVERY_TIMEOUT": "1",
    "DELIVERY_RETRY_SCHEDULE": ",".join(["1"] * 20),
    "BREAKER_OPEN_SECONDS": "2",
}


class Hanging:
    name = "hanging"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.figures = [Figure("nine systems while one hangs, against ten healthy", "1/s", 0.95)]

    def measure(self) -> None:
        healthy = self._rate_of_nine(hangs=False)
        hanging = self._rate_of_nine(hangs=True)
        self._session.say(f"the nine: {hanging:.0f}/s while one hangs, {healthy:.0f}/s with all healthy")
        self.figures[0].add(hanging, healthy)

    def _rate_of_nine(self, hangs: bool) -> float:
        stack, seed = self._session.stack, self._session.waiting
        copy_ours(stack, seed, DATABASE)
        environment = {**stack.environment(OURS, DATABASE), **SETTINGS}
        stack.sink.take()
        if hangs:
            stack.sink.hang(HANGING)
        processes = [stack.start_beat(environment), *stack.start_workers(OURS, environment, concurrency=CONCURRENCY)]
        if hangs:
            wait(stack, processes, lambda: self._are_nine_done())
            stack.sink.recover()
        wait(stack, processes, lambda: open_operations(stack) == 0)
        stack.stop(processes)
        arrivals = stack.sink.take()
        # Includes the system that hung: its operations must arrive too, in order.
        check_all_delivered(stack, DATABASE, seed, arrivals, may_repeat=hangs)
        return _rate([arrival for arrival in arrivals if arrival.path != f"/{HANGING}"])

    def _are_nine_done(self) -> bool:
        return open_operations(self._session.stack, but=HANGING) == 0


def _rate(arrivals: Sequence[Arrival]) -> float:
    return len(arrivals) / (arrivals[-1].moment - arrivals[0].moment)
