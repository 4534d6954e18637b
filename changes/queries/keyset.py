"""Keyset paging: the address of a page names the row that the page starts after, not a number of rows to skip.

The thousandth page is as quick as the first, nothing is counted, and a row inserted meanwhile neither repeats nor hides
another one. The list, the timeline, the exchange log and the REST API use it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from django.db.models import (
    BigIntegerField,
    BooleanField,
    DateTimeField,
    F,
    Field,
    Func,
    OrderBy,
    QuerySet,
    TextField,
    UUIDField,
    Value,
)
from django.db.models.expressions import Combinable, Expression
from django.db.models.functions import Coalesce

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

Row = TypeVar("Row")
AnyQuerySet = TypeVar("AnyQuerySet", bound=QuerySet[Any, Any])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Kind:
    """A type of value and its form in an address. `read` raises ValueError or OverflowError for an invalid text."""

    field: type[Field[Any, Any]]
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _whole_number(text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text) or abs(number := int(text)) > _LARGEST:
        raise ValueError("no whole number that a column holds")
    return number


def _text(encoded: str) -> str:
    text = base64.urlsafe_b64decode(encoded.encode("ascii") + b"=" * (-len(encoded) % 4)).decode()
    if "\x00" in text:
        raise ValueError("no text that a column holds")
    return text


WHOLE_NUMBER = Kind(BigIntegerField, str, _whole_number)
MOMENT = Kind(
    DateTimeField,
    lambda moment: str((moment - _EPOCH) // _MICROSECOND),
    lambda text: _EPOCH + _whole_number(text) * _MICROSECOND,
)
UUID_KEY = Kind(UUIDField, str, UUID)
TEXT = Kind(TextField, lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="), _text)


@dataclass(frozen=True)
class Column:
    """A column of an order. `expression` is never NULL; `of` returns the same value from a loaded row."""

    expression: Expression | F
    kind: Kind
    of: Callable[[Any], Any]


# The values of a row in the columns of an order, or subqueries that return them.
Place = tuple[Any, ...]


def _compared(column: Column, value: Any) -> Combinable:
    return value if isinstance(value, Combinable) else Value(value, column.kind.field())


class _Beyond(Func):
    """The comparison `(a, b) < (x, y)`, for which the database can use an index on both columns."""

    conditional = True
    output_field = BooleanField()

    def __init__(self, sign: str, columns: tuple[Column, ...], place: Place) -> None:
        self.sign = sign
        super().__init__(*(column.expression for column in columns), *map(_compared, columns, place))

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **extra: Any) -> Any:
        parts = [compiler.compile(expression) for expression in self.source_expressions]
        half = len(parts) // 2
        left, right = (", ".join(sql for sql, _ in side) for side in (parts[:half], parts[half:]))
        return f"({left}) {self.sign} ({right})", [param for _, own in parts for param in own]


@dataclass(frozen=True)
class Order:
    """An order of rows. Its last column is unique, so no two rows have the same place."""

    columns: tuple[Column, ...]
    is_descending: bool = False

    @property
    def turned(self) -> Order:
        return replace(self, is_descending=not self.is_descending)

    def sorted(self, queryset: AnyQuerySet, is_by_index: bool = True) -> AnyQuerySet:
        """The rows in this order. `is_by_index=False` keeps the database from using the order's own index.

        It then finds the rows by another index and sorts them.
        """
        first, *others = (column.expression for column in self.columns)
        keys = [first if is_by_index else Coalesce(first, first), *others]
        return queryset.order_by(*(OrderBy(key, descending=self.is_descending) for key in keys))

    def beyond(self, queryset: AnyQuerySet, place: Place | None) -> AnyQuerySet:
        """The rows after the place; all rows for None."""
        return queryset if place is None else queryset.filter(self.is_beyond(place))

    def is_beyond(self, place: Place) -> _Beyond:
        """The condition for the rows after the place."""
        return _Beyond("<" if self.is_descending else ">", self.columns, place)

    def place_of(self, row: Any) -> Place:
        return tuple(column.of(row) for column in self.columns)

    def write(self, place: Place) -> str:
        """The place as it stands in an address."""
        return ".".join(column.kind.write(value) for column, value in zip(self.columns, place, strict=True))

    def read(self, text: str) -> Place | None:
        """The place that a text from an address names; None if it is not a place in this order."""
        parts = text.split(".")
        if len(parts) != len(self.columns):
            return None
        try:
            return tuple(column.kind.read(part) for column, part in zip(self.columns, parts, strict=True))
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class Page(Generic[Row]):
    """The rows of a page. `previous` and `next` are places for addresses; "" if there is no such page."""

    rows: list[Row]
    previous: str = ""
    next: str = ""
    is_first: bool = True


# A function that loads at most that many rows after a place in an order.
Load = Callable[[Order, Place | None, int], list[Row]]


def page(
    order: Order, load: Load[Row], size: int, *, after: Place | None = None, before: Place | None = None
) -> Page[Row]:
    """The page before `before` if it is given, else the page after `after`, else the first page."""
    if before is not None:
        found = load(order.turned, before, size + 1)
        if found:
            return _page(order, found[:size][::-1], has_previous=len(found) > size, has_next=True)
        after = None  # the rows before it are gone: the first page shows what is left
    found = load(order, after, size + 1)
    if not found and after is not None:
        return Page(found, previous=order.write(after), is_first=False)
    return _page(order, found[:size], has_previous=after is not None, has_next=len(found) > size)


def _page(order: Order, rows: list[Row], has_previous: bool, has_next: bool) -> Page[Row]:
    first, last = (order.write(order.place_of(rows[0])), order.write(order.place_of(rows[-1]))) if rows else ("", "")
    return Page(rows, first if has_previous else "", last if has_next else "", is_first=not has_previous)


PRIMARY_KEY = Column(F("pk"), WHOLE_NUMBER, lambda row: row.pk)
