"""Tells long-running work that its worker was asked to end: it then finishes what it has and takes nothing new.

The flag is in memory that a worker shares with its forked pool processes, since only the parent gets the signal.
"""

import mmap

from celery.signals import worker_shutting_down

_flag = mmap.mmap(-1, 1)


def ask() -> None:
    """Asks this process and the pool processes that it forked to end."""
    _flag[0] = 1


def is_asked() -> bool:
    return _flag[0] == 1


@worker_shutting_down.connect(dispatch_uid="integrations.workers.shutdown")
def _worker_shuts_down(**kwargs: object) -> None:
    ask()
