"""Ctrl-C and SIGTERM alike end what is being done, in order and without a traceback."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Somebody asked this process to end. Not an Exception: nothing on the way may take it for a failure."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, either signal raises `Interrupted`, once; while that unwinds, further ones are ignored."""

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
