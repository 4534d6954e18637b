"""Paging by place: a page begins behind a row, named in the address, and not after so many rows.

So the thousandth page costs what the first does, nothing is counted, and no row is shown twice or left out because
another one came in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import (
    BigIntegerField,
    BooleanField,
    DateTimeField,
    F,
    Func,
    IntegerField,
    OrderBy,
    Q,
    Subquery,
    Value,
)
from django.db.models.expressions import Combinable, Expression
from django.db.models.functions import Coalesce

from changes.choices import Priority
from changes.models import Change
from changes.querysets import PRIORITY_RANK, ChangeQuerySet

PAGE_SIZE = 50
# What is scattered is looked for among so many of the nearest changes, as the database thinks best. Only then among the
# rest, by the index of words or of windows: else one misjudged word would have all changes read, one by one.
WINDOW = 6_000
DEFAULT = "-number"
LARGEST = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Sort:
    """What an order compares first, with an index of its own; the primary key comes second.

    `read` and `write` turn its value into the number that stands in an address and back.
    """

    expression: Expression | F | None
    output_field: Any
    write: Callable[[Change], int]
    read: Callable[[int], Any]


def _moment(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND


def _microseconds(moment: Any) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _rank(number: int) -> int:
    if not 0 <= number < len(Priority.values):
        raise ValueError("There is no such priority.")
    return number


SORTS = {
    "number": _Sort(None, BigIntegerField(), lambda change: change.pk, int),
    "priority": _Sort(PRIORITY_RANK, IntegerField(), lambda change: Priority.values.index(change.priority), _rank),
    "planned_start": _Sort(
        F("planned_start"), DateTimeField(), lambda change: _microseconds(change.planned_start), _moment
    ),
    "updated": _Sort(F("updated_at"), DateTimeField(), lambda change: _microseconds(change.updated_at), _moment),
}


class _Beyond(Func):
    """`(a, pk) < (x, y)`, which one index of both columns answers."""

    conditional = True
    output_field = BooleanField()

    def __init__(self, sign: str, left: Combinable, value: Combinable, pk: Combinable) -> None:
        self.sign = sign
        super().__init__(left, F("pk"), value, pk)

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> Any:
        parts = [compiler.compile(expression) for expression in self.source_expressions]
        left, key, value, pk = (sql for sql, _ in parts)
        return f"({left}, {key}) {self.sign} ({value}, {pk})", [param for _, own in parts for param in own]


@dataclass(frozen=True)
class Place:
    """A row of an order: what the order compares, and the row's key."""

    value: Any
    pk: int


@dataclass(frozen=True)
class Order:
    """`number`, or `-number` for the other way round."""

    name: str
    is_descending: bool

    @classmethod
    def read(cls, wanted: str) -> Order | None:
        """None for an order that the list does not have."""
        name = wanted.removeprefix("-")
        return cls(name, wanted.startswith("-")) if name in SORTS else None

    def __str__(self) -> str:
        return f"-{self.name}" if self.is_descending else self.name

    @property
    def turned(self) -> Order:
        return Order(self.name, not self.is_descending)

    def narrowed(self, queryset: ChangeQuerySet) -> ChangeQuerySet:
        """Without what has no place in it: a change that is not planned yet is in no order of plans."""
        return queryset.filter(planned_start__isnull=False) if self.name == "planned_start" else queryset

    def sorted(self, queryset: ChangeQuerySet, is_by_index: bool = True) -> ChangeQuerySet:
        """Without the index of the order, the rows are found by what they have first, and sorted then."""
        first: Any = SORTS[self.name].expression or F("pk")
        keys = [first if is_by_index else Coalesce(first, first), F("pk")]
        return queryset.order_by(*(OrderBy(key, descending=self.is_descending) for key in keys))

    def beyond(self, queryset: ChangeQuerySet, place: Place | None) -> ChangeQuerySet:
        """What comes after the place."""
        if place is None:
            return queryset
        sort = SORTS[self.name]
        if sort.expression is None:
            return queryset.filter(**{"pk__lt" if self.is_descending else "pk__gt": place.pk})
        value = Value(place.value, sort.output_field)
        key = Value(place.pk, BigIntegerField())
        return queryset.filter(_Beyond("<" if self.is_descending else ">", sort.expression, value, key))

    def is_near(self, place: Place | None) -> Q:
        """The condition for the first `WINDOW` changes after the place. Where there are fewer, it may miss all."""
        after = self.sorted(self.beyond(self.narrowed(Change.objects.all()), place))
        sort = SORTS[self.name]
        if sort.expression is None:
            step = -WINDOW if self.is_descending else WINDOW
            end: Any = place.pk + step if place else Subquery(after.values("pk")[:1], BigIntegerField()) + Value(step)
            return Q(**{"pk__gt" if self.is_descending else "pk__lt": end})
        last = after[WINDOW : WINDOW + 1]
        value = Subquery(last.values_list(sort.expression), sort.output_field)
        key = Subquery(last.values("pk"), BigIntegerField())
        return Q(_Beyond(">" if self.is_descending else "<", sort.expression, value, key))

    def place_of(self, change: Change) -> Place:
        sort = SORTS[self.name]
        return Place(sort.read(sort.write(change)), change.pk)

    def written(self, change: Change) -> str:
        """The place of this row, for an address."""
        return f"{SORTS[self.name].write(change)}.{change.pk}"

    def place(self, text: str) -> Place | None:
        """The place that an address names; None where it names none in this order."""
        first, _, second = text.partition(".")
        try:
            value, pk = int(first), int(second)
            place = Place(SORTS[self.name].read(value), pk)
        except (ValueError, OverflowError):
            return None
        is_possible = 0 < pk <= LARGEST and (SORTS[self.name].expression is not None or value == pk)
        return place if is_possible else None


@dataclass(frozen=True)
class Page:
    """Some rows, and the places to go on from: empty where there is nothing more."""

    rows: list[Change]
    previous: str
    next: str
    is_first: bool


@dataclass(frozen=True)
class Walk:
    """A way through a queryset in an order.

    `is_scattered`: there may be many or few, near or far away, and no index has them in the order. `nearby` then finds
    the same, and is quick for few changes.
    """

    queryset: ChangeQuerySet
    order: Order
    is_scattered: bool = False
    nearby: ChangeQuerySet | None = None

    def page(self, after: str = "", before: str = "", size: int | None = None) -> Page:
        """The page after the place, before it, or the first one. An address's nonsense leads to the first."""
        size = size or PAGE_SIZE
        if (place := self.order.place(before)) is not None:
            found = self.rows(place, size + 1, self.order.turned)
            rows = found[:size][::-1]
            return self._page(rows, has_previous=len(found) > size, has_next=True)
        place = self.order.place(after)
        found = self.rows(place, size + 1, self.order)
        return self._page(found[:size], has_previous=place is not None, has_next=len(found) > size)

    def _page(self, rows: list[Change], has_previous: bool, has_next: bool) -> Page:
        first, last = (self.order.written(rows[0]), self.order.written(rows[-1])) if rows else ("", "")
        return Page(rows, first if has_previous else "", last if has_next else "", is_first=not has_previous)

    def chunks(self, size: int) -> Iterator[list[Change]]:
        """All rows, some at a time. What is held at once does not grow with their number."""
        place = None
        while rows := self.rows(place, size, self.order):
            yield rows
            place = self.order.place_of(rows[-1])

    def rows(self, place: Place | None, limit: int, order: Order) -> list[Change]:
        found = order.sorted(order.beyond(order.narrowed(self.queryset), place))
        if not self.is_scattered:
            return list(found[:limit])
        nearby = self.queryset if self.nearby is None else self.nearby
        nearest = order.sorted(order.beyond(order.narrowed(nearby), place))
        near = list(nearest.filter(order.is_near(place))[:limit])
        if len(near) == limit:
            return near
        rest = order.beyond(order.narrowed(self.queryset), order.place_of(near[-1]) if near else place)
        # The keys alone are sorted: there may be many.
        keys = order.sorted(rest, is_by_index=False).values("pk")[: limit - len(near)]
        return near + list(order.sorted(self.queryset.filter(pk__in=keys)))
