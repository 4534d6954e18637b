"""Polls: asks the mapped partners for their news, several at a time. One worker polls a system at a time.

A poll is a generator. It yields a request, and is sent the response; it yields None to be asked again: a moment later
if it waits for something, at once if it `has_work` and only let the others have their turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils import timezone
from rest_framework.exceptions import APIException, Throttled

from changes import work
from changes.texts.storable import storable
from integrations.models import ConnectionPoll, SecretUnreadable
from integrations.outgoing import delivery, outbox
from integrations.outgoing.sending import retry_after
from integrations.transports.base import Request, Response, TransportError
from integrations.transports.statuses import Outcome, outcome_of
from integrations.workers import shutdown

from . import due_polls, news, partner_tokens
from .calling import Line, no_answer
from .evaluation import polling_rules
from .evaluation.auth import AuthRefused
from .evaluation.calls import Call
from .evaluation.conversation import Conversation
from .partner_tokens import Renewal, Token
from .passes import MOST_PASSES, Passes
from .revisions import connection_of_revision
from .secrets import check_readable, secrets_of
from .templating.faults import EvaluationFailed, FaultyDocument
from .templating.values import wrapped

logger = logging.getLogger(__name__)

AT_ONCE = 32
LOOK_AGAIN = 0.2
# A poll of more pages goes on with the next one.
MOST_PAGES = 50
# A task of more seconds begins no further polls: the next one does.
LONGEST_TASK = 60
# A poll that has much to do lets the others have their turn after so many seconds.
TURN = 0.5
Asking = Generator[Request | None, Response, Any]


class PollFailed(Exception):  # noqa: N818 - as in changes.exceptions
    """Why a poll ended early. It is tried again later."""

    def __init__(self, reason: str, pause_status: int | None = None, retry_after: float | None = None) -> None:
        self.pause_status, self.retry_after = pause_status, retry_after
        super().__init__(reason)


def poll_due() -> int:
    """Polls the systems that are due, until none is or it took long. Returns the number of polls."""
    due_polls.mend_times()
    end = time.monotonic() + LONGEST_TASK
    count = 0
    running: dict[_Poll, Future[Response] | None] = {}
    while True:
        if not shutdown.is_asked() and time.monotonic() < end:
            rows = due_polls.claim(AT_ONCE - len(running), is_alone=not running)
            secrets = secrets_of([row.pk for row in rows]) if rows else {}
            for row in rows:
                count += 1
                _advance(_Poll(row, secrets[row.pk]), None, running)
        if not running:
            return count
        pause = 0 if any(poll.has_work for poll in running) else LOOK_AGAIN
        wait([future for future in running.values() if future], timeout=pause, return_when=FIRST_COMPLETED)
        for poll, future in [*running.items()]:
            if future is None or future.done():
                _advance(poll, future, running)
        if running and not any(future or poll.has_work for poll, future in running.items()):
            time.sleep(LOOK_AGAIN)


def _advance(poll: _Poll, answered: Future[Response] | None, running: dict[_Poll, Future[Response] | None]) -> None:
    """Lets a poll go on to its next call, its next turn or its end, with the answer to the last call."""
    poll.turn_began = time.monotonic()
    token = work.begin(poll.work)
    try:
        if answered is None:
            request = next(poll.generator)
        elif error := answered.exception():
            request = poll.generator.throw(error)
        else:
            request = poll.generator.send(answered.result())
    except StopIteration:
        running.pop(poll, None)
        return
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("Polling %s failed unexpectedly", poll.system)  # the others go on
        running.pop(poll, None)
        return
    finally:
        work.end(token)
    running[poll] = delivery.transport().submit([request])[0] if request else None


class _Poll:
    """One poll of one system."""

    def __init__(self, row: ConnectionPoll, secrets: dict[str, str]) -> None:
        self.row, self.system, self.secrets = row, row.system, secrets
        # Templates know the cursor with which the poll began: none in the first poll, whatever was read meanwhile.
        self.cursor = self.begun_at = row.cursor
        self.begun = timezone.now()
        self.every = 60.0
        self.work = work.RequestWork(work.new_request_id())  # the cause of what it takes
        self.token: Token | None = None
        self.turn_began, self.has_work = time.monotonic(), False
        self.generator = self._run()

    def _run(self) -> Asking:
        try:
            yield from self._pages()
        except PollFailed as error:
            if error.pause_status is not None:
                outbox.pause(self.system.pk, error.pause_status, timezone.now())
            self._end(str(error), error.retry_after or 0)
        except TransportError as error:
            self._end(no_answer(error))
        except FaultyDocument as error:
            self._end(f"The connection's document has faults: {error}")
        except (EvaluationFailed, SecretUnreadable) as error:
            self._end(str(error))
        except Exception:
            logger.exception("Polling %s failed unexpectedly", self.system)
            self._end("internal error: see the worker's log")
        else:
            self._end("")

    # --- The list ---

    def _pages(self) -> Asking:
        number, connection = connection_of_revision(self.system.connection_id)
        self.way = f"poll, revision {number}"
        if connection.poll is None:
            self.every = due_polls.LONGEST_PAUSE
            return
        self.poll, self.every = connection.poll, connection.poll.every
        check_readable(self.system, self.secrets, connection.secret_names)
        self.line = Line(connection, self.secrets)
        yield from self._by_page() if self.poll.listed.by_page else self._by_cursor()

    def _by_cursor(self) -> Asking:
        """Each page is asked for by the cursor behind the one before."""
        call, is_of_item = self._list_call(self.cursor, 0, use_overlap=True), self.poll.listed.cursor is None
        for page in range(MOST_PAGES):
            response, items = yield from self._listed(call, self.cursor, page)
            for item in items:
                if shutdown.is_asked():
                    return
                yield from self._item(item)
                if is_of_item and (behind := self._cursor_of(item)) not in (None, ""):
                    self.cursor = behind
                yield from self._turn()
            if not is_of_item:
                behind = self._cursor_behind(response, self.cursor, page)
                if behind in (None, ""):
                    return  # the answer says that nothing follows
                self.cursor = behind
            if not self._is_full(items):
                return
            before, call = call, self._list_call(self.cursor, page + 1, use_overlap=False)
            if (call.url, call.body) == (before.url, before.body):
                raise PollFailed(
                    f"poll.list: {len(items)} items or more have the cursor {self.cursor}. The list gets no further. "
                    "Raise page_size, or let the list go on by `page`."
                )

    def _by_page(self) -> Asking:
        """The cursor stays until the whole list was read, since it must stay the same list."""
        passes = Passes(self._cursor_of if self.poll.listed.cursor is None else None)
        for _ in range(MOST_PASSES):
            passes.begin()
            yield from self._pass(passes)
            if shutdown.is_asked():
                return
            if passes.is_certain:
                break
        cursor = passes.certain_cursor
        if cursor is not None:
            self.cursor = cursor
        elif not passes.is_certain and not self.poll.acknowledge:  # which may make it shorter
            raise PollFailed(f"poll.list: the list was another one from its first item on, {MOST_PASSES} times.")

    def _pass(self, passes: Passes) -> Asking:
        for page in range(MOST_PAGES):
            call = self._list_call(self.begun_at, page, use_overlap=True)
            response, items = yield from self._listed(call, self.begun_at, page)
            if passes.is_same_page(items):
                raise PollFailed(f"poll.list: page {page} has the same items as page {page - 1}. Check `page`.")
            for item in items:
                if shutdown.is_asked():
                    return
                if passes.is_new(item):
                    yield from self._item(item)
                yield from self._turn()
            if not self._is_full(items):
                break
        else:
            if self.poll.listed.cursor is not None:
                raise PollFailed(f"poll.list: the list has more than {MOST_PAGES} pages. Raise page_size.")
        if self.poll.listed.cursor is not None:
            passes.end(self._cursor_behind(response, self.begun_at, page))

    def _list_call(self, cursor: object, page: int, use_overlap: bool) -> Call:
        return polling_rules.list_call(self.line.connection, self.secrets, cursor, page, self.begun, use_overlap)

    def _listed(self, call: Call, cursor: object, page: int) -> Asking:
        """The answer, and the items of a page."""
        connection = self.line.connection
        response = yield from self._call(call)
        self._check(polling_rules.list_verdict(connection, response, cursor, page), response)
        return response, polling_rules.items_of(connection, response, cursor, page)

    def _cursor_behind(self, response: Response, cursor: object, page: int) -> object:
        return polling_rules.cursor_behind(self.line.connection, response, cursor, page, self.begun)

    def _is_full(self, items: list[Any]) -> bool:
        return bool(self.poll.page_size and len(items) >= self.poll.page_size)

    def _item(self, item: Any) -> Asking:
        connection = self.line.connection
        saved: dict[str, Any] = {}
        try:
            external_id = polling_rules.external_id_of(connection, item)
        except EvaluationFailed:
            external_id = ""  # only what is read of the item tells it
        known = bool(external_id) and news.is_known(self.system, external_id)
        try:
            if self.poll.has_read:
                reading = polling_rules.ItemReading(connection, item, self.begun_at, known, self.secrets)
                yield from self._converse(reading)
                saved = reading.steps
            external_id = polling_rules.external_id_of(connection, item, saved)
            entries = polling_rules.entries_of(connection, item, saved, known=known, cursor=self.begun_at)
        except EvaluationFailed as error:
            news.log_unusable(self.system, self.way, None, item, str(error))
            return
        # Entries share them, so they are made ready for templates once.
        seen, steps = wrapped(item), wrapped(saved)
        for entry in entries:
            self._entry(seen, entry, steps, external_id)
            yield from self._turn()
        if self.poll.acknowledge:
            yield from self._acknowledge(item, saved, external_id, known)

    def _converse(self, conversation: Conversation) -> Asking:
        """Makes the calls about an item. Raises EvaluationFailed if one is refused."""
        while call := conversation.next_call():
            response = yield from self._call(call)
            verdict = conversation.answered(response)
            if verdict.outcome is Outcome.REFUSED:
                raise EvaluationFailed("", verdict.error)
            self._check(verdict, response)

    def _acknowledge(self, item: Any, saved: dict[str, Any], external_id: str, known: bool) -> Asking:
        names = {
            "item": item,
            "external_id": external_id,
            "known": known,
            "cursor": self.begun_at,
            "change_number": news.change_number(self.system, external_id),
        }
        try:
            yield from self._converse(polling_rules.Acknowledging(self.line.connection, saved, names, self.secrets))
        except EvaluationFailed as error:
            news.log_unusable(self.system, self.way, None, item, str(error))

    def _cursor_of(self, item: Any) -> object:
        """None for an item that has none: then the cursor stays where it is."""
        try:
            return polling_rules.cursor_of(self.line.connection, item, self.begun)
        except EvaluationFailed as error:
            news.log_unusable(self.system, self.way, None, item, str(error))
            return None

    def _entry(self, item: Any, entry: Any, saved: Any, external_id: str) -> None:
        connection, key = self.line.connection, None
        try:
            # Asked for each entry: the one before may have made the reference.
            known = news.is_known(self.system, external_id)
            key = polling_rules.key_of(connection, item, entry, saved, known, external_id, cursor=self.begun_at)
            if news.is_done(self.system, key):
                return
            if polling_rules.is_skipped(connection, item, entry, saved, known, cursor=self.begun_at):
                return
            key, body = polling_rules.operation_of(
                connection, item, entry, saved, known, external_id, cursor=self.begun_at
            )
            news.take(self.system, self.way, key, body)
        except EvaluationFailed as error:
            news.log_unusable(self.system, self.way, key, entry, str(error))
        except Throttled as error:
            raise PollFailed(str(error.detail)) from error
        except APIException as error:
            if error.status_code >= 500:
                raise PollFailed(str(error.detail)) from error
            # It is in the incoming log. The others go on.
            logger.info("News of %s was refused: %s", self.system, error.detail)

    def _check(self, verdict: Any, response: Response) -> None:
        if verdict.outcome is Outcome.PAUSE:
            raise PollFailed(verdict.error, response.status)
        if verdict.outcome is Outcome.RETRY:
            raise PollFailed(verdict.error, retry_after=retry_after(response.headers))
        if verdict.outcome is not None:
            raise PollFailed(verdict.error)

    # --- Calls ---

    def _call(self, call: Call) -> Asking:
        """The answer to the call, made with a new token if the first was refused."""
        self._prolong()
        if not self.line.connection.auth.has_token:
            return (yield self.line.request(call))
        token = self.token = yield from self._sign_in(None)
        response = yield self.line.request(call, token.value)
        if response.status != 401:
            return response
        token = self.token = yield from self._sign_in(token.number)
        return (yield self.line.request(call, token.value))

    def _sign_in(self, refused: int | None) -> Asking:
        """The token. Waits while another worker asks for one."""
        while True:
            found = partner_tokens.token_or_renewal(self.system.pk, refused)
            if isinstance(found, Token):
                return found
            if isinstance(found, Renewal):
                return (yield from self._ask_for_token(found))
            yield None

    def _ask_for_token(self, renewal: Renewal) -> Asking:
        try:
            request, _ = self.line.sign_in()
            response = yield request
            got = self.line.connection.auth.token_of(response)
        except AuthRefused as error:
            partner_tokens.give_up(renewal)
            is_credential = 400 <= response.status < 500 and outcome_of(response.status) is not Outcome.RETRY
            pause_status = response.status if is_credential else None
            raise PollFailed(str(error), pause_status, retry_after(response.headers)) from error
        except BaseException:
            partner_tokens.give_up(renewal)
            raise
        return partner_tokens.keep(renewal, got.value, got.expires_in)

    # --- The row ---

    def _turn(self) -> Asking:
        """Lets the other polls have their turn, if this one has worked for long."""
        if time.monotonic() - self.turn_began < TURN:
            return
        self._prolong()
        self.has_work = True
        yield None
        self.has_work = False

    def _prolong(self) -> None:
        """Keeps the lease and the cursor."""
        mine = {"pk": self.row.pk, "claim": self.row.claim}
        if not ConnectionPoll.objects.filter(**mine).update(
            claimed_until=timezone.now() + due_polls.lease(), cursor=self.cursor
        ):
            raise PollFailed("another worker took over")

    def _end(self, error: str, asked: float = 0) -> None:
        """`asked`: the seconds that the partner asks us to wait."""
        now = timezone.now()
        failures = self.row.failures + 1 if error else 0
        pause = min(max(self.every * 2 ** min(failures, 10), asked), max(due_polls.LONGEST_PAUSE, self.every))
        ConnectionPoll.objects.filter(pk=self.row.pk, claim=self.row.claim).update(
            cursor=self.cursor,
            claimed_until=None,
            due_at=now + timedelta(seconds=0 if shutdown.is_asked() else pause if error else self.every),
            failures=failures,
            failing_since=(self.row.failing_since or now) if error else None,
            last_error=storable(self.line_masked(error))[:500],
            **({} if error else {"polled_at": now}),
        )

    def line_masked(self, text: str) -> str:
        line = getattr(self, "line", None)
        return line.masked(text, self.token.value if self.token else "") if line else text
