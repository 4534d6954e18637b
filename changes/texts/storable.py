"""Texts of others that are to be kept, whatever they contain."""

from __future__ import annotations

import re

# PostgreSQL cannot keep a NUL, and UTF-8 cannot write half of a surrogate pair, which JSON and headers can bring.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with a replacement character for each that no database keeps."""
    return _UNSTORABLE.sub("\ufffd", text)
