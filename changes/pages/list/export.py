"""The CSV exports of the list, for spreadsheets: one row for each change that the filters match, or for each save,
decision or comment of these changes.

A file is streamed in chunks, so a million changes need no more memory than a thousand. Names and values are those of
the API, whatever the language of the person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import override

from changes.models import Change
from changes.pages import csv_file
from changes.pages.csv_file import cell

from .paging import Walk

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
    "last_activity_at",
)


@dataclass(frozen=True)
class Columns:
    """The columns of another app. `values` returns the values of each change by its key; it may leave changes out."""

    names: tuple[str, ...]
    values: Callable[[Sequence[Change]], dict[int, tuple[str, ...]]]


@dataclass(frozen=True)
class Table:
    """A file with what belongs to the changes. `rows` returns the cells of each row for some of the changes."""

    name: str
    label: str | Promise
    names: tuple[str, ...]
    rows: Callable[[Sequence[Change]], Iterable[Sequence[object]]]


_offered: list[Columns] = []
TABLES: dict[str, Table] = {}
# So many changes are read at once for a table: each may have many rows.
CHANGES_AT_ONCE = 100


def offer(columns: Columns) -> None:
    """Adds columns to the export. See changes/extensions.py."""
    _offered.append(columns)


def offer_table(table: Table) -> None:
    """Adds a file. See changes/extensions.py."""
    TABLES[table.name] = table


def table_lines(table: Table, walk: Walk) -> Iterator[str]:
    """The CSV file of a table in chunks of lines."""
    return csv_file.lines(table.names, _table_portions(table, walk))


def _table_portions(table: Table, walk: Walk) -> Iterator[list[list[str]]]:
    for changes in walk.chunks(CHANGES_AT_ONCE):
        rows = iter(table.rows(changes))
        while True:
            # Set for each portion: between two portions, the thread serves other requests.
            with override("en"):
                portion = [[cell(value) for value in row] for row in islice(rows, csv_file.AT_ONCE)]
            if not portion:
                break
            yield portion


def lines(walk: Walk) -> Iterator[str]:
    """The CSV file in chunks of lines."""
    return csv_file.lines([*FIELDS, *(name for columns in _offered for name in columns.names)], _portions(walk))


def _portions(walk: Walk) -> Iterator[list[list[str]]]:
    for changes in walk.chunks(csv_file.AT_ONCE):
        # Set for each chunk: between two chunks, the thread serves other requests.
        with override("en"):
            added = [(columns.names, columns.values(changes)) for columns in _offered]
            rows = [
                [
                    *(cell(_value(change, name)) for name in FIELDS),
                    *(cell(text) for names, found in added for text in found.get(change.pk, [""] * len(names))),
                ]
                for change in changes
            ]
        yield rows


def _value(change: Change, name: str) -> Any:
    if name == "requested_by":
        return change.requested_by.get_username() if change.requested_by else ""
    return getattr(change, name)
