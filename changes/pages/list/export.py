"""The list of changes as a file for spreadsheets: one row for each change that the filters match.

It is written as it is read, some changes at a time, so a million need no more memory than one. Names and values are
those of the API, whatever the language of the person.
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
# A spreadsheet takes a text that begins so for a formula, and runs it. One that divides lines at semicolons or tabs,
# whatever the quotes, takes what stands behind them for such a text.
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
    """What another app adds: the names of its columns, and from changes the values of each, by its key."""

    names: tuple[str, ...]
    values: Callable[[Sequence[Change]], dict[int, tuple[str, ...]]]


_offered: list[Columns] = []


def offer(columns: Columns) -> None:
    """See changes/extensions.py."""
    _offered.append(columns)


class _Line:
    """What csv writes to: it only returns the line."""

    def write(self, line: str) -> str:
        return line


def lines(walk: Walk) -> Iterator[str]:
    """The file, some lines at a time."""
    write = csv.writer(_Line(), quoting=csv.QUOTE_ALL).writerow
    # By this mark Excel knows that it is UTF-8.
    yield BYTE_ORDER_MARK + write([*FIELDS, *(name for columns in _offered for name in columns.names)])
    for changes in walk.chunks(AT_ONCE):
        # For each part anew: between two parts the server does other things.
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
