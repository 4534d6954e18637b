"""The calls of this process that wait for news. One look at the database serves all of them."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from contextlib import suppress

from changes.waiting import CALLS, PAGES, Keys, Wait

logger = logging.getLogger(__name__)

# Seconds between two looks, and what each key adds, so that very many of them do not take all of a thread's time.
INTERVAL, FOR_EACH_KEY = 0.2, 0.005
# Calls that may wait in this process, by their share. A web server takes some hundreds of calls at a time, and those
# who wait must not be in the way of those who do not.
MOST = {CALLS: 200, PAGES: 200}


class LongPolls:
    """Asks what the waiting calls wait for, in a thread of `threads`, as long as there are any."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._waiting: dict[Callable[[Keys], Keys], dict[Hashable, set[asyncio.Event]]] = defaultdict(dict)
        self._looking: asyncio.Task[None] | None = None
        self._of_owner: Counter[Hashable] = Counter()
        self._of_share: Counter[str] = Counter()
        self._is_watching = self._is_ending = False

    async def wait(self, wait: Wait) -> None:
        """Returns when there is news, or when the time is over; at once if too many wait, or if the server ends."""
        if not self._is_watching:
            self._is_watching = True
            _when_asked_to_end(asyncio.get_running_loop(), self._end)
        if self._is_ending:
            return
        if self._of_owner[wait.owner] >= wait.most or self._of_share[wait.share] >= MOST[wait.share]:
            return
        event = asyncio.Event()
        self._of_owner[wait.owner] += 1
        self._of_share[wait.share] += 1
        keys = self._waiting[wait.ready]
        keys.setdefault(wait.key, set()).add(event)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            with suppress(TimeoutError):  # then the view answers that there is nothing
                async with asyncio.timeout(wait.seconds):
                    await event.wait()
        finally:
            self._of_share[wait.share] -= 1
            self._of_owner[wait.owner] -= 1
            if not self._of_owner[wait.owner]:
                del self._of_owner[wait.owner]
            keys[wait.key].discard(event)
            if not keys[wait.key]:
                del keys[wait.key]

    def _end(self) -> None:
        """Otherwise the server would wait for those who wait, and take no new calls meanwhile."""
        self._is_ending = True
        for keys in self._waiting.values():
            for events in keys.values():
                for event in events:
                    event.set()

    async def _look(self) -> None:
        while count := sum(len(keys) for keys in self._waiting.values()):
            await asyncio.sleep(max(INTERVAL, count * FOR_EACH_KEY))
            for ready, keys in [*self._waiting.items()]:  # calls come and go meanwhile
                for key in await self._ready(ready, [*keys]):
                    for event in keys.get(key, ()):
                        event.set()

    async def _ready(self, ready: Callable[[Keys], Keys], keys: list[Hashable]) -> Keys:
        if not keys:
            return ()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ready, keys)
        except Exception:
            # The calls go on to their view, which meets the error itself and answers it. Nobody waits in vain.
            logger.exception("Waiting calls are answered now: it cannot be found out what is new for them")
            return keys


def _when_asked_to_end(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Calls it at SIGTERM and SIGINT, before the handlers that the server has set on its loop."""
    # asyncio has no other way to ask for a handler than to look where it keeps them.
    own: dict[int, asyncio.Handle] = getattr(loop, "_signal_handlers", {})
    for number in (signal.SIGTERM, signal.SIGINT):
        if handle := own.get(number):
            loop.add_signal_handler(number, _both, call, handle)


def _both(call: Callable[[], None], handle: asyncio.Handle) -> None:
    call()
    handle._run()
