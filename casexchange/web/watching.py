"""The addresses for monitoring. They are answered before anything else of a request is looked at.

So a load balancer needs neither a host name of `ALLOWED_HOSTS` nor https, and they answer when the database is gone.
The event loop of casexchange/asgi.py gives each a thread of its own, so they also answer when all others are busy.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import cache
from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from integrations.watch import figures, readiness

View = Callable[[HttpRequest], HttpResponseBase]


class WatchMiddleware:
    """Must be the first middleware."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        view = ADDRESSES.get(request.path_info)
        if view is None or (view is metrics and not settings.METRICS_TOKEN):
            return self.get_response(request)
        response = view(request) if request.method in ("GET", "HEAD") else HttpResponseNotAllowed(["GET", "HEAD"])
        response["Cache-Control"] = "no-store"
        response["X-Content-Type-Options"] = "nosniff"
        if view is readyz:
            # Otherwise Django would log an error at each call while something is not well. The checks log it once.
            response._has_been_logged = True  # type: ignore[attr-defined]
        return response


def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. It says nothing about the database: restarting this process would not bring it back."""
    return JsonResponse({"status": "alive"})


def readyz(request: HttpRequest) -> HttpResponse:
    """Whether all is well (200) or not (503). `?checks=database,migrations` asks for some of the checks only."""
    asked = [name.strip() for name in request.GET.get("checks", "").split(",") if name.strip()]
    if unknown := sorted({*asked} - {*readiness.CHECKS}):
        told = f"checks: choose from {', '.join(readiness.CHECKS)}. There is no {unknown[0][:40]}."
        return JsonResponse({"status": "unknown", "error": told}, status=HTTPStatus.BAD_REQUEST)
    found = readiness.checks(asked or readiness.CHECKS)
    is_ready = all(check.is_ok for check in found.values())
    body = {
        "status": "ready" if is_ready else "not ready",
        "checks": {
            name: {
                "state": check.state,
                "seconds_ago": check.seconds_ago,
                **({"detail": check.detail} if check.detail else {}),
            }
            for name, check in found.items()
        },
    }
    return JsonResponse(body, status=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


def metrics(request: HttpRequest) -> HttpResponse:
    """The figures for Prometheus, for who has METRICS_TOKEN. Without such a setting there is no such address."""
    if not settings.METRICS_TOKEN:
        raise Http404
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secrets.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode()):
        response = HttpResponse("Send METRICS_TOKEN as a bearer token.\n", "text/plain", HTTPStatus.UNAUTHORIZED)
        response["WWW-Authenticate"] = "Bearer"
        return response
    return HttpResponse(generate_latest(_registry()), CONTENT_TYPE_LATEST)


@cache
def _registry() -> CollectorRegistry:
    return figures.registry(settings.METRICS_DIR)


ADDRESSES: dict[str, View] = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
