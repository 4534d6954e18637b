"""The CSV export of the list, for spreadsheets: one row for each change that the filters match.

The file is streamed in chunks, so a million changes need no more memory than a thousand. Names and values are those of
the API, whatever the language of the person.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import override

from changes.models import Change
from changes.texts.timestamps import timestamp

from .paging import Walk

AT_ONCE = 1000
BYTE_ORDER_MARK = "\ufeff"
# The beginning of a text that a spreadsheet would run as a formula. Some spreadsheets also split quoted texts at
# semicolons or tabs, so the text after one of these is checked, too.
_FORMULA = re.compile(r"(\A|[;\t\r\n])(?= *[=+\-@])|\A(?=[\t\r\n])")
FIELDS = (
    "number",
    "title",
    "change_type",
    "phase",
    "metaphase",
    "priority",
    "owning_group",
    "requested_by",
    "category",
    "service",
    "risk",
    "business_impact",
    "urgency",
    "completion_code",
    "planned_start",
    "planned_end",
    "actual_start",
    "actual_end",
    "created_at",
    "updated_at",
)


@dataclass(frozen=True)
class Columns:
    """The columns of another app. `values` returns the values of each change by its key; it may leave changes out."""

    names: tuple[str, ...]
    values: Callable[[Sequence[Change]], dict[int, tuple[str, ...]]]


_offered: list[Columns] = []


def offer(columns: Columns) -> None:
    """Adds columns to the export. See changes/extensions.py."""
    _offered.append(columns)


class _Line:
    """The file object for the csv module. It returns the line instead of writing it."""

    def write(self, line: str) -> str:
        return line


def lines(walk: Walk) -> Iterator[str]:
    """The CSV file in chunks of lines."""
    write = csv.writer(_Line(), quoting=csv.QUOTE_ALL).writerow
    # Excel recognises UTF-8 by this mark.
    yield BYTE_ORDER_MARK + write([*FIELDS, *(name for columns in _offered for name in columns.names)])
    for changes in walk.chunks(AT_ONCE):
        # Set for each chunk: between two chunks, the thread serves other requests.
        with override("en"):
            added = [(columns.names, columns.values(changes)) for columns in _offered]
            rows = [
                [
                    *(_cell(_value(change, name)) for name in FIELDS),
                    *(_cell(text) for names, found in added for text in found.get(change.pk, [""] * len(names))),
                ]
                for change in changes
            ]
        yield "".join(map(write, rows))


def _value(change: Change, name: str) -> Any:
    if name == "requested_by":
        return change.requested_by.get_username() if change.requested_by else ""
    return getattr(change, name)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return timestamp(value)
    return _FORMULA.sub(r"\1'", str(value))
