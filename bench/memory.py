"""The memory of a worker after 50,000 deliveries, compared with that after 5,000."""

from __future__ import annotations

from pathlib import Path

from tests.processes import Process

from .cpu import descendants
from .figures import Figure
from .multiply import multiply
from .outgoing import drain_ours
from .seeding import OurSeed
from .session import Session

_COPIES = 10
_EARLY = 5_000


class Memory:
    name = "memory"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seed = self._many()
        self.figures = [Figure("memory of a worker, after 50,000 deliveries against after 5,000", "MiB", 1.1, False)]

    def measure(self) -> None:
        early = late = 0.0

        def read(count: int, workers: list[Process]) -> None:
            nonlocal early, late
            late = resident(workers)
            if count >= _EARLY:
                early = early or late

        drained = drain_ours(self._session, seed=self._seed, look=read)
        self._session.say(f"{drained.rate:.0f}/s; {early:.0f} MiB after {_EARLY:,}, {late:.0f} MiB at the end")
        self.figures[0].add(late, early)

    def _many(self) -> OurSeed:
        """50,000 operations that wait: copies of the 5,000 that were saved."""
        seed, postgresql = self._session.waiting, self._session.stack.postgresql
        many = OurSeed("many", seed.tokens, seed.signing_secrets, _COPIES * seed.changes, seed.comments, seed.wake_ups)
        postgresql.create(many.database, seed.database)
        with postgresql.connect(many.database) as connection:
            multiply(connection, _COPIES - 1)
        postgresql.settle(many.database)
        return many


def resident(processes: list[Process]) -> float:
    """MiB of memory of these processes and their descendants. Shared memory is counted once."""
    return _sum(processes, "Pss:")


def private(processes: list[Process]) -> float:
    """MiB of memory that belongs to these processes and their descendants alone, whatever else runs."""
    return _sum(processes, "Private_Clean:", "Private_Dirty:")


def _sum(processes: list[Process], *names: str) -> float:
    pids = [pid for process in processes for pid in descendants(process.child.pid)]
    return sum(_of(pid, names) for pid in pids) / 1024


def _of(pid: int, names: tuple[str, ...]) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith(names))
