"""The calls by which an adapter signs in: its token as a text, for a cookie or as Bearer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import APIException, AuthenticationFailed, Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from changes.api.on_hold import OnHold, refuse_calls
from changes.api.throttling import count_failure, refuse_many_failures

from . import accounts
from .face import AnyTypeParser, CallView

MOST_BYTES = 16 * 1024


class SignInParser(AnyTypeParser):
    def max_bytes(self) -> int:
        return MOST_BYTES


class SignInView(CallView):
    """Answers the token alone, as text. The token serves as cookie and as Bearer, whichever address made it.

    Only failures are throttled: an adapter may sign in before each call.
    """

    throttle_classes: list[Any] = []
    parser_classes = [SignInParser]

    @sensitive_variables("password")
    def post(self, request: Request) -> HttpResponse:
        name, password = (_given(self.body, key, key.capitalize()) for key in ("login", "password"))
        return self._answer(request, name, password)

    @sensitive_variables("password")
    def get(self, request: Request) -> HttpResponse:
        """For the oldest adapters, where the settings allow it."""
        asked = request.query_params
        name, password = (_given(asked, key, key.capitalize()) for key in ("login", "password"))
        if name is None and password is None:
            raise AuthenticationFailed("Sign in by POST, with login and password as JSON.")
        if not settings.SMAX_LOGIN_IN_QUERY:
            raise AuthenticationFailed("The password may not stand in the address: send it by POST, as JSON.")
        return self._answer(request, name, password)

    def _answer(self, request: Request, name: object, password: object) -> HttpResponse:
        refuse_calls()
        token = accounts.new_token(accounts.signed_in(request, name, password))
        answer = HttpResponse(token, content_type="text/plain; charset=utf-8")
        answer["Cache-Control"] = "no-store"
        return answer

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, APIException) and not isinstance(exc, OnHold):
            try:
                refuse_many_failures(self.request)
            except Throttled as too_many:
                exc = too_many
            count_failure(self.request)
        return super().handle_exception(exc)


def _given(values: Mapping[str, Any], *names: str) -> object:
    return next((values[name] for name in names if values.get(name) is not None), None)
