"""Names each request by an id, writes its line in the log, and counts it. Those by monitoring have none of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Histogram

from changes import spans
from changes.pages.htmx import is_automatic
from changes.work import HEADER, TRACEPARENT, RequestWork, begin, end, sane

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
        traceparent = request.headers.get(TRACEPARENT, "")
        work = RequestWork(request.META.get(REQUEST_ID) or sane(request.headers.get(HEADER), traceparent))
        token = begin(work)
        tracer = spans.tracer()
        span = tracer.begin(traceparent) if tracer else None
        try:
            response = self.get_response(request)
            response[HEADER] = work.request_id
            if not hasattr(response, "wait"):  # otherwise it comes back when there is news
                given, span = span, None
                _tell(_Answered(request, response, view_of(request), work, time.perf_counter() - began), given)
            return response
        finally:
            if span:
                span.drop()
            end(token)


@dataclass(frozen=True)
class _Answered:
    request: HttpRequest
    response: HttpResponseBase
    view: str
    work: RequestWork
    seconds: float

    @property
    def is_by_itself(self) -> bool:
        """Open pages ask by themselves, and each page for its style sheets."""
        return self.view == STATIC or is_automatic(self.request)

    def fields(self) -> dict[str, object]:
        """Neither the address nor the person: addresses have what people look for, and links that reset a password."""
        found: dict[str, object] = {
            "method": self.request.method,
            "view": self.view,
            "status": self.response.status_code,
            "milliseconds": round(self.seconds * 1000, 1),
        }
        if number := self.request.resolver_match and self.request.resolver_match.kwargs.get("number"):
            found["change"] = number
        if operations := self.work.operations:
            found |= {"operations": operations[:NAMED], "operations_count": len(operations)}
        return found


def _tell(answered: _Answered, span: spans.Open | None) -> None:
    _requests(answered.view, answered.response.status_code).inc()
    _seconds(answered.view).observe(answered.seconds)
    level = logging.DEBUG if answered.is_by_itself else logging.INFO
    if not (span or logger.isEnabledFor(level)):
        return
    fields = answered.fields()
    if logger.isEnabledFor(level):
        logger.log(level, _text(fields), extra=fields)
    if span and answered.is_by_itself:
        span.drop()
    elif span:
        name = f"{fields['method']} {answered.view}"
        is_fault = answered.response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        span.end(name, {**fields, "request_id": answered.work.request_id}, is_fault)


def _text(fields: dict[str, Any]) -> str:
    text = "{method} {view} {status} in {milliseconds:g} ms".format(**fields)
    if "change" in fields:
        text += f", {fields['change']}"
    if "operations" in fields:
        text += f", recorded {fields['operations_count']}: {' '.join(fields['operations'])}"
    return text


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
