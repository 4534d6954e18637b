"""Three hosts' processes against those of one, and PgBouncer against direct connections: what an operation costs.

On one machine three hosts are not faster. The processor time of an operation shows whether they would be: it must not
grow with their number. Each round also prints the connections to PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.pgbouncer import PgBouncer

from . import checks
from .clients import load
from .cpu import Cost, CpuMeter
from .deliveries import check_all_delivered
from .figures import Figure
from .incoming import SECONDS, WARM_UP, connections
from .outgoing import DATABASE, open_operations, watch
from .seeding import copy_ours
from .session import Session
from .stack import OURS

CLIENTS = 32
HOSTS = 3
POOL = 12
_CHANGES = "SELECT count(*) FROM changes_change"
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"


@dataclass
class Setup:
    """`hosts`: each has a web server with two processes, and a worker with two. `more`: settings of all of them."""

    name: str
    hosts: int
    pool: PgBouncer | None = None
    more: dict[str, str] = field(default_factory=dict)

    @property
    def pool_process(self) -> dict[str, list[int]]:
        return {"PgBouncer": [self.pool.process.child.pid]} if self.pool else {}


class Hosts:
    name = "hosts"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.figures = [
            Figure(f"{what}, processor time: {compared}", "ms", bar, at_least=False)
            for compared, bar in ((f"{HOSTS} hosts against one", 1.15), ("by PgBouncer against directly", 1.4))
            for what in ("Create", "delivery")
        ]

    def measure(self) -> None:
        stack = self._session.stack
        pool = PgBouncer(
            stack.folder / f"pgbouncer{len(self.figures[0].ours)}", stack.postgresql.folder, DATABASE, POOL
        )
        one, three = Setup("one host", 1), Setup("three hosts", HOSTS)
        # Debian's PgBouncer loses prepared statements.
        more = {"DATABASE_URL": pool.url(), "DATABASE_PREPARED_STATEMENTS": "0"}
        pooled = Setup("three hosts by PgBouncer", HOSTS, pool, more)
        try:
            cost = {each.name: (self._create(each), self._drain(each)) for each in (one, three, pooled)}
        finally:
            pool.stop()
        compared = ((cost[three.name], cost[one.name]), (cost[pooled.name], cost[three.name]))
        for number, (ours, other) in enumerate(compared):
            for figure, mine, theirs in zip(self.figures[2 * number :], ours, other, strict=False):
                figure.add(mine, theirs)

    def _create(self, setup: Setup) -> float:
        """Milliseconds of processor time for one `Create`."""
        session, stack = self._session, self._session.stack
        copy_ours(stack, session.partners, DATABASE)
        environment = stack.environment(OURS, DATABASE, **setup.more)
        started = [stack.start_web(OURS, environment) for _ in range(setup.hosts)]
        stack.postgresql.checkpoint()
        parts = {
            "web": [process.child.pid for process, _ in started],
            "PostgreSQL": [stack.postgresql.process.child.pid],
            **setup.pool_process,
        }
        urls = [url for _, url in started]
        callers = connections(CLIENTS, "Bearer", session.partners.tokens)
        # The first requests of a process cost more, and three hosts have three times as many processes.
        warm = load(urls, callers, 201, 0, setup.hosts * WARM_UP)
        meter = CpuMeter(parts)
        came = load(urls, callers, 201, 0, SECONDS)
        cost = Cost(meter.used(), SECONDS, came.answered)
        found = {"changes": stack.postgresql.value(DATABASE, _CHANGES)}
        answered = {"changes": warm.answered + came.answered}
        checks.equal(f"after the Create operations of {setup.name}", found, answered)
        session.say(f"{setup.name}: Create {came.rate:.0f}/s; {self._connections(setup)}; {cost}")
        stack.stop([process for process, _ in started])
        return cost.milliseconds

    def _drain(self, setup: Setup) -> float:
        """Milliseconds of processor time for one delivery."""
        session, stack, seed = self._session, self._session.stack, self._session.waiting
        copy_ours(stack, seed, DATABASE)
        environment = stack.environment(OURS, DATABASE, **setup.more)
        stack.sink.take()
        processes = [stack.start_beat(environment), *stack.start_workers(OURS, environment, setup.hosts)]
        cost = watch(stack, processes, seed.operations, lambda: open_operations(stack) == 0, **setup.pool_process)
        session.say(f"{setup.name}: {seed.operations / cost.wall:.0f}/s delivered; {self._connections(setup)}; {cost}")
        stack.stop(processes)
        check_all_delivered(stack, DATABASE, seed, stack.sink.take())
        return cost.milliseconds

    def _connections(self, setup: Setup) -> str:
        held = self._session.stack.postgresql.value("postgres", _CONNECTIONS, DATABASE)
        if setup.pool is None:
            return f"{held} connections to PostgreSQL"
        return f"{setup.pool.connections()[0]} connections to PgBouncer, {held} to PostgreSQL"
