"""Reads a JSON body, and refuses what JSON parsers commonly let through."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from .exceptions import LengthRequired, TooLarge

MAX_DEPTH = 32
# More digits than any number of the contract has; int() itself takes a long time for very many.
MAX_DIGITS = 19
# Of ASCII, each text is one of UTF-8.
CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
_UNFIT = re.compile("[\x00\ud800-\udfff]")


class StrictJSONParser(BaseParser):
    """One JSON object in UTF-8 of at most `API_REQUEST_MAX_BYTES`.

    Refused, with the path of what is wrong: repeated keys, NaN and Infinity, numbers too large, NUL characters and
    halves of surrogate pairs.
    """

    # Not a subclass of the library's JSONParser: for those it reads the whole body before the length is checked.
    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        _, parameters = parse_header_parameters(media_type or "")
        if parameters.get("charset", "utf-8").lower() not in CHARSETS:
            raise UnsupportedMediaType(media_type or "", detail="JSON must be in UTF-8 here.")
        body = read_limited(stream, parser_context or {}, settings.API_REQUEST_MAX_BYTES)
        try:
            return _json_object(body)
        except APIException as error:
            error.body = body  # type: ignore[attr-defined] # for who logs what came
            raise


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body.removeprefix(codecs.BOM_UTF8).decode())
    except UnicodeDecodeError as error:
        raise ParseError(f"The body is not UTF-8: see byte {error.start}.") from error
    if not isinstance(value, dict):
        raise ParseError("The body must be a JSON object.")
    return value


def read_limited(stream: Any, parser_context: Mapping[str, Any], limit: int) -> bytes:
    """The body, unless it is over `limit` bytes: then nothing of it is read, or as little as possible."""
    check_length(parser_context, limit)
    body = stream.read(limit + 1)
    if len(body) > limit:
        _too_large(limit)
    return body


def check_length(parser_context: Mapping[str, Any], limit: int) -> None:
    """Raises TooLarge, before anything is read, for a request that announces more than `limit` bytes."""
    request = parser_context.get("request")
    # Django has checked that it is a number, if it is there.
    announced = int(request.META.get("CONTENT_LENGTH") or 0) if request is not None else 0
    if announced > limit:
        _too_large(limit)


def check_has_length(request: Request) -> None:
    """Raises LengthRequired for a body sent in chunks: Django would take it for empty, and mislead the caller.

    UnsupportedMediaType for a compressed one.
    """
    if "Transfer-Encoding" in request.headers and not request.META.get("CONTENT_LENGTH"):
        raise LengthRequired("Send the body with its Content-Length, not in chunks.")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        said = f"A body with Content-Encoding {encoding:.50} is not taken: send it as it is."
        raise UnsupportedMediaType(encoding, detail=said)


def _too_large(limit: int) -> NoReturn:
    raise TooLarge(f"The request is too large: at most {limit} bytes are taken.")


class _Repeating(dict):
    """An object in which a key came more than once."""

    repeated: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    seen: set[str] = set()
    marked = _Repeating(result)
    marked.repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return marked


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else math.inf


def loads(text: str) -> Any:
    """The JSON value. Raises ParseError, or ValidationError with the path of what is wrong."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except RecursionError as error:
        raise ParseError(_TOO_DEEP) from error
    except json.JSONDecodeError as error:
        raise ParseError(f"Not JSON: {error.msg}, line {error.lineno} column {error.colno}.") from error
    _check(value, escapes="\\u" in text)
    return value


_TOO_DEEP = f"The JSON is nested too deeply: at most {MAX_DEPTH} levels are taken."


def _check(value: object, escapes: bool) -> None:
    """Looks at every value. Only an escape can bring in an unfit character, so without one texts are not read."""
    waiting: list[tuple[Any, tuple[Any, ...]]] = [(value, ())]
    while waiting:
        item, path = waiting.pop()
        if len(path) > MAX_DEPTH:
            raise ParseError(_TOO_DEEP)
        if isinstance(item, dict):
            if isinstance(item, _Repeating):
                _refuse((*path, item.repeated), "This field is given more than once.", "repeated")
            if escapes:
                for key in item:
                    _check_text(key, (*path, key))
            waiting += _children(item.items(), path)
        elif isinstance(item, list):
            waiting += _children(enumerate(item), path)
        elif isinstance(item, float) and not math.isfinite(item):
            _refuse(path, "Not a number that can be kept: NaN, Infinity, or one that is too large.", "invalid_number")
        elif isinstance(item, str) and escapes:
            _check_text(item, path)


def _children(items: Iterable[tuple[object, object]], path: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    # A plain number or literal cannot be wrong; leaving it out keeps long lists cheap.
    return ((item, (*path, name)) for name, item in items if isinstance(item, str | dict | list | float))


def _check_text(text: str, path: tuple[Any, ...]) -> None:
    found = None if text.isascii() and "\x00" not in text else _UNFIT.search(text)
    if not found:
        return
    if found[0] == "\x00":
        _refuse(path, "A NUL character is not allowed: remove it.", "null_characters_not_allowed")
    _refuse(path, "Half of a surrogate pair is no character: send valid UTF-8.", "invalid_surrogate")


def _refuse(path: tuple[Any, ...], message: str, code: str) -> NoReturn:
    raise ValidationError({".".join(map(str, path)): [message]}, code=code)
