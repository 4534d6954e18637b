"""The filters of templates, besides those of minijinja. Each raises Unusable with a text for people."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from changes.texts.timestamps import timestamp
from integrations.rich_text import to_text

from .values import LARGEST_TEXT, Unusable, as_json, as_text, plain

REFUSE = "refuse"
DEFAULT = "default"
_QUOTES = re.compile(r"""[\\"']""")
_DIRECTIVE = re.compile(r"%(.)|(%)\Z", re.DOTALL)
_DIRECTIVES = frozenset("aAbBdHIjmMpSfyYzZuwGV%")


def _text(value: object) -> str:
    return as_text(value) or ""


def date(value: object, format: str | None = None, zone: str = "UTC") -> str | None:
    """A time, or nothing for an empty one. Without a format as RFC 3339 to the second, in UTC as `Z`."""
    if value is None or value == "":
        return None
    zone_info = _zone(zone)
    try:
        moment = _moment(value, "date").astimezone(zone_info)
    except OverflowError as error:  # the first or the last day that there is
        raise Unusable("|date takes a time as in 2026-11-24T09:30:00Z") from error
    if format is not None:
        return moment.strftime(_checked_format(format))
    moment = moment.replace(microsecond=0)
    return timestamp(moment) if zone == "UTC" else moment.isoformat()


def epoch(value: object) -> float | int | None:
    """The seconds since 1970 of a time, whole ones as an integer; nothing for an empty one."""
    if value is None or value == "":
        return None
    seconds = _moment(value, "epoch").timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def _moment(value: object, filter: str) -> datetime:
    """Of a text as in RFC 3339 or in the headers of HTTP, or of the seconds since 1970."""
    wanted = f"|{filter} takes a time as in 2026-11-24T09:30:00Z, or the seconds since 1970"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unusable(wanted)
    try:
        if not isinstance(value, str):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(value.strip()) if value.strip()[:1].isdigit() else parsedate_to_datetime(value)
    except (ValueError, OverflowError, OSError) as error:
        raise Unusable(f"{wanted}, and this value is none") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise Unusable("|date does not know this zone: write it as in Europe/Berlin") from error


def _checked_format(format: object) -> str:
    if not isinstance(format, str) or len(format) > 100:
        raise Unusable("the format of |date is a text of at most 100 characters")
    if any((found[1] or "") not in _DIRECTIVES or found[2] for found in _DIRECTIVE.finditer(format)):
        raise Unusable(f"the format of |date takes % with one of {' '.join(sorted(_DIRECTIVES))}")
    return format


def quoted(value: object, style: str = "backslash") -> str:
    """For a text within quotes of a query language."""
    if style == "double":
        return re.sub(r"""["']""", lambda quote: quote[0] * 2, _text(value))
    if style != "backslash":
        raise Unusable("|quoted takes nothing or 'double'")
    return _QUOTES.sub(lambda character: "\\" + character[0], _text(value))


def escaped(value: object) -> str:
    """A text for a place in HTML."""
    return html.escape(_text(value))


def plain_text(value: object) -> str:
    """What an HTML text says."""
    try:
        return to_text(_text(value))
    except ValueError as error:
        raise Unusable(f"|plain: {error}") from error


def truncate_bytes(value: object, most: int) -> str:
    """The longest beginning that has at most so many bytes in UTF-8. No character is cut."""
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        raise Unusable("|truncate_bytes takes the number of bytes")
    return _text(value).encode()[:most].decode(errors="ignore")


def table_filter(tables: Mapping[str, Mapping[str, object]]) -> Callable[[object, str], object]:
    def table(value: object, name: str) -> object:
        rows = tables.get(name)
        if rows is None:
            raise Unusable("|table does not know this table")
        key = as_text(value)
        if key is not None and key != DEFAULT and key in rows:
            return rows[key]
        default = rows.get(DEFAULT, REFUSE)
        if default == REFUSE:
            raise Unusable(f"the table {name} has no value for {'none' if key is None else repr(key[:100])}")
        return default

    return table


def to_json(value: object) -> str:
    """Compact JSON. minijinja's own takes an indent of any size, which it writes without a bound."""
    return as_json(plain(value))


OURS: Mapping[str, Callable[..., object]] = {
    "date": date,
    "epoch": epoch,
    "quoted": quoted,
    "html": escaped,
    "plain": plain_text,
    "truncate_bytes": truncate_bytes,
    "tojson": to_json,
}
LARGEST_INPUT = LARGEST_TEXT
