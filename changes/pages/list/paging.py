"""Paging of the list: keyset paging (see changes/keyset.py) that is also quick where the filters match few changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db.models import BigIntegerField, Q, Subquery, Value

from changes import keyset
from changes.keyset import Column, Order, Page, Place
from changes.models import Change
from changes.orders import NEVER, ORDERS
from changes.querysets import PLANNED_START, ChangeQuerySet

PAGE_SIZE = 50
# What is scattered is looked for among so many of the nearest changes, as the database thinks best. Only then among the
# rest, by the index of words or of windows: else one misjudged word would have all changes read, one by one.
WINDOW = 6_000
# The orders by their names in the address.
SORTS: Mapping[str, tuple[Column, ...]] = {
    "number": ORDERS["number"],
    "priority": ORDERS["priority"],
    "planned_start": ORDERS["planned_start"],
    "updated": ORDERS["updated_at"],
}
DEFAULT = "-number"


@dataclass(frozen=True)
class Sort:
    """An order as the address names it: `number`, or `-number` for the other way round."""

    name: str
    is_descending: bool

    @classmethod
    def read(cls, wanted: str) -> Sort | None:
        """None for an order that the list does not have."""
        name = wanted.removeprefix("-")
        return cls(name, wanted.startswith("-")) if name in SORTS else None

    def __str__(self) -> str:
        return f"-{self.name}" if self.is_descending else self.name

    @property
    def order(self) -> Order:
        return Order(SORTS[self.name], self.is_descending)

    def narrowed(self, queryset: ChangeQuerySet) -> ChangeQuerySet:
        """Without what has no place in it: a change that is not planned yet is in no order of plans."""
        return queryset.alias(plan=PLANNED_START).filter(plan__lt=NEVER) if self.name == "planned_start" else queryset


@dataclass(frozen=True)
class Walk:
    """A way through a queryset in an order.

    `is_scattered`: there may be many or few, near or far away, and no index has them in the order. `nearby` then finds
    the same, and is quick for few changes.
    """

    queryset: ChangeQuerySet
    sort: Sort
    is_scattered: bool = False
    nearby: ChangeQuerySet | None = None

    def page(self, after: str = "", before: str = "") -> Page[Change]:
        """The page after the place, before it, or the first one. An address's nonsense leads to the first."""
        order = self.sort.order
        return keyset.page(order, self.rows, PAGE_SIZE, after=order.read(after), before=order.read(before))

    def chunks(self, size: int) -> Iterator[list[Change]]:
        """All rows, some at a time. What is held at once does not grow with their number."""
        order, place = self.sort.order, None
        while rows := self.rows(order, place, size):
            yield rows
            place = order.place_of(rows[-1])

    def rows(self, order: Order, place: Place | None, limit: int) -> list[Change]:
        """The first rows after a place in `order`: that of the walk, or the same turned around."""
        narrowed = self.sort.narrowed
        found = order.sorted(order.beyond(narrowed(self.queryset), place))
        if not self.is_scattered:
            return list(found[:limit])
        nearest = order.sorted(order.beyond(narrowed(self.queryset if self.nearby is None else self.nearby), place))
        near = list(nearest.filter(self._is_near(order, place))[:limit])
        if len(near) == limit:
            return near
        rest = order.beyond(narrowed(self.queryset), order.place_of(near[-1]) if near else place)
        # The keys alone are sorted: there may be many.
        keys = order.sorted(rest, is_by_index=False).values("pk")[: limit - len(near)]
        return near + list(order.sorted(self.queryset.filter(pk__in=keys)))

    def _is_near(self, order: Order, place: Place | None) -> Q:
        """The condition for the first `WINDOW` changes after the place. Where there are fewer, it may miss all."""
        after = order.sorted(order.beyond(self.sort.narrowed(Change.objects.all()), place))
        if self.sort.name == "number":
            step = -WINDOW if order.is_descending else WINDOW
            first = Subquery(after.values("pk")[:1], BigIntegerField())
            end = Value(place[0], BigIntegerField()) if place else first
            return Q(**{"pk__gt" if order.is_descending else "pk__lt": end + Value(step)})
        last = after[WINDOW : WINDOW + 1]
        ends = (Subquery(last.values_list(column.expression), column.kind.field()) for column in order.columns)
        return Q(order.turned.is_beyond(tuple(ends)))
