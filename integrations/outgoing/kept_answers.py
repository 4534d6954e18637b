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
from changes.validators import is_blank

WORDS_KEPT = 300
HEADERS_KEPT, HEADER_KEPT = 2000, 200
# Where programs say in JSON what is wrong: problem details (RFC 9457), OAuth, and the usual names, the best first.
# Names are compared without capitals and signs: `errorMessages` is that of Jira, `Message` that of .NET.
_SAID = ("detail", "message", "errordescription", "errormessage", "error", "reason", "title")
_SAID_OF_FIELDS = ("errormessages", "errors", "nonfielderrors")
_TITLE = re.compile(r"<(title|h1)[^>]*>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_SECRET = re.compile(r"cookie|auth|sign|key|token|secret|password|session", re.IGNORECASE)
# What a server asks for is none.
_NO_SECRET = frozenset({"www-authenticate", "proxy-authenticate"})
# In any header: the user and password of an address, and its query and fragment, which may contain a key.
_USER_OF_ADDRESS = re.compile(r"//[^/?#\s<>\"]*@")
_REST_OF_ADDRESS = re.compile(r"\?[^\s<>\"]*|(?<=/)([^/?#\s<>\"]*)#[^\s<>\"]*")
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
    if isinstance(answer, list):
        yield from _of_fields(answer)
    if not isinstance(answer, dict):
        return
    found = {_plain(name): said for name, said in answer.items()}
    for name in _SAID:
        said = found.get(name)
        if isinstance(said, dict):
            yield from _from_json(said)
        if isinstance(said, str) and not is_blank(said):
            yield said
            break
    for name in _SAID_OF_FIELDS:
        yield from _of_fields(found.get(name))


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _of_fields(errors: Any) -> Iterator[str]:
    """The first errors of single fields, each with the name of its field."""
    if isinstance(errors, dict):
        errors = [{"attr": name, "detail": _first(each)} for name, each in errors.items()]
    for error in map(_first, errors[:3]) if isinstance(errors, list) else ():
        if isinstance(error, str):
            yield error
        elif isinstance(error, dict):
            field = next((error[name] for name in ("attr", "field", "pointer") if isinstance(error.get(name), str)), "")
            said = next(_from_json(error), "")
            yield f"{field}: {said}" if field and said else said


def _first(found: Any) -> Any:
    """What is first in lists of lists."""
    while isinstance(found, list) and found:
        found = found[0]
    return found


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return name.lower() not in _NO_SECRET and _SECRET.search(name) is not None


def kept_headers(headers: Mapping[str, str], masked: Callable[[str], str] = str) -> str:
    """The headers, one in a line, without secrets. `masked`: takes known secrets out of a text."""
    kept = {name: value for name, value in headers.items() if name.lower() not in _LEFT_OUT}
    # All at once, and before anything is cut: otherwise half a secret might stay. No value has a line break.
    values = masked("\n".join(kept.values())).split("\n")
    lines, size = [], 0
    for name, value in zip(kept, values, strict=False):
        line = f"{name}: {MASK if _is_secret(name) else _value(value)}"
        size += len(line) + 1
        if size > HEADERS_KEPT:
            break
        lines.append(line)
    return storable("\n".join(lines))


def _value(value: str) -> str:
    value = _USER_OF_ADDRESS.sub(f"//{MASK}@", value)
    value = _REST_OF_ADDRESS.sub(lambda rest: "?…" if rest[0][0] == "?" else f"{rest[1]}#…", value)
    return value if len(value) <= HEADER_KEPT else f"{value[: HEADER_KEPT - 1]}…"
