"""Database conflicts and outages: a request that met a conflict is repeated; if that fails too, it gets a 503."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from typing import Any

from django.db import Error, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views import defaults

from casexchange.web.error_pages import refused, refused_call
from changes.api.parsers import REPEATABLE_BYTES
from changes.calls import CALLS
from changes.conflicts import RETRY_AFTER, count_error, is_unavailable, is_undone, is_written_apart, retry, what_to_do
from changes.exceptions import ChangeRefused
from changes.pages.from_replica import note_own_write
from changes.pages.sign_in.interruptions import INTERRUPTIONS, answer_to
from changes.pages.sign_in.middleware import before_the_view
from changes.replica.reading import has_replica

logger = logging.getLogger(__name__)

SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}
_NO_WRITE = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "SET", "SHOW", "PRAGMA", "EXPLAIN")

View = Callable[..., HttpResponseBase]


class ConflictMiddleware:
    """Calls the view again after a database conflict. Must be the last middleware in the list.

    The view is only called again if the body can be read once more and nothing of the first call was committed.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: View, args: Any, kwargs: Any) -> HttpResponseBase:
        writes = _Writes()
        # Opening a page notes what the person has seen.
        is_kept_up = has_replica() and not request.path.startswith(CALLS)
        with ExitStack() as stack:
            if request.method not in SAFE or is_kept_up:
                stack.enter_context(connection.execute_wrapper(writes))
            response = self._answered(request, writes, partial(_answer, view, request, *args, **kwargs))
        if is_kept_up and writes.are_committed:
            note_own_write(response)
        return response

    def _answered(
        self, request: HttpRequest, writes: _Writes, call: Callable[[], HttpResponseBase]
    ) -> HttpResponseBase:
        def may_repeat() -> bool:
            return (request.method in SAFE or not writes.are_committed) and _is_readable_again(request)

        try:
            return retry(call, may_repeat)
        except Error as error:
            if not is_unavailable(error):
                raise
            return not_now(request, error, writes.are_committed)
        except ChangeRefused as refusal:
            # A page without a form to show the refusal in. The API handles its own refusals before this.
            return refused(request, refusal)
        except INTERRUPTIONS as interruption:
            # Django calls no `process_exception` for a view that a middleware calls.
            return answer_to(request, interruption)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Answers 503 if the database fails after the view, such as while a page is rendered."""
        if isinstance(error, Error) and is_unavailable(error):
            return not_now(request, error, may_be_saved=True)
        return None


def _answer(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
    return before_the_view(request) or view(request, *args, **kwargs)


class _Writes:
    """Watches the statements of a request. `are_committed` tells whether anything that it wrote was committed.

    What is `written_apart()` does not count.
    """

    are_committed = False

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if not (is_written_apart() or str(sql)[:20].lstrip(" \n(").upper().startswith(_NO_WRITE)):
            if context["connection"].in_atomic_block:
                transaction.on_commit(self._note)  # a rollback discards this
            else:
                self._note()
        return result

    def _note(self) -> None:
        self.are_committed = True


def _is_readable_again(request: Any) -> bool:
    """Whether the view can read the body once more: it has not read it, or Django has kept it."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > REPEATABLE_BYTES or "Transfer-Encoding" in request.headers:
        return False
    return not request._read_started or hasattr(request, "_body") or hasattr(request, "_post")


# --- 503 ---


def not_now(request: HttpRequest, error: Exception, may_be_saved: bool) -> HttpResponse:
    """The 503 answer when the database is unavailable or in conflict. Itself uses no database.

    `may_be_saved`: whether something the request wrote may have been committed; the answer then says so.
    """
    count_error(error)
    logger.warning("%s %s is answered with 503: %s", request.method, request.path, error)
    is_read = request.method in SAFE
    may_be_saved = not is_read and (may_be_saved or not is_undone(error))
    response: HttpResponse
    if request.path.startswith(CALLS):
        detail = what_to_do(is_read, may_be_saved)
        response = refused_call(request.path, HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable", detail)
    else:
        # Rendered without the request: finding out who is signed in would read the database.
        page = render_to_string("503.html", {"is_read": is_read, "may_be_saved": may_be_saved})
        response = HttpResponse(page, status=503)
    response["Retry-After"] = str(RETRY_AFTER)
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500` of the URLs: answers 503 if the database failed in another middleware, as in saving a session."""
    error = sys.exc_info()[1]
    if isinstance(error, Error) and is_unavailable(error):
        return not_now(request, error, may_be_saved=True)
    return defaults.server_error(request)
