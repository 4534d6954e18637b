"""Readable JSON, the limits on how much of a long JSON text is kept or shown, and what of JSON is never kept."""

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


# Parts of the names under which passwords are sent, in lower case.
_PASSWORDS = ("password", "passwd")
MASK = "***"


def without_passwords(value: Any) -> Any:
    """The same JSON, with a mask for what stands under the name of a password: some sign in at a wrong address.

    Of a body that was kept as unreadable nothing stays, if a password may be in it.
    """
    if isinstance(value, list):
        return [without_passwords(item) for item in value]
    if not isinstance(value, dict):
        return value
    if [*value] == ["unreadable"] and _names_password(str(value["unreadable"])):
        return {"unreadable": "(left out: it may contain a password)"}
    return {name: MASK if _names_password(name) else without_passwords(item) for name, item in value.items()}


def _names_password(text: str) -> bool:
    return any(name in text.lower() for name in _PASSWORDS)


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
