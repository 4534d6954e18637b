"""In which language and time zone a person reads the pages.

What they chose is read once, when they sign in, and kept in the session, so no page asks the database. Where they
chose nothing the browser says it: its languages by a header of each request, its time zone by a cookie that
js/app.js sets. The API is always English and UTC. A form that is sent is read in the zone that it was drawn in.
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

from changes.conflicts import is_unavailable
from changes.models import Preferences
from changes.models.preferences import time_zones
from changes.pages.fields import work_in_zone_of

SESSION_KEY = "preferences"
TIME_ZONE_COOKIE = "timezone"
API = "/api/"


def remember(request: HttpRequest, preferences: Preferences) -> None:
    """From now on this session's pages follow these preferences."""
    request.session[SESSION_KEY] = {
        "language": preferences.language,
        "time_zone": preferences.time_zone,
        "keyboard_shortcuts": preferences.keyboard_shortcuts,
    }


def of_session(request: HttpRequest) -> dict[str, Any]:
    """What the session keeps; nothing where the database cannot be asked now, which the view then meets and says."""
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
    """The chosen time zone, or the browser's; None where neither is known to us: see `unknown_zone_of()`."""
    chosen = of_session(request).get("time_zone") if is_chosen_asked else None
    for name in (chosen, request.COOKIES.get(TIME_ZONE_COOKIE)):
        if name and name in time_zones():
            return ZoneInfo(name)
    return None


class PreferencesMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(API):
            with translation.override("en"):
                return self.get_response(request)
        language = language_of(request)
        with translation.override(language), timezone.override(time_zone_of(request)):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> None:
        """The person may have chosen another zone, or travelled, since the page of this form was opened."""
        if request.method == "POST" and not request.path.startswith(API):
            work_in_zone_of(request.POST)


def for_templates(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `has_shortcuts`, whether single keys do something on the pages, and `unknown_zone`."""
    return {
        "has_shortcuts": of_session(request).get("keyboard_shortcuts", True),
        "unknown_zone": unknown_zone_of(request),
    }


def unknown_zone_of(request: HttpRequest) -> str:
    """The time zone that was asked for and that nobody here knows, where the pages follow another one therefore."""
    for name in (of_session(request).get("time_zone"), request.COOKIES.get(TIME_ZONE_COOKIE)):
        if name:
            return "" if name in time_zones() else name[:64]
    return ""


def read(sender: object, request: HttpRequest, user: User, **kwargs: object) -> None:
    remember(request, Preferences.objects.filter(user=user).first() or Preferences(user=user))


def connect() -> None:
    user_logged_in.connect(read, dispatch_uid="changes.pages.preferences.preferences.read")
