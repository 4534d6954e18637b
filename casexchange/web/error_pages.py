"""Error pages and API errors, where Django would answer with an empty page or with less than is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus

from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views import defaults

from casexchange.web.body_limits import API, too_large
from changes.exceptions import ChangeRefused

_TOO_MUCH = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


class ErrorPagesMiddleware:
    """Gives an empty 405 answer a page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(API):
            return self.get_response(request)  # the API has its own limits and error answers
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
    if request.path.startswith(API):
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if is_too_much else HTTPStatus.BAD_REQUEST
        said = "The request is too large." if is_too_much else "The request cannot be read."
        return problem(status, said, [("too_large" if is_too_much else "invalid", said)])
    if isinstance(exception, BadRequest):
        return render(request, "400.html", {"why": str(exception)}, status=HTTPStatus.BAD_REQUEST)
    return too_large(request) if is_too_much else defaults.bad_request(request, exception)


def problem(status: HTTPStatus, detail: str, errors: Sequence[tuple[str, str]]) -> JsonResponse:
    """An API error (RFC 9457) made outside the API's views. `errors`: pairs of a code and its detail."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "errors": [{"code": code, "detail": said, "attr": None} for code, said in errors],
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")
