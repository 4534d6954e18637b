"""The parser of JSON bodies. It refuses malformed input that JSON parsers commonly accept."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import IO, Any, NoReturn

from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from .exceptions import LengthRequired, TooLarge
from .json_scan import MAX_DEPTH, SCANNED_FROM, TOO_DEEP, Scan, scan

# A body of at most this size is kept, so that the request can be repeated after a database conflict.
REPEATABLE_BYTES = 256 * 1024
# No number of the API has more digits. int() is slow for very many digits.
MAX_DIGITS = 19
# ASCII texts are valid UTF-8.
CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
_UNFIT = re.compile("[\x00\ud800-\udfff]")


class StrictJSONParser(BaseParser):
    """Parses one JSON object in UTF-8 of at most `API_BODY_MAX_BYTES`.

    It refuses repeated keys, NaN and Infinity, too large numbers, NUL characters and halves of surrogate pairs. The
    error names the path of the value.
    """

    # Not a subclass of the library's JSONParser: the library reads the whole body for those before we check its length.
    media_type = "application/json"
    # Texts that do not count for the limit: the list that they are in, and their key there.
    excluded: tuple[str, str] | None = None

    def max_bytes(self) -> int:
        return settings.API_BODY_MAX_BYTES

    def check_scanned(self, found: Scan, context: Mapping[str, Any]) -> None:
        """For subclasses: raises an APIException for a large body that need not be parsed."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        _, parameters = parse_header_parameters(media_type or "")
        if parameters.get("charset", "utf-8").lower() not in CHARSETS:
            raise UnsupportedMediaType(media_type or "", detail="JSON must be in UTF-8 here.")
        context = parser_context or {}
        body = read_limited(stream, context, self.max_bytes())
        try:
            if len(body) > SCANNED_FROM:
                found = scan(body, self.excluded)
                if (size := len(body) - found.content) > settings.API_BODY_MAX_BYTES:
                    _too_large(settings.API_BODY_MAX_BYTES, f"{size} bytes, attachments not counted")
                self.check_scanned(found, context)
            return _json_object(body)
        except APIException as error:
            error.body = body  # type: ignore[attr-defined] # for the log of incoming operations
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
    """The body. Raises TooLarge if it is over `limit` bytes, after reading as little of it as possible."""
    check_length(parser_context, limit)
    body = repeatable(stream, parser_context).read(limit + 1)
    if len(body) > limit:
        _too_large(limit)
    return body


def repeatable(stream: Any, parser_context: Mapping[str, Any]) -> Any:
    """A stream of the body. Django keeps a small body, so that the view can be called again after a conflict."""
    request = getattr(parser_context.get("request"), "_request", None)
    if request is None or _announced(request) > min(REPEATABLE_BYTES, settings.DATA_UPLOAD_MAX_MEMORY_SIZE):
        return stream
    return BytesIO(request.body)


def check_length(parser_context: Mapping[str, Any], limit: int) -> None:
    """Raises TooLarge, before anything is read, for a request that announces more than `limit` bytes."""
    request = parser_context.get("request")
    if request is not None and (announced := _announced(request)) > limit:
        _too_large(limit, f"{announced} bytes")


def _announced(request: Any) -> int:
    return int(request.META.get("CONTENT_LENGTH") or 0)  # Django has already checked that it is a number


def check_has_length(request: Request) -> None:
    """Raises LengthRequired for a body sent in chunks, and UnsupportedMediaType for a compressed one.

    Django would read a body sent in chunks as an empty one, which would mislead the caller.
    """
    if "Transfer-Encoding" in request.headers and not request.META.get("CONTENT_LENGTH"):
        raise LengthRequired("Send the body with its Content-Length, not in chunks.")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        said = f"A body with Content-Encoding {encoding:.50} is not taken: send it as it is."
        raise UnsupportedMediaType(encoding, detail=said)


def _too_large(limit: int, given: str = "") -> NoReturn:
    found = f" ({given})" if given else ""
    raise TooLarge(f"The request is too large{found}: at most {limit} bytes are taken.")


class _Repeating(dict):
    """A JSON object that has the key `repeated` more than once."""

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
    """The JSON value. Raises ParseError, or ValidationError with the path of the invalid value."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except RecursionError as error:
        raise ParseError(TOO_DEEP) from error
    except json.JSONDecodeError as error:
        raise ParseError(f"Not JSON: {error.msg}, line {error.lineno} column {error.colno}.") from error
    _check(value, escapes="\\u" in text)
    return value


def _check(value: object, escapes: bool) -> None:
    """Checks every value. Texts only if there are `escapes`: unescaped, JSON in UTF-8 has no unfit characters."""
    waiting: list[tuple[Any, tuple[Any, ...]]] = [(value, ())]
    while waiting:
        item, path = waiting.pop()
        if len(path) > MAX_DEPTH:
            raise ParseError(TOO_DEEP)
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
            _refuse(path, "NaN, Infinity and numbers that are too large are not allowed.", "invalid_number")
        elif isinstance(item, str) and escapes:
            _check_text(item, path)


def _children(items: Iterable[tuple[object, object]], path: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    # Integers and literals need no check. Leaving them out keeps long lists cheap.
    return ((item, (*path, name)) for name, item in items if isinstance(item, str | dict | list | float))


def _check_text(text: str, path: tuple[Any, ...]) -> None:
    found = None if text.isascii() and "\x00" not in text else _UNFIT.search(text)
    if not found:
        return
    if found[0] == "\x00":
        _refuse(path, "A NUL character is not allowed: remove it.", "null_characters_not_allowed")
    _refuse(path, "Half of a surrogate pair is not a character: send valid UTF-8.", "invalid_surrogate")


def _refuse(path: tuple[Any, ...], message: str, code: str) -> NoReturn:
    raise ValidationError({".".join(map(str, path)): [message]}, code=code)
