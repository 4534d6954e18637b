"""Compresses the pages; static files are compressed when they are collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.middleware.gzip import GZipMiddleware

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class PageCompressionMiddleware(GZipMiddleware):
    """Leaves the API alone: its answers are small, and programs that take thousands a second have no slow line."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path.startswith("/api/"):
            return response
        return super().process_response(request, response)
