"""The language, time zone and theme of the pages for a person.

Their choice is loaded when they sign in and kept in the session, so pages need no query for it. Without a choice the
browser decides: its languages come in a header of each request, its time zone in a cookie that js/app.js sets. The API
always uses English and UTC. A submitted form is read in the zone in which it was rendered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import Error
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from changes.calls import CALLS
from changes.conflicts import is_unavailable
from changes.models import Preferences
from changes.models.personal.preferences import time_zones
from changes.pages.fields import work_in_zone_of

SESSION_KEY = "preferences"
TIME_ZONE_COOKIE = "timezone"


def remember(request: HttpRequest, preferences: Preferences) -> None:
    """Stores the preferences in the session, so that its pages follow them from now on."""
    request.session[SESSION_KEY] = {
        "language": preferences.language,
        "time_zone": preferences.time_zone,
        "theme": preferences.theme,
        "keyboard_shortcuts": preferences.keyboard_shortcuts,
    }


def of_session(request: HttpRequest) -> dict[str, Any]:
    """The preferences in the session; empty if there are none.

    Empty also if the database is unavailable: the view then meets the same error and reports it.
    """
    session = getattr(request, "session", None)
    try:
        return session.get(SESSION_KEY) or {} if session is not None else {}
    except Error as error:
        if not is_unavailable(error):
            raise
        return {}


def language_of(request: HttpRequest) -> str:
    return of_session(request).get("language") or translation.get_language_from_request(request)


def time_zone_of(request: HttpRequest, *, is_chosen_asked: bool = True) -> ZoneInfo | None:
    """The chosen time zone, else the browser's; None if neither exists in our time zone database.

    See `unknown_zone_of()`.
    """
    chosen = of_session(request).get("time_zone") if is_chosen_asked else None
    for name in (chosen, request.COOKIES.get(TIME_ZONE_COOKIE)):
        if name and name in time_zones():
            return ZoneInfo(name)
    return None


class PreferencesMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(CALLS):
            with translation.override("en"):
                return self.get_response(request)
        language = language_of(request)
        with translation.override(language), timezone.override(time_zone_of(request)):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> None:
        """Reads a submitted form in its page's zone: the person may have chosen another one since, or travelled."""
        if request.method == "POST" and not request.path.startswith(CALLS):
            work_in_zone_of(request.POST)


def for_templates(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `has_shortcuts` (whether keyboard shortcuts are on), `theme` and `unknown_zone`."""
    return {
        "theme": of_session(request).get("theme", ""),
        "has_shortcuts": of_session(request).get("keyboard_shortcuts", True),
        "unknown_zone": unknown_zone_of(request),
    }


def unknown_zone_of(request: HttpRequest) -> str:
    """The requested time zone if it does not exist in our time zone database; else "". Pages then use another one."""
    for name in (of_session(request).get("time_zone"), request.COOKIES.get(TIME_ZONE_COOKIE)):
        if name:
            return "" if name in time_zones() else name[:64]
    return ""


def read(sender: object, request: HttpRequest, user: User, **kwargs: object) -> None:
    remember(request, Preferences.objects.filter(user=user).first() or Preferences(user=user))


def connect() -> None:
    user_logged_in.connect(read, dispatch_uid="changes.pages.preferences.preferences.read")
