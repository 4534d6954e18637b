"""Records the refusals with which pages, the administration and the API answer."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from changes.calls import OF_ADAPTERS, TOKEN_COOKIES

from .recording import Subject, refuse

# Below it, an address may contain the secret of a password reset.
ACCOUNTS = "/accounts/"


class SecurityLogMiddleware:
    """Looks only at the status of an answer. All transactions of the view have ended by then."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code == HTTPStatus.FORBIDDEN and request.user.is_authenticated:
            refuse("refused", _asked(request))
        elif response.status_code == HTTPStatus.UNAUTHORIZED and _brings_token(request):
            refuse("token_refused", _asked(request))
        return response


def _brings_token(request: HttpRequest) -> bool:
    """A token in a header or, of an adapter, in a cookie. A wrong password is recorded where it is checked."""
    given = request.headers.get("Authorization", "")
    if given:
        return not given.lower().startswith("basic ")
    return request.path.startswith(OF_ADAPTERS) and not TOKEN_COOKIES.isdisjoint(request.COOKIES)


def _asked(request: HttpRequest) -> Subject:
    """What was asked for: without the query string, which may contain anything."""
    path = request.path
    if path.startswith(ACCOUNTS):
        path = f"/{request.resolver_match.route}" if request.resolver_match else ACCOUNTS
    return Subject("address", "", f"{request.method} {path[:200]}")
