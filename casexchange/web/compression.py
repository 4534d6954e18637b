"""Compression of pages. Static files are compressed by `collectstatic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.middleware.gzip import GZipMiddleware

from changes.calls import CALLS

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class PageCompressionMiddleware(GZipMiddleware):
    """Compresses pages, but no answer to a program: those are small, and their clients have no slow line."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path.startswith(CALLS):
            return response
        return super().process_response(request, response)
