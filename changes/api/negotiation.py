"""Which media type a call is read and answered in."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation


class Negotiation(DefaultContentNegotiation):
    """Named in the settings. Django fails on some malformed media types; such a header asks for nothing we have."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        try:
            return super().select_parser(request, parsers)
        except ValueError:
            return None

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except ValueError as error:
            raise NotAcceptable(available_renderers=renderers) from error


class AnyMediaType(Negotiation):
    """For answers whose type is that of a stored file: what the caller accepts does not alter it."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
