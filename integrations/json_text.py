"""JSON as a person reads it, and as much of it as is kept or shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from changes.validators import is_unseen

# More of it nobody reads on a page.
SHOWN_BYTES = 64 * 1024
# Of what was refused: the rest of it is worth nothing to anybody here.
KEPT_BYTES = 64 * 1024


def pretty(value: object) -> str:
    """Readable JSON. What nobody would see is written as JSON's escape of it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if text.isascii():
        return text
    return "".join(json.dumps(char)[1:-1] if char != "\n" and is_unseen(char) else char for char in text)


def beginning(text: str, limit: int) -> str:
    """As many characters as fit into so many bytes."""
    return text.encode()[:limit].decode(errors="ignore")


@dataclass(frozen=True)
class Shown:
    """JSON as a page shows it: the beginning of a long one."""

    text: str
    is_cut: bool

    @classmethod
    def of(cls, value: object) -> Shown:
        text = pretty(value)
        start = beginning(text, SHOWN_BYTES)
        return cls(start, len(start) < len(text))


def kept(value: object) -> Any:
    """What is kept of it: all, or of what takes more than `KEPT_BYTES` the beginning of its text, and its size."""
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
        # Quotes and the like take two characters when they are written.
        room = min(room - 1, room * KEPT_BYTES // taken)


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
