"""Which media type a call is read and answered in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class Negotiation(DefaultContentNegotiation):
    """Named in the settings. Django fails on some malformed media types; such a header asks for nothing we have."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> Any:
        try:
            return super().select_parser(request, parsers)
        except ValueError:
            return None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except ValueError as error:
            raise NotAcceptable(available_renderers=[*renderers]) from error


class AnyMediaType(Negotiation):
    """For answers whose type is that of a stored file: what the caller accepts does not alter it."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        first, *_ = renderers
        return first, first.media_type
