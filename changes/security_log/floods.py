"""Bounds on recorded refusals: anybody can cause them, so they must neither fill the disk nor keep the log busy.

The same refusal is recorded the 1st, 10th, 100th, ... time within a minute. Of one person or address at most
`OF_ONE` a minute are recorded, of all together at most `OF_ALL`. What people and tokens that are known do, and wrong
passwords for accounts that exist, have budgets of their own: strangers cannot use them up to hide something. One event
says that there was more.

Wrong passwords are bounded by the locks as well: changes/pages/sign_in/lockout.py.
"""

from __future__ import annotations

import threading
import time

from changes.rate_limits import Rate, use, wait_for

SECONDS = 60
OF_ONE = Rate(30, SECONDS)
KNOWN, ACCOUNT, STRANGER = "known", "account", "stranger"
OF_ALL = {KNOWN: Rate(300, SECONDS), ACCOUNT: Rate(120, SECONDS), STRANGER: Rate(120, SECONDS)}
ONCE = Rate(1, SECONDS)
# Refusals that a process keeps counts of. Beyond that all are forgotten, and are recorded anew.
MOST_KEPT = 10_000

_counts: dict[tuple[str, ...], int] = {}
_window = 0
_lock = threading.Lock()


def forget() -> None:
    """Forgets the counts of this process, as when it starts anew."""
    with _lock:
        _counts.clear()


def times(*what: str) -> int:
    """Counts a refusal in this process. Returns the count if it is 1, 10, 100, ..., which is recorded; otherwise 0."""
    global _window
    with _lock:
        now = int(time.time() // SECONDS)
        if now != _window or len(_counts) >= MOST_KEPT:
            _window = now
            _counts.clear()
        count = _counts[what] = _counts.get(what, 0) + 1
    return count if str(count).strip("0") == "1" else 0


def is_within_budget(who: str, budget: str) -> bool:
    """Uses up a little of what `who` may, and of one of the budgets of `OF_ALL`.

    Asks only memory once one of them is used up.
    """
    name = f"refusals:{budget}"
    if wait_for(name, OF_ALL[budget]):
        return False
    return not use(f"{name}:{who}"[:150], OF_ONE) and not use(name, OF_ALL[budget])


def is_first_beyond(budget: str) -> bool:
    """Whether this is the first refusal of this minute that is not recorded."""
    return not use(f"refusals:{budget}-told", ONCE)
