"""Counts the requests, with the seconds that they took. Requests that monitoring makes are not counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Histogram

REQUESTS = Counter("casexchange_requests", "Requests, by view and status of the answer.", ["view", "status"])
SECONDS = Histogram(
    "casexchange_request_seconds",
    "Seconds in which Django answered a request, without the time in which it waited for its body or for news.",
    ["view"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
NO_VIEW, STATIC = "none", "static"


class MeasuringMiddleware:
    """Must come before all that takes time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = self.get_response(request)
        if not hasattr(response, "wait"):  # otherwise it comes back when there is news
            view = view_of(request)
            _requests(view, response.status_code).inc()
            _seconds(view).observe(time.perf_counter() - began)
        return response


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
