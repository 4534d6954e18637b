"""What a page and htmx agree on: who asks for a part of a page, what a browser may keep of it, and where Back leads.

Back, on every page: the address says what the page shows. htmx keeps no page of its own (`historyCacheSize` in
base.html), so for Back it asks for the address again, and gets the whole page. A browser may keep a page while somebody
is on the next one; the parts of it that renew themselves then ask at once (js/renewal.js). No answer is taken for
another one that has the same address: `keep_apart()`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.utils.cache import patch_cache_control, patch_vary_headers
from django_htmx.middleware import HtmxDetails

VERSION = "X-Version"
# What makes two answers of one address differ.
_VARY = ("HX-Request", "HX-History-Restore-Request", "HX-Target", VERSION)


class _Asked(HttpRequest):
    """A request that the middleware of django-htmx has read."""

    htmx: HtmxDetails


def _details(request: HttpRequest) -> HtmxDetails:
    return cast(_Asked, request).htmx


def asks_for_part(request: HttpRequest) -> bool:
    """Whether a page that is open asks for a part of itself. For Back htmx asks for a whole page."""
    details = _details(request)
    return bool(details) and not details.history_restore_request


def target(request: HttpRequest) -> str:
    """The id of the element that the part is for."""
    return _details(request).target or ""


def address_of_page(request: HttpRequest) -> str:
    """The path and the query of the page that a person looks at, also where a part of it is asked for."""
    return _details(request).current_url_abs_path or request.get_full_path()


def keep_apart(response: HttpResponseBase) -> None:
    """A part is never shown as the page, and what a person may not see any more is not shown again."""
    if not response.has_header("Cache-Control"):
        patch_cache_control(response, private=True, no_cache=True)
    patch_vary_headers(response, _VARY)


def lead_to(response: HttpResponse, request: HttpRequest, address: str, typed: Collection[str]) -> None:
    """Puts `address` into the address bar, so that a person can send it to another one, and as a step for Back.

    `typed` are the fields of its query into which somebody types. Typing on is no step of its own: where nothing but
    those differ, and were there before, it takes the place of the address before.
    """
    before, now = (QueryDict(urlsplit(each).query) for each in (_details(request).current_url or "", address))
    differing = {name for name in {*before, *now} if before.getlist(name) != now.getlist(name)}
    is_typed_on = bool(differing) and differing <= {*typed} and all(before.get(name) for name in differing)
    response["HX-Replace-Url" if is_typed_on else "HX-Push-Url"] = address
