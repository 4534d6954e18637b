"""A look at a large JSON body before it is parsed: how many values, how deep, and what it says at its top.

Parsing a few megabytes of brackets makes hundreds of megabytes of objects. Scanning makes none.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from rest_framework.exceptions import ParseError

from .exceptions import TooLarge

MAX_VALUES = 10_000
MAX_DEPTH = 20
# A smaller body cannot have too many values: each takes two bytes. The parser itself counts its levels.
SCANNED_FROM = 2 * MAX_VALUES
TOO_DEEP = f"The JSON is nested too deeply: at most {MAX_DEPTH} levels are taken."

# A text, an empty list or object, or a sign. A text without an end takes the rest, and ends the scan: looking for the
# next one behind each of its quotes would take hours.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|.*+)|\[\s*+\]|\{\s*+\}|[\[\]{}:,]', re.S)


@dataclass
class Scan:
    """`texts`: the texts at the top level, by their keys. `content`: the bytes of the texts that `excluded` names.

    The scan does not tell whether the body is JSON; the parser does.
    """

    texts: dict[str, str] = field(default_factory=dict)
    content: int = 0


def scan(body: bytes, excluded: tuple[str, str] | None = None) -> Scan:
    """Raises TooLarge for more than MAX_VALUES values, and ParseError for more than MAX_DEPTH levels.

    `excluded`: a list at the top level, and the key in its objects whose texts are counted apart.
    """
    found, values = Scan(), 1
    keys: list[bytes] = []  # the current key of each open object, b"" in a list
    last, is_value = b"", False
    for match in _TOKEN.finditer(body):
        token = match[0]
        sign = token[:1]
        if sign == b'"':
            if is_value and keys:
                _note(found, keys, token, excluded)
            last, is_value = token, False
        elif token == b":":
            if keys:
                keys[-1] = last
            is_value = True
        elif sign in b"[{" and len(token) == 1:
            keys.append(b"")
            values += 1
            is_value = False
            if len(keys) > MAX_DEPTH:
                raise ParseError(TOO_DEEP)
        elif sign in b"]}":
            if keys:
                keys.pop()
        elif token == b",":
            values += 1
            is_value = False
        if values > MAX_VALUES:
            raise TooLarge(f"The JSON has too many values: at most {MAX_VALUES} are taken. Send several requests.")
    return found


def _note(found: Scan, keys: list[bytes], token: bytes, excluded: tuple[str, str] | None) -> None:
    if len(keys) == 1:
        key, text = _text(keys[0]), _text(token)
        found.texts.setdefault(key, text)
    elif excluded and len(keys) == 3 and (_text(keys[0]), _text(keys[2])) == excluded:
        found.content += len(token)


def _text(token: bytes) -> str:
    try:
        return str(json.loads(token))
    except ValueError:  # the parser will say so
        return ""
