"""Error pages and API errors, where Django would answer with an empty page or with less than is known."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views import defaults

from casexchange.web.body_limits import too_large
from changes.calls import CALLS, OF_ADAPTERS
from changes.exceptions import ChangeRefused
from integrations.smax.answers import failed

_TOO_MUCH = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


class ErrorPagesMiddleware:
    """Gives an empty 405 answer a page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(CALLS):
            return self.get_response(request)  # programs have their own limits and error answers
        response = self.get_response(request)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED and not getattr(response, "content", b"-"):
            page = render(request, "405.html", {"method": request.method}, status=response.status_code)
            page["Allow"] = response["Allow"]
            return page
        return response


def refused(request: HttpRequest, refusal: ChangeRefused) -> HttpResponse:
    return render(request, "409.html", {"exception": refusal}, status=HTTPStatus.CONFLICT)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """`handler400` of the URLs: answers a request that cannot be read (400) or is too large (413)."""
    is_too_much = isinstance(exception, _TOO_MUCH)
    if request.path.startswith(CALLS):
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if is_too_much else HTTPStatus.BAD_REQUEST
        said = "The request is too large." if is_too_much else "The request cannot be read."
        return refused_call(request.path, status, "too_large" if is_too_much else "invalid", said)
    if isinstance(exception, BadRequest):
        return render(request, "400.html", {"why": str(exception)}, status=HTTPStatus.BAD_REQUEST)
    return too_large(request) if is_too_much else defaults.bad_request(request, exception)


def refused_call(path: str, status: HTTPStatus, code: str, detail: str) -> JsonResponse:
    """The error for a call to this path, made outside the views of calls."""
    if path.startswith(OF_ADAPTERS):
        return JsonResponse(failed(status, detail), status=status)
    return _problem(status, code, detail)


def _problem(status: HTTPStatus, code: str, detail: str) -> JsonResponse:
    """An error of the API (RFC 9457)."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "errors": [{"code": code, "detail": detail, "attr": None}],
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")
