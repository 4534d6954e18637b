"""Pages that are read from the replica, if there is one, and if it has what the page must show.

Decorate the method that reads a page: `@reads_from_replica`. Who is asking, and what they may do, is read from the
primary all the same. The primary also answers

- what an open page asks for by itself: its news are noticed there, and a replica would renew the page with old content,
- a page after a write by the same browser which the replica does not have yet,
- when the replica is behind, or fails. If it fails while the page is read, the page is read once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from tempfile import SpooledTemporaryFile
from typing import IO, Any, TypeVar, cast

from django.conf import settings
from django.db import Error, connections
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views import View
from prometheus_client import Counter

from changes.replica.freshness import OLDEST, freshness, own_position
from changes.replica.reading import REPLICA, has_replica, reading_from_replica

from .htmx import is_automatic

PAGES = Counter(
    "casexchange_replica_pages",
    "Pages that the read replica may answer, by the database that did, and why.",
    ["database", "reason"],
)
# After this time, in seconds, the replica has every write, or is not used.
KEPT_FOR = int(2 * OLDEST)
# Behind all positions.
_LAST = 2**63 - 1
IN_MEMORY = 1024 * 1024
PIECE = 64 * 1024

Get = TypeVar("Get", bound=Callable[..., HttpResponseBase])


def reads_from_replica(get: Get) -> Get:
    """Lets the replica answer. `get` is called again on the primary if the replica fails, so it must not write."""

    @wraps(get)
    def answer(page: View, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not has_replica() or is_automatic(request):
            return get(page, request, *args, **kwargs)
        refusal = freshness.refusal(_own_position(request))
        if refusal is None:
            try:
                with reading_from_replica():
                    response = _whole(get(page, request, *args, **kwargs))
            except Error as error:
                if not connections[REPLICA].errors_occurred:
                    raise  # the primary's
                refusal = freshness.failed(error)
            else:
                PAGES.labels(REPLICA, "fresh").inc()
                return response
        PAGES.labels("primary", refusal).inc()
        return get(page, request, *args, **kwargs)

    return cast(Get, answer)


def note_own_write(response: HttpResponseBase) -> None:
    """Keeps the browser's next pages on the primary until the replica has all that was written so far.

    Does nothing without a replica.
    """
    if not has_replica():
        return
    try:
        position = own_position()
    except Error:
        position = _LAST  # what was asked for is done, and must not fail by this
    response.set_cookie(
        _cookie(),
        f"{position:X}",
        max_age=KEPT_FOR,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _own_position(request: HttpRequest) -> int:
    text = request.COOKIES.get(_cookie(), "")
    return int(text, 16) if re.fullmatch(r"[0-9A-F]{1,16}", text) else 0


def _cookie() -> str:
    return "__Host-written" if settings.SESSION_COOKIE_SECURE else "written"


def _whole(response: HttpResponseBase) -> HttpResponseBase:
    """Reads a file that would be streamed to its end. While nothing is sent, the primary can still step in."""
    if response.streaming:
        streamed = cast(StreamingHttpResponse, response)
        kept: Any = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed when it has been sent
        kept.writelines(streamed)
        kept.seek(0)
        streamed.streaming_content = _pieces(kept)
    return response


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece
