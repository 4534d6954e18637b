"""What is kept of a partner's answer: its own words, for people, and its headers. Pure."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from changes.texts.lines import as_line
from changes.texts.storable import storable

WORDS_KEPT = 300
HEADERS_KEPT, HEADER_KEPT = 2000, 200
# Where programs say in JSON what is wrong: problem details (RFC 9457), OAuth, and the usual names, the best first.
_SAID = ("detail", "message", "error_description", "error_message", "error", "reason", "title")
_SAID_OF_FIELDS = ("errors", "non_field_errors")
_TITLE = re.compile(r"<(title|h1)[^>]*>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_SECRET = re.compile(r"cookie|authoriz|authentication-info|token|secret|password|session|api-?key", re.IGNORECASE)
# A cookie is a key to the partner's desk: not even its name is kept.
_LEFT_OUT = frozenset({"set-cookie", "set-cookie2"})
MASK = "•••"


def own_words(body: bytes) -> str:
    """What an answer says, in one line; "" if it says nothing that people would understand."""
    text = body[: 64 * 1024].decode(errors="replace").replace("\x00", "\ufffd").strip()
    try:
        said = " ".join(dict.fromkeys(filter(None, map(as_line, _from_json(json.loads(text))))))
    except (ValueError, RecursionError):
        found = _TITLE.search(text)
        said = as_line(html.unescape(found[2])) if found else "" if text[:1] in ("<", "{", "[") else as_line(text)
    said = storable(said)
    return said if len(said) <= WORDS_KEPT else f"{said[: WORDS_KEPT - 1]}…"


def _from_json(answer: Any) -> Iterator[str]:
    if isinstance(answer, str):
        yield answer
    if not isinstance(answer, dict):
        return
    for name in _SAID:
        said = answer.get(name)
        if isinstance(said, dict):
            yield from _from_json(said)
        if isinstance(said, str) and said.strip():
            yield said
            break
    for name in _SAID_OF_FIELDS:
        yield from _of_fields(answer.get(name))


def _of_fields(errors: Any) -> Iterator[str]:
    """The first errors of single fields, each with the name of its field."""
    if isinstance(errors, dict):
        errors = [
            {"attr": name, "detail": each[0] if isinstance(each, list) and each else each}
            for name, each in errors.items()
        ]
    for error in errors[:3] if isinstance(errors, list) else ():
        if isinstance(error, str):
            yield error
        elif isinstance(error, dict):
            field = next((error[name] for name in ("attr", "field", "pointer") if isinstance(error.get(name), str)), "")
            said = next(_from_json(error), "")
            yield f"{field}: {said}" if field and said else said


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET.search(name) is not None


def kept_headers(headers: Mapping[str, str], masked: Callable[[str], str] = str) -> str:
    """The headers, one in a line, without secrets. `masked`: takes known secrets out of a text."""
    kept = {name: value for name, value in headers.items() if name.lower() not in _LEFT_OUT}
    # All at once, and before anything is cut: otherwise half a secret might stay. No value has a line break.
    values = masked("\n".join(kept.values())).split("\n")
    lines, size = [], 0
    for name, value in zip(kept, values, strict=False):
        line = f"{name}: {MASK if _is_secret(name) else _value(name, value)}"
        size += len(line) + 1
        if size > HEADERS_KEPT:
            break
        lines.append(line)
    return storable("\n".join(lines))


def _value(name: str, value: str) -> str:
    # The query of an address may contain a key.
    value = value.partition("?")[0] + "?…" if name.lower() == "location" and "?" in value else value
    return value if len(value) <= HEADER_KEPT else f"{value[: HEADER_KEPT - 1]}…"
