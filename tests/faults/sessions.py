"""Concurrent transactions, controlled statement by statement. The test decides which session continues, and where one
dies.

So races are deterministic: the order of the statements of two sessions is part of the test, and a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import cycle
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Any

from django.db import connection

Work = Callable[[], Any]
# Seconds after which an unfinished statement may be waiting for a lock.
PATIENCE = 0.004


class Killed(BaseException):
    """Simulates the death of the session's process. No code of the product may catch it."""


class Session:
    """A thread with its own connection. Its work stops before each statement, and before each commit."""

    def __init__(self) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self.is_over = True
        self.has_committed = self.is_dead = False
        self._dies = False
        self._works: SimpleQueue[Work | None] = SimpleQueue()
        self._go = Semaphore(0)
        self._stopped = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        self._stopped.wait()

    # --- In its thread ---

    def _run(self) -> None:
        connection.ensure_connection()
        self._backend = connection.connection.info.backend_pid if connection.vendor == "postgresql" else None
        commit = connection._commit

        def commit_or_die() -> Any:
            try:
                self._stop()
            except Killed:
                connection._rollback()
                raise
            result = commit()
            self.has_committed = True
            return result

        connection._commit = commit_or_die
        with connection.execute_wrapper(self._execute):
            self._stopped.set()
            while (work := self._works.get()) is not None:
                try:
                    self.result = work()
                except Killed:
                    self.is_dead = True
                except Exception as error:
                    self.error = error
                self.is_over = True
                self._stopped.set()
        connection.close()

    def _execute(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self._stop()
        return execute(*arguments)

    def _stop(self) -> None:
        if self._dies:
            return  # it is rolling back
        self._stopped.set()
        self._go.acquire()
        if self._dies:
            raise Killed

    # --- In the thread of the test ---

    def begin(self, work: Work) -> None:
        """Starts work in the thread. It stops before its first statement."""
        self.result = self.error = None
        self.is_over = self.has_committed = self._dies = self.is_dead = False
        self._stopped.clear()
        self._works.put(work)
        self._stopped.wait()

    @property
    def is_done(self) -> bool:
        """Whether the work is committed, even if the session died before it got the result."""
        return self.has_committed or not self.is_dead

    @property
    def can_go_on(self) -> bool:
        return self._stopped.is_set() and not self.is_over

    def step(self) -> None:
        """Runs one statement. Returns when it is done, or when it waits for a lock."""
        self._stopped.clear()
        self._go.release()
        self.await_stop()

    def await_stop(self, even_for_locks: bool = False) -> None:
        while not self._stopped.wait(PATIENCE):
            if not even_for_locks and self._waits_for_a_lock():
                return

    def _waits_for_a_lock(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [self._backend])
            return bool(cursor.fetchone()[0])

    def kill(self) -> None:
        """Kills the session here. Uncommitted work is rolled back, and there is no result."""
        self._stopped.clear()
        self._dies = True
        self._go.release()
        self._stopped.wait()

    def close(self) -> None:
        self._works.put(None)
        self._thread.join()


class Sessions(AbstractContextManager["Sessions"]):
    """Two sessions for the duration of a test."""

    def __init__(self) -> None:
        self.both = (Session(), Session())

    def __exit__(self, *details: Any) -> None:
        for session in self.both:
            if not session.is_over:
                session.kill()
            session.close()

    def interleave(self, works: Sequence[Work], bursts: Sequence[int]) -> list[int]:
        """Runs two works at once. `bursts`: statements of the first, the second, the first, and so on. Then both run to
        their end.

        While one waits for a lock of the other, the other continues. Returns the numbers of both (0 and 1) in the order
        in which they ended. Raises an error of either.
        """
        ended: list[int] = []
        for session, work in zip(self.both, works, strict=True):
            session.begin(work)
        for turn, burst in enumerate(bursts):
            for _ in range(burst):
                self._go_on(turn % 2, ended)
        for number in cycle((0, 1)):
            while self._go_on(number, ended):
                continue
            if len(ended) == 2:
                break
            if not any(session.can_go_on for session in self.both):
                # Both wait for each other. The database ends this deadlock.
                for session in self.both:
                    session.await_stop(even_for_locks=True)
            self._note_ends(ended)
        for session in self.both:
            if session.error:
                raise session.error
        return ended

    def _go_on(self, number: int, ended: list[int]) -> bool:
        self._note_ends(ended)
        session, other = self.both[number], self.both[1 - number]
        if not session.can_go_on:
            return False
        session.step()
        self._note_ends(ended)
        other.await_stop()  # it may have got the lock that it waited for
        return True

    def _note_ends(self, ended: list[int]) -> None:
        ended += [number for number, session in enumerate(self.both) if session.is_over and number not in ended]

    def die(self, work: Work, statements: int) -> Session:
        """Runs a work, and kills its session after `statements` statements unless it has ended."""
        session = self.both[0]
        session.begin(work)
        for _ in range(statements):
            if session.can_go_on:
                session.step()
        if not session.is_over:
            session.kill()
        if session.error:
            raise session.error
        return session
