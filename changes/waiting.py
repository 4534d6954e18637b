"""An answer that may come later: a call that waits for news holds no thread and no database connection meanwhile.

A view whose request has `CAN_WAIT` returns `later()` instead of an answer. The server (casexchange/asgi.py) then asks
`ready` now and again, for all waiting calls of the process at once, and calls the view again: when the key is among
what `ready` returned, or when the time is over. The second request has `HAS_WAITED`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse

CAN_WAIT, HAS_WAITED = "casexchange.can_wait", "casexchange.has_waited"
Keys = Collection[Any]
# Calls of one owner that may wait in a process.
MOST_OF_OWNER = 20
# The shares of a web server's process: calls of the API, and open pages.
CALLS, PAGES = "calls", "pages"


@dataclass(frozen=True)
class Wait:
    """What a call waits for, at most so many seconds. `ready` returns those of the given keys that have news.

    `owner`: whoever calls. Only `most` calls of each may wait at a time; beyond that a call is answered at once. So is
    one beyond what its `share` of the server takes: open pages must not take the places of partners.
    """

    key: Hashable
    owner: Hashable
    seconds: float
    ready: Callable[[Keys], Keys]
    most: int = MOST_OF_OWNER
    share: str = CALLS


def later(wait: Wait) -> HttpResponse:
    """The answer that tells the server to call the view again. It is never sent."""
    response = HttpResponse(status=202)
    response.wait = wait  # type: ignore[attr-defined]
    return response
