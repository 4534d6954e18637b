"""What holds for every page: a second factor where one is required, the end of an idle session, and no copies."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _

from changes.calls import CALLS
from changes.pages.htmx import asks_for_part, is_automatic

from .second_factor import is_missing

# The pages on which a second factor is set up.
ACCOUNTS = "/accounts/"
_USED_AT = "used_at"


class SignInMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        # After an error of ours the database may be away. A program has no session.
        if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and not request.path.startswith(CALLS):
            _keep_alive(request)
        if request.path.startswith(ACCOUNTS):
            # These pages show secrets, and say who is signed in: no browser or proxy keeps them.
            add_never_cache_headers(response)
        return response


def before_the_view(request: HttpRequest) -> HttpResponseBase | None:
    """What is answered instead of the page if the person needs a second factor and has none.

    No `process_view`, but called with the view: it reads the database, and may have to be repeated like a view.
    """
    if request.path.startswith((*CALLS, ACCOUNTS)) or not request.user.is_authenticated or not is_missing(request):
        return None
    if asks_for_part(request):
        raise PermissionDenied(_("Your role needs a second factor. Set it up first."))
    return redirect("mfa_index")


def _keep_alive(request: HttpRequest) -> None:
    """Saves the session of a person who is at work, at most some times an hour, so that it does not end.

    What a page asks for by itself does not count: a page that was left open would keep its session for ever.
    """
    if settings.SESSION_COOKIE_NAME not in request.COOKIES or is_automatic(request):
        return
    session, now = request.session, time.time()
    if "_auth_user_id" in session and now - session.get(_USED_AT, 0) > settings.SESSION_COOKIE_AGE / 60:
        session[_USED_AT] = now


def note_sign_in(sender: object, request: HttpRequest, **kwargs: object) -> None:
    # Saved with the new session: the first page after it need not save it once more.
    request.session[_USED_AT] = time.time()


def connect() -> None:
    user_logged_in.connect(note_sign_in, dispatch_uid="changes.sign_in.note_sign_in")
