"""Whether this worker was asked to end: what goes on for long then takes nothing new, and finishes what it has.

The flag is memory that a worker shares with the pool processes it forked, since only the parent is told.
"""

import mmap

from celery.signals import worker_shutting_down

_flag = mmap.mmap(-1, 1)


def ask() -> None:
    _flag[0] = 1


def is_asked() -> bool:
    return _flag[0] == 1


@worker_shutting_down.connect(dispatch_uid="integrations.workers.shutdown")
def _worker_shuts_down(**kwargs: object) -> None:
    ask()
