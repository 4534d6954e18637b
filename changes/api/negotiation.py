"""Content negotiation: the media types of requests and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_PROBLEM = re.compile(r"application/problem\+json(?=\s*(;|$))", re.IGNORECASE)


class Negotiation(DefaultContentNegotiation):
    """The default, named in the settings. A malformed media type gets 415 or 406, where Django would fail with 500."""

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

    def get_accept_list(self, request: Request) -> list[str]:
        """Whoever asks for problems alone takes JSON, and an empty header asks for nothing in particular."""
        if not request.headers.get("Accept", "").strip(" \t,"):
            return ["*/*"]
        return [_PROBLEM.sub("application/json", token) for token in super().get_accept_list(request)]


class AnyMediaType(Negotiation):
    """For answers whose type does not depend on the `Accept` header, such as a stored file."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        first, *_ = renderers
        return first, first.media_type
