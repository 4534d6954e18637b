"""The answers to exceptions with which signing in breaks off a view."""

from __future__ import annotations

from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from changes.protection.turns import TooBusy

from .confirming import ask_again
from .hashing import RETRY_AFTER

INTERRUPTIONS = (ImmediateHttpResponse, ReauthenticationRequired, TooBusy)


def answer_to(request: HttpRequest, error: Exception) -> HttpResponse:
    """`error`: one of `INTERRUPTIONS`."""
    if isinstance(error, ImmediateHttpResponse):
        return error.response
    if isinstance(error, ReauthenticationRequired):
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        # Not django-allauth's own answer: that keeps what was sent, with its secrets, in the session.
        return ask_again(request) or redirect(request.get_full_path())
    page = render(request, "registration/busy.html", status=503)
    page["Retry-After"] = str(RETRY_AFTER)
    return page
