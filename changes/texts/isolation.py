"""What somebody wrote, set apart: whatever is in it, it neither turns around nor hides what stands beside it.

A text of several lines has an element of its own with `dir="auto"`. These are for a line among other words.
"""

from __future__ import annotations

import re

from changes.validators import code_point

# They begin and end a run of text in another direction. One that does not end turns all that follows.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Letters that are written from right to left, and signs that turn.
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def is_turned(text: str) -> bool:
    """Whether anything in it is read from right to left."""
    return not text.isascii() and bool(_RIGHT_TO_LEFT.search(text))


def without_turning(text: str) -> str:
    """With the codes of what would turn it around in their place."""
    return _TURNING.sub(lambda found: f"[{code_point(found[0])}]", text)


def apart(value: object) -> str:
    """For an attribute, a title or a sentence."""
    text = "" if value is None else str(value)
    return f"{_FIRST_STRONG_ISOLATE}{without_turning(text)}{_POP_ISOLATE}" if is_turned(text) else text
