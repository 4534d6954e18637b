"""CSV files for spreadsheets, streamed in portions of rows, so that their length needs no memory."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.http import StreamingHttpResponse
from django.utils import timezone

from changes.texts.timestamps import timestamp

AT_ONCE = 1000
BYTE_ORDER_MARK = "\ufeff"
# The beginning of a text that a spreadsheet would run as a formula. Some spreadsheets also split quoted texts at
# semicolons or tabs, so the text after one of these is checked, too. Those of Japan and China also read the wide signs.
_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_FORMULA = re.compile(rf"(\A|[;\t\r\n])(?= *{_SIGN})|\A(?=[\t\r\n])")


class _Line:
    """The file object for the csv module. It returns the line instead of writing it."""

    def write(self, line: str) -> str:
        return line


def lines(names: Sequence[str], portions: Iterable[Iterable[Sequence[str]]]) -> Iterator[str]:
    """The file in portions: a head with these names, and the rows, whose cells `cell()` has made."""
    write = csv.writer(_Line(), quoting=csv.QUOTE_ALL).writerow
    # Excel recognises UTF-8 by this mark.
    yield BYTE_ORDER_MARK + write(names)
    for rows in portions:
        yield "".join(map(write, rows))


def cell(value: object) -> str:
    """The value as a text that no spreadsheet runs as a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return timestamp(value)
    return _FORMULA.sub(r"\1'", str(value))


def download(name: str, content: Iterator[str]) -> StreamingHttpResponse:
    """The answer that lets a browser save the file under this name and the time."""
    response = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}-{timezone.localtime():%Y-%m-%d-%H%M}.csv"'
    response["Cache-Control"] = "private, no-store"
    return response
