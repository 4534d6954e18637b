"""The conventions between pages and htmx: requests for parts of a page, caching, and the browser's Back button.

Back works because the address of each page says what the page shows. htmx caches no pages (`historyCacheSize` in
base.html), so for Back it requests the address again and gets the whole page. A browser may keep a page in memory while
the person is on the next one. When it shows the page again, the parts that update themselves poll at once
(js/renewal.js). `keep_apart()` keeps caches from confusing different responses for the same address.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.utils.cache import patch_cache_control, patch_vary_headers
from django_htmx.middleware import HtmxDetails

VERSION = "X-Version"
# The request headers on which the response for an address depends.
_VARY = ("HX-Request", "HX-History-Restore-Request", "HX-Target", VERSION)


class _Asked(HttpRequest):
    """A request after the middleware of django-htmx."""

    htmx: HtmxDetails


def _details(request: HttpRequest) -> HtmxDetails:
    return cast(_Asked, request).htmx


def asks_for_part(request: HttpRequest) -> bool:
    """Whether htmx requests a part of an open page. False for Back, for which htmx requests a whole page."""
    details = _details(request)
    return bool(details) and not details.history_restore_request


def is_automatic(request: HttpRequest) -> bool:
    """Whether a page polls for a part by itself (renewal.py), which says nothing about the person."""
    return VERSION in request.headers


def target(request: HttpRequest) -> str:
    """The id of the element that the part is for; "" if it has none."""
    return _details(request).target or ""


def address_of_page(request: HttpRequest) -> str:
    """The path and query of the page that the person sees. A part may be requested from another address."""
    return _details(request).current_url_abs_path or request.get_full_path()


def keep_apart(response: HttpResponseBase) -> None:
    """Sets the cache headers: a part is never shown as the page, and no page is shown again without a check.

    So a page that the person may no longer see does not come back from the cache.
    """
    if not response.has_header("Cache-Control"):
        patch_cache_control(response, private=True, no_cache=True)
    patch_vary_headers(response, _VARY)


def lead_to(response: HttpResponse, request: HttpRequest, address: str, typed: Collection[str]) -> None:
    """Puts `address` into the address bar, so that a person can send it to others, and adds a step for Back.

    `typed` names the text fields in its query. If only text fields differ from the last address, and all of those had a
    value there, the person is still typing. Then the last step is replaced, so that each letter is no step of its own.
    """
    before, now = (QueryDict(urlsplit(each).query) for each in (_details(request).current_url or "", address))
    differing = {name for name in {*before, *now} if before.getlist(name) != now.getlist(name)}
    is_typed_on = bool(differing) and differing <= {*typed} and all(before.get(name) for name in differing)
    response["HX-Replace-Url" if is_typed_on else "HX-Push-Url"] = address
