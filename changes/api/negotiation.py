"""Which media type a call answers with."""

from __future__ import annotations

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation


class AnyMediaType(DefaultContentNegotiation):
    """For answers whose type is that of a stored file: what the caller accepts does not alter it."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
