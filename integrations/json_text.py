"""Readable JSON, and the limits on how much of a long JSON text is kept or shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from changes.validators import is_unseen

# The most that a page shows of one JSON text.
SHOWN_BYTES = 64 * 1024
# The most that is kept of a refused operation: nobody here needs the rest.
KEPT_BYTES = 64 * 1024


def pretty(value: object) -> str:
    """Indented JSON. Invisible characters are written as JSON escapes, so that a person sees them."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if text.isascii():
        return text
    return "".join(json.dumps(char)[1:-1] if char != "\n" and is_unseen(char) else char for char in text)


def beginning(text: str, limit: int) -> str:
    """The longest beginning of `text` that takes at most `limit` bytes in UTF-8."""
    return text.encode()[:limit].decode(errors="ignore")


@dataclass(frozen=True)
class Shown:
    """JSON as a page shows it. `is_cut`: the text is only the first `SHOWN_BYTES` of a longer one."""

    text: str
    is_cut: bool

    @classmethod
    def of(cls, value: object) -> Shown:
        text = pretty(value)
        start = beginning(text, SHOWN_BYTES)
        return cls(start, len(start) < len(text))


def kept(value: object) -> Any:
    """The value itself if its JSON takes at most `KEPT_BYTES`; otherwise the beginning of the text and its size.

    The result of cutting is `{"beginning": text, "bytes": size}`, or `{"unreadable": text, "bytes": size}` for a body
    that was kept as unreadable.
    """
    text = _written(value)
    size = len(text.encode())
    if size <= KEPT_BYTES:
        return value
    source = value["unreadable"] if isinstance(value, dict) and [*value] == ["unreadable"] else text
    name, room = "unreadable" if source is not text else "beginning", KEPT_BYTES
    while True:
        made = {name: beginning(source, room), "bytes": size}
        taken = len(_written(made).encode())
        if taken <= KEPT_BYTES:
            return made
        # Quotes, backslashes and control characters take more bytes once they are escaped.
        room = min(room - 1, room * KEPT_BYTES // taken)


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
