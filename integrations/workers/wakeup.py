"""Wakes the workers when there is something to do, without making the caller wait for the broker.

A daemon thread in each process sends the messages. It combines the wake-ups that were asked for since its last message
into one, and repeats a message that failed. A broker that is gone or hangs only holds up this thread. The sweep finds
the work even without a wake-up, so an outage of the broker costs only a few seconds.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import current_app
from django.conf import settings

logger = logging.getLogger(__name__)

TASK = "integrations.tasks.deliver"
BULK_TASK = "integrations.tasks.bulk"
# The queue that each task's messages go to.
QUEUES = {TASK: "delivery", BULK_TASK: "housekeeping"}
# Seconds each for connecting, sending and waiting for an answer.
LIMIT = 1.0
# Seconds until the next try after a failure, and seconds that a process waits at its end for the last message.
PAUSE = 1.0
LAST_WAIT = 1.0
# Seconds for which ask() yields to the publisher thread.
GIVE_WAY = 0.002
# The least number of seconds between two messages of one process. After a pause a message leaves at once, so an idle
# exchange has no delay. Under load, one message stands for many operations. This saves time: a message costs both ends
# a millisecond, and a drain that finds one operation costs the worker as much as one that finds ten.
BETWEEN = 0.05
# No more messages are sent while at least ENOUGH wait in the queue: without workers they would pile up, and delay the
# workers once these start. The length of the queue is read at most once every LOOK_EVERY seconds.
ENOUGH = 200
LOOK_EVERY = 1.0


class Link:
    """A connection to the broker that is kept open, for use by one thread.

    Its methods never raise. An outage of the broker is logged once, and so is its end.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._connection: Any = None
        self._is_out = False

    def send(self, task: str, unless_flooded: str = "", **options: object) -> bool:
        """Sends a message that calls the task. `unless_flooded`: a queue; nothing is sent while it is flooded.

        Returns False if the broker could not be used.
        """

        def publish(connection: Any) -> bool:
            if not (unless_flooded and _is_flooded(connection, unless_flooded)):
                with current_app.amqp.Producer(connection, auto_declare=False) as producer:
                    current_app.send_task(task, producer=producer, retry=False, **options)
            return True

        return self._done(publish)

    def is_flooded(self, queue: str) -> bool:
        """Whether at least ENOUGH messages wait in this queue. False if the broker cannot be asked."""
        return self._done(lambda connection: _is_flooded(connection, queue))

    def lengths(self) -> dict[str, int] | None:
        """How many messages wait in each queue. None if the broker cannot be asked."""
        found: dict[str, int] = {}

        def count(connection: Any) -> bool:
            found.update({queue: _length(connection, queue) for queue in QUEUES.values()})
            return True

        return found if self._done(count) else None

    def _done(self, work: Callable[[Any], bool]) -> bool:
        is_kept = self._connection is not None
        try:
            if not is_kept:
                self._connection = _connect()
            result = work(self._connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread must go on
            self._disconnect()
            if is_kept:
                return self._done(work)  # perhaps only the kept connection was broken: try once with a new one
            if not self._is_out:
                logger.warning("The broker takes no %s. Sending is retried until it does: %s", self.what, error)
            self._is_out = True
            return False
        if self._is_out:
            logger.info("The broker takes %s again.", self.what)
        self._is_out = False
        return result

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.release()
            except Exception as error:  # noqa: BLE001 - a broken connection may fail to close in any way
                logger.debug("The broken connection to the broker did not close: %s", error)


def _is_flooded(connection: Any, queue: str) -> bool:
    return _length(connection, queue) >= ENOUGH


def _length(connection: Any, queue: str) -> int:
    return int(connection.default_channel.queue_declare(queue).message_count)


def _connect() -> Any:
    """A new connection to the broker, with shorter timeouts than a worker's."""
    limits = {"socket_connect_timeout": LIMIT, "socket_timeout": LIMIT}
    is_redis = settings.CELERY_BROKER_URL.startswith("redis")
    return current_app.connection_for_write(connect_timeout=LIMIT, transport_options=limits if is_redis else {})


class Publisher:
    """Sends the wake-ups of one process for one task, from its own thread."""

    def __init__(self, task: str) -> None:
        _import_all()
        self.task = task
        self.pid = os.getpid()
        self._changed = threading.Condition()
        # How many wake-ups were asked for, and how many of them a sent message covers.
        self._asked = self._sent = 0
        self._free_at = 0.0  # the time.monotonic() from which the next message may be sent
        threading.Thread(target=self._run, name="wake-up", daemon=True).start()

    def ask(self) -> None:
        """Asks the thread to send a message that is newer than this call. Waits at most GIVE_WAY seconds for it."""
        with self._changed:
            is_idle = self._sent == self._asked and time.monotonic() >= self._free_at
            self._asked += 1
            self._changed.notify_all()
            if is_idle:
                # Python runs one thread at a time (GIL). Waiting lets the publisher thread run now, so that the message
                # leaves before the rest of the request is done. If the thread is busy, the caller does not wait.
                self._changed.wait_for(lambda: self._sent == self._asked, GIVE_WAY)

    def wait(self, seconds: float) -> bool:
        """Waits up to `seconds` until a message was sent for every wake-up. Returns whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: self._sent == self._asked, seconds)

    def _run(self) -> None:
        link, next_look = Link("wake-ups"), 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._sent < self._asked)
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            with self._changed:
                # Wake-ups that are asked for from now on need another message: a worker may act on this one before
                # their transactions commit.
                asked = self._asked
            if not link.send(self.task, expires=settings.WAKE_UP_EXPIRES):
                time.sleep(PAUSE)
                continue
            with self._changed:
                self._sent, self._free_at = asked, time.monotonic() + BETWEEN
                self._changed.notify_all()
            while time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_EVERY
                if link.is_flooded(QUEUES[self.task]):
                    time.sleep(LOOK_EVERY)


def _import_all() -> None:
    """Imports everything that Celery would import lazily.

    If the process forked while the thread imports a module, the child would have half a module.
    """
    current_app.finalize()
    _connect().transport_cls  # noqa: B018 - a property that imports
    current_app.amqp.Producer  # noqa: B018
    current_app.events.Dispatcher  # noqa: B018


_publishers: dict[str, Publisher] = {}
_making = threading.Lock()


def wake() -> None:
    """Asks a worker to send what is due. Call it after the commit.

    Never raises, and blocks for at most GIVE_WAY seconds.
    """
    _own().ask()


def wake_bulk() -> None:
    """Asks a worker to work on the bulk jobs that were started. Otherwise as `wake()`."""
    _own(BULK_TASK).ask()


def _own(task: str = TASK) -> Publisher:
    # A forked child has no copy of the parent's thread, so it needs a publisher of its own.
    found = _publishers.get(task)
    if found is None or found.pid != os.getpid():
        with _making:
            found = _publishers.get(task)
            if found is None or found.pid != os.getpid():
                found = _publishers[task] = Publisher(task)
    return found


def _forget() -> None:
    """Resets the state in a forked child: a thread that does not exist here may have held the lock."""
    global _publishers, _making
    _publishers, _making = {}, threading.Lock()


@atexit.register
def _last_wake_up() -> None:
    for publisher in _publishers.values():
        if publisher.pid == os.getpid():
            publisher.wait(LAST_WAIT)


os.register_at_fork(after_in_child=_forget)
