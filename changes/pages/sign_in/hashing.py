"""Password hashing, of which a process does only a few at a time.

A hash takes a tenth of a second or more, by design, and anybody may ask for one without being signed in. Without a
limit, such requests would keep all threads of a web server busy, and no page would be answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

# Seconds that one more request may wait for its turn. The others are refused at once, so that their threads are free.
WAIT = 1.0
# Seconds after which a refused request may be repeated.
RETRY_AFTER = 2

_turns = BoundedSemaphore(settings.PASSWORD_HASHES_AT_ONCE)
_waiting = BoundedSemaphore(1)


class TooBusy(Exception):  # noqa: N818 - reads as a statement, like the other exceptions of the project
    """Too many passwords are being hashed. Nothing was done; the request may be repeated."""


class FewAtOnce(PBKDF2PasswordHasher):
    """Django's default hasher, whose `encode` raises TooBusy when too many are at work. Its hashes are the same."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with _turn():
            return super().encode(password, salt, iterations)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(blocking=False):
        _wait()
    try:
        yield
    finally:
        _turns.release()


def _wait() -> None:
    if not _waiting.acquire(blocking=False):
        raise TooBusy
    try:
        if not _turns.acquire(timeout=WAIT):
            raise TooBusy
    finally:
        _waiting.release()
