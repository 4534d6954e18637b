"""Parts of pages that renew themselves: one way to ask "anything new?", and one answer.

A part carries its version, and says when it asks: `{% renews version every=5 %}` writes both into the tag of its
element, which has an id. It asks the page's own address or another one, with the version in a header (js/renewal.js).
The answer is 204 while the part would be the same, so that nothing moves and nothing is read aloud; else the part, in
its new version. A part without `every` asks no more. While nobody looks at a page it asks nothing; once somebody looks
again, all its parts ask at once.

A view whose part has a version of its own answers with `answer()`. Where the version is the part's own text, it is a
`Part`:

    part = Part.of(request, "desk-now", "changes/includes/desk_now.html", context, every=10)
    if asks_for_part(request):
        return part.answer(request)
    return render(request, "changes/desk.html", {**context, "part": part})

and the page shows it by `{% include "changes/includes/renewed.html" %}`.
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

from .htmx import VERSION

NOTHING_NEW = 204
# The event upon which a part asks at once.
NOW = "renew"
# The token of a form is written anew each time.
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')


def version_of(text: str) -> str:
    """The version of a part whose text this is."""
    return hashlib.sha256(_TOKEN.sub("", text).encode()).hexdigest()[:16]


def shown_version(request: HttpRequest) -> str:
    """That of the part on the page that asks; empty where it has none."""
    return request.headers.get(VERSION, "")


def answer(request: HttpRequest, version: str, part: Callable[[], HttpResponse]) -> HttpResponse:
    """204 where the page shows this version, else `part()`."""
    return HttpResponse(status=NOTHING_NEW) if shown_version(request) == version else part()


def attributes(version: str, every: int = 0, address: str = "", also: str = "") -> SafeString:
    """What an element has that renews itself every so many seconds, and upon the htmx triggers `also`."""
    held = format_html('data-version="{}"', version)
    if not every:
        return held
    when = ", ".join(filter(None, (f"every {every}s", NOW, also)))
    asks = '{} hx-get="{}" hx-trigger="{}" hx-target="this" hx-swap="outerHTML" hx-sync="this:drop"'
    return format_html(asks, held, address, when)


@dataclass(frozen=True)
class Part:
    """A part whose version is its text. `name` is the id of its element; `said` is read aloud when it is renewed, by
    the page's element `<name>-said`."""

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
