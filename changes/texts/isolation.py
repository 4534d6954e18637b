"""Isolation of texts that people wrote, so that right-to-left letters and controls do not affect the words beside them.

These functions are for a line among other words. A text of several lines has its own element with `dir="auto"`.
"""

from __future__ import annotations

import re

from changes.validators import code_point

# Controls that begin and end a run of text in another direction. A run without an end affects all that follows.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Right-to-left letters, and controls of direction.
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def is_turned(text: str) -> bool:
    """Whether the text contains right-to-left letters or controls of direction."""
    return not text.isascii() and bool(_RIGHT_TO_LEFT.search(text))


def without_turning(text: str) -> str:
    """The text with codes in place of controls of direction, as in `[U+202E]`."""
    return _TURNING.sub(lambda found: f"[{code_point(found[0])}]", text)


def apart(value: object) -> str:
    """The value as a text isolated for an attribute, a title or a sentence; "" for None."""
    text = "" if value is None else str(value)
    return f"{_FIRST_STRONG_ISOLATE}{without_turning(text)}{_POP_ISOLATE}" if is_turned(text) else text
