"""Parts of pages that update themselves by polling.

A part is an element with an id. `{% renews version every=5 %}` in its tag writes the part's version and the interval in
seconds. js/renewal.js sends the version in a header, to the page's own address or to another one that the tag names.
The answer is 204 if the part has not changed, so nothing moves on the page and a screen reader stays silent. Otherwise
it is the part in its new version. A part without `every` does not poll. A hidden page does not poll; when it is shown
again, all its parts poll at once.

The answer to a page that shows the newest version may wait for news: see `waiting()`. Then one look at the database
serves all waiting pages of a web server, and the news are there within a second. A server that cannot wait
(changes/waiting.py) answers at once. A 204 may name a newer version of the same content, in the same header.

A view that knows the version of a part without rendering it answers with `answer()`. Otherwise use `Part`, whose
version is a hash of the rendered text:

    part = Part.of(request, "desk-now", "changes/includes/desk_now.html", context, every=10)
    if asks_for_part(request):
        return part.answer(request)
    return render(request, "changes/desk.html", {**context, "part": part})

The page shows it with `{% include "changes/includes/renewed.html" %}`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from changes.waiting import CAN_WAIT, HAS_WAITED, PAGES, Keys, Wait, later

from .htmx import VERSION

NOTHING_NEW = 204
# Seconds for which an answer waits at most, less than a proxy's patience. Then "3 minutes ago" is renewed too.
LONGEST_WAIT = 40
# The open pages of one person for which a web server's process lets answers wait.
MOST_PAGES = 100
# Seconds between two requests of a page: where answers wait, and where a server cannot let them.
LIVE, ELSEWHERE = 1, 8
# The event that makes a part poll at once.
NOW = "renew"
# CSRF tokens differ on each rendering, so they are left out of the version.
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')


def version_of(text: str) -> str:
    """The version of a part with this text: a hash that ignores CSRF tokens."""
    return hashlib.sha256(_TOKEN.sub("", text).encode()).hexdigest()[:16]


def shown_version(request: HttpRequest) -> str:
    """The version of the part that the asking page shows; "" if it sent none."""
    return request.headers.get(VERSION, "")


@dataclass(frozen=True)
class Watch:
    """What a page waits for: until `ready` returns `key` among the keys that have news. Made before reading the part,
    so that nothing can come in between."""

    key: Any
    ready: Callable[[Keys], Keys]


def answer(request: HttpRequest, version: str, part: Callable[[], HttpResponse]) -> HttpResponse:
    """204 if the page shows this version already, otherwise `part()`."""
    return nothing_new() if shown_version(request) == version else part()


def nothing_new(version: str = "") -> HttpResponse:
    """204. `version`: another one of the content that is shown already."""
    return HttpResponse(status=NOTHING_NEW, headers={VERSION: version} if version else {})


def waiting(request: HttpRequest, watch: Watch) -> HttpResponse | None:
    """The answer that waits for news before the view is called again. None if it has waited, or cannot wait."""
    if not request.META.get(CAN_WAIT):
        return None
    return later(Wait(watch.key, f"pages of {request.user.pk}", LONGEST_WAIT, watch.ready, MOST_PAGES, PAGES))


def interval(request: HttpRequest) -> int:
    """The seconds between two requests of a part whose answers wait for news."""
    return LIVE if request.META.get(CAN_WAIT) or request.META.get(HAS_WAITED) else ELSEWHERE


def attributes(version: str, every: int = 0, address: str = "", also: str = "") -> SafeString:
    """The HTML attributes of a part that polls `address` every `every` seconds and on the htmx triggers `also`.

    With 0 it has only its version, and does not poll.
    """
    held = format_html('data-version="{}"', version)
    if not every:
        return held
    when = ", ".join(filter(None, (f"every {every}s", NOW, also)))
    asks = '{} hx-get="{}" hx-trigger="{}" hx-target="this" hx-swap="outerHTML" hx-sync="this:drop"'
    return format_html(asks, held, address, when)


@dataclass(frozen=True)
class Part:
    """A part whose version is a hash of its rendered text. `name` is the id of its element.

    When the part is updated, screen readers announce `said`, which is put into the page's element `<name>-said`.
    """

    name: str
    content: SafeString
    version: str
    every: int
    said: str = ""

    @classmethod
    def of(
        cls, request: HttpRequest, name: str, template: str, context: Mapping[str, Any], every: int, said: str = ""
    ) -> Part:
        content = render_to_string(template, dict(context), request)
        return cls(name, content, version_of(f"{every} {content}"), every, said)

    def answer(self, request: HttpRequest) -> HttpResponse:
        context = {"part": self, "is_part": True}
        return answer(request, self.version, lambda: render(request, "changes/includes/renewed.html", context))
