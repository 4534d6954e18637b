"""Names each request by an id, writes its line in the log, and counts it. Those by monitoring have none of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Histogram

from changes.pages.htmx import is_automatic
from changes.work import HEADER, RequestWork, begin, end, sane

logger = logging.getLogger("casexchange.requests")

REQUESTS = Counter("casexchange_requests", "Requests, by view and status of the answer.", ["view", "status"])
SECONDS = Histogram(
    "casexchange_request_seconds",
    "Seconds in which Django answered a request, without the time in which it waited for its body or for news.",
    ["view"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
NO_VIEW, STATIC = "none", "static"
# Where casexchange/asgi.py puts the id, since it may call Django twice for one request.
REQUEST_ID = "casexchange.request_id"
# Operations that the line of a request names.
NAMED = 20


class RequestsMiddleware:
    """Must come before all that takes time or writes to the log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        work = RequestWork(request.META.get(REQUEST_ID) or sane(request.headers.get(HEADER)))
        token = begin(work)
        try:
            response = self.get_response(request)
            response[HEADER] = work.request_id
            if not hasattr(response, "wait"):  # otherwise it comes back when there is news
                self._told(request, response, work, time.perf_counter() - began)
            return response
        finally:
            end(token)

    def _told(self, request: HttpRequest, response: HttpResponseBase, work: RequestWork, seconds: float) -> None:
        view = view_of(request)
        _requests(view, response.status_code).inc()
        _seconds(view).observe(seconds)
        # Open pages ask by themselves, and each page for its style sheets.
        level = logging.DEBUG if view == STATIC or is_automatic(request) else logging.INFO
        if logger.isEnabledFor(level):
            _log(level, request, response, view, work, seconds)


def _log(
    level: int, request: HttpRequest, response: HttpResponseBase, view: str, work: RequestWork, seconds: float
) -> None:
    """Neither the address nor the person: addresses have what people look for, and links that reset a password."""
    milliseconds = round(seconds * 1000, 1)
    fields: dict[str, object] = {
        "method": request.method,
        "view": view,
        "status": response.status_code,
        "milliseconds": milliseconds,
    }
    text = f"{request.method} {view} {response.status_code} in {milliseconds:g} ms"
    if number := request.resolver_match and request.resolver_match.kwargs.get("number"):
        fields["change"] = number
        text += f", {number}"
    if work.operations:
        fields["operations"] = work.operations[:NAMED]
        fields["operations_count"] = len(work.operations)
        text += f", recorded {len(work.operations)}: {' '.join(work.operations[:NAMED])}"
    logger.log(level, text, extra=fields)


def view_of(request: HttpRequest) -> str:
    """The name of the view. An address that does not exist has none: anybody can make up many."""
    if request.resolver_match is not None:
        return request.resolver_match.view_name
    return STATIC if request.path.startswith(settings.STATIC_URL) else NO_VIEW


@cache
def _requests(view: str, status: int) -> Counter:
    return REQUESTS.labels(view, status)


@cache
def _seconds(view: str) -> Histogram:
    return SECONDS.labels(view)
