"""Password hashing, of which a process does only a few at a time.

A hash takes a tenth of a second or more, by design, and anybody may ask for one without being signed in. Without a
limit, such requests would keep all threads of a web server busy, and no page would be answered.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from changes.protection.turns import Turns

# Seconds that one more request may wait for its turn. The others are refused at once, so that their threads are free.
WAIT = 1.0
# Seconds after which a refused request may be repeated.
RETRY_AFTER = 2

_turns = Turns(at_once=settings.PASSWORD_HASHES_AT_ONCE, waiting=1, seconds=WAIT)


class FewAtOnce(PBKDF2PasswordHasher):
    """Django's default hasher, whose `encode` raises TooBusy when too many are at work. Its hashes are the same."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with _turns:
            return super().encode(password, salt, iterations)
