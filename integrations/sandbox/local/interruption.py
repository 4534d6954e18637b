"""Lets both Ctrl-C and SIGTERM end a command cleanly and without a traceback."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Somebody asked this process to end. Not an Exception, so that no handler of failures catches it."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside the `with` block, the first of these signals raises `Interrupted`. Further ones are ignored."""

    def interrupt(*_: object) -> None:
        for number in INTERRUPTIONS:
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted

    former = {number: signal.signal(number, interrupt) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
