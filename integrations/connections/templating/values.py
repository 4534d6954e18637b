"""JSON values on their way into a template and out of it.

minijinja falls back on Python's attributes: without these classes `{{ change.pop('title') }}` would call the method of
a dict, and `{{ body.keys }}` would be defined.
"""

from __future__ import annotations

import json
from typing import Any, Final

# How deep and how large a value may be.
DEEPEST = 60
MOST_VALUES = 50_000
LARGEST_TEXT = 1024 * 1024
_LARGEST_INT = 2**127
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class Unusable(ValueError):  # noqa: N818
    """A value that is no JSON, or too large. The text says why; it never quotes the value."""


class Omit:
    """The value of `omit`: the key or item that it stands for is left out."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "omit"


OMIT: Final = Omit()


class _Hidden:
    """In the place of a method: the attribute is not there."""

    def __get__(self, instance: object, owner: type) -> object:
        raise AttributeError


class _Items:
    """The attribute by which minijinja knows a mapping.

    When a key is missing, minijinja looks for an attribute of that name, directly after the key. Then it is not there.
    """

    def __get__(self, record: Record, owner: type) -> None:
        if record._missed:
            record._missed = False
            raise AttributeError


class Record(dict[str, object]):
    """A JSON object without methods. Use those of dict, as in `dict.items(record)`."""

    _missed = False

    def __missing__(self, key: object) -> object:
        self._missed = key == "items"
        raise KeyError(key)


class Row(list[object]):
    """A JSON array without methods."""


def _hide_methods(kind: type, base: type) -> None:
    for name in vars(base):
        if not name.startswith("_"):
            setattr(kind, name, _Items() if name == "items" else _Hidden())


_hide_methods(Record, dict)
_hide_methods(Row, list)


def wrapped(value: object, depth: int = 0) -> object:
    """The same JSON value as templates may see it. Raises Unusable."""
    kind = type(value)
    if value is None or kind in (bool, float, Omit):
        return value
    if kind is int:
        # minijinja would round a larger one.
        return value if -_LARGEST_INT < value < _LARGEST_INT else str(value)  # type: ignore[operator]
    if kind is str:
        return _whole(value)
    if kind in (Record, Row):
        return value  # wrapped before, and nothing can alter it
    if depth > DEEPEST:
        raise Unusable(f"is nested more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        return Record({_whole(str(key)): wrapped(item, depth + 1) for key, item in dict.items(value)})
    if isinstance(value, list | tuple):
        return Row([wrapped(item, depth + 1) for item in value])
    if isinstance(value, str):
        return _whole(str.__str__(value))
    raise Unusable(f"is no JSON value but {kind.__name__}")


def _whole(text: Any) -> str:
    """The text with a question mark for each half of a surrogate pair, which JSON can escape but UTF-8 cannot write."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def plain(value: object) -> Any:
    """The JSON value that a template gave. Keys and items that are `omit` are left out. Raises Unusable."""
    if value is None or type(value) in (int, bool, Omit):
        return value
    if isinstance(value, str):
        return _short(value)
    return _Plain().of(value, 0)


def _short(text: str) -> str:
    if len(text) > LARGEST_TEXT:
        raise Unusable("the result is longer than 1 MiB")
    return str.__str__(text)  # of a subclass, such as Markup, only the text


class _Plain:
    def __init__(self) -> None:
        self._count = 0

    def of(self, value: object, depth: int) -> Any:
        self._count += 1
        if self._count > MOST_VALUES or depth > DEEPEST:
            raise Unusable(f"the result has more than {MOST_VALUES} values or {DEEPEST} levels")
        if value is None or isinstance(value, bool | int) or value is OMIT:
            return value
        if isinstance(value, str):
            return _short(value)
        if isinstance(value, float):
            if value != value or value in (float("inf"), float("-inf")):
                raise Unusable("the result is not a number that JSON can write")
            return value
        if isinstance(value, dict):
            items = ((self._key(key), self.of(item, depth + 1)) for key, item in dict.items(value))
            return {key: item for key, item in items if item is not OMIT}
        if isinstance(value, list | tuple):
            return [kept for item in value if (kept := self.of(item, depth + 1)) is not OMIT]
        raise Unusable("the result is no JSON value")

    def _key(self, key: object) -> str:
        if not isinstance(key, str):
            raise Unusable("the result has a key that is no text")
        return _short(key)


def size_of(value: object) -> int:
    """The characters of a JSON value, its keys included."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + size_of(item) for key, item in dict.items(value))
    if isinstance(value, list):
        return sum(map(size_of, value))
    return 8


def as_text(value: object) -> str | None:
    """A scalar as a text, as JSON writes it; None for none and `omit`. Raises Unusable for lists and mappings."""
    if value is None or value is OMIT:
        return None
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise Unusable("a list or a mapping is no text: choose one of its values, or use |join or |tojson")


def as_json(value: object) -> str:
    """Compact JSON, not escaped to ASCII. Raises Unusable."""
    try:
        return _ENCODER.encode(value)
    except ValueError as error:
        raise Unusable("a number has no form in JSON") from error
