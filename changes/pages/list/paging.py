"""Keyset paging of the list (see changes/queries/keyset.py) that is also quick if the filters match few changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db.models import BigIntegerField, Q, Subquery, Value

from changes.models import Change
from changes.queries import keyset
from changes.queries.keyset import Column, Order, Page, Place
from changes.queries.orders import ORDERS
from changes.queries.querysets import NEVER, PLANNED_START, ChangeQuerySet

PAGE_SIZE = 50
# Scattered matches are first looked for among this many changes nearest to the place, however the database plans it.
# Only then the rest is searched, by the index of words or of windows. Without this limit, one wrong estimate of the
# database could make it read all changes one by one.
WINDOW = 6_000
# The orders by their names in the address.
SORTS: Mapping[str, tuple[Column, ...]] = {
    "number": ORDERS["number"],
    "priority": ORDERS["priority"],
    "planned_start": ORDERS["planned_start"],
    "activity": ORDERS["last_activity_at"],
}
DEFAULT = "-number"
# The name of an order in addresses and saved filters of earlier versions.
FORMER = {"updated": "activity"}


@dataclass(frozen=True)
class Sort:
    """An order as the address names it: `number`, or `-number` for descending."""

    name: str
    is_descending: bool

    @classmethod
    def read(cls, wanted: str) -> Sort | None:
        """The order with this name; None if the list has no such order."""
        name = FORMER.get(wanted.removeprefix("-"), wanted.removeprefix("-"))
        return cls(name, wanted.startswith("-")) if name in SORTS else None

    def __str__(self) -> str:
        return f"-{self.name}" if self.is_descending else self.name

    @property
    def order(self) -> Order:
        return Order(SORTS[self.name], self.is_descending)

    def narrowed(self, queryset: ChangeQuerySet) -> ChangeQuerySet:
        """The changes that this order shows: by planned start, only planned ones."""
        return queryset.alias(plan=PLANNED_START).filter(plan__lt=NEVER) if self.name == "planned_start" else queryset


@dataclass(frozen=True)
class Walk:
    """Pages or chunks through a queryset in an order.

    `is_scattered`: no index has the matching changes in this order, so they may be anywhere in it. `nearby` is then a
    queryset for the same changes that is quick if it is limited to few.
    """

    queryset: ChangeQuerySet
    sort: Sort
    is_scattered: bool = False
    nearby: ChangeQuerySet | None = None

    def page(self, after: str = "", before: str = "") -> Page[Change]:
        """The page after a place or before one. Without a valid place, the first page."""
        order = self.sort.order
        return keyset.page(order, self.rows, PAGE_SIZE, after=order.read(after), before=order.read(before))

    def chunks(self, size: int) -> Iterator[list[Change]]:
        """All rows in chunks of `size`, so that memory does not grow with their number."""
        order, place = self.sort.order, None
        while rows := self.rows(order, place, size):
            yield rows
            place = order.place_of(rows[-1])

    def rows(self, order: Order, place: Place | None, limit: int) -> list[Change]:
        """The first `limit` rows after a place in `order`, which is the walk's order or its reverse."""
        narrowed = self.sort.narrowed
        found = order.sorted(order.beyond(narrowed(self.queryset), place))
        if not self.is_scattered:
            return list(found[:limit])
        nearest = order.sorted(order.beyond(narrowed(self.queryset if self.nearby is None else self.nearby), place))
        near = list(nearest.filter(self._is_near(order, place))[:limit])
        if len(near) == limit:
            return near
        rest = order.beyond(narrowed(self.queryset), order.place_of(near[-1]) if near else place)
        # Only the keys are sorted, not the whole rows, because there may be many.
        keys = order.sorted(rest, is_by_index=False).values("pk")[: limit - len(near)]
        return near + list(order.sorted(self.queryset.filter(pk__in=keys)))

    def _is_near(self, order: Order, place: Place | None) -> Q:
        """The condition for the first `WINDOW` changes after the place. If there are fewer, it may match none."""
        after = order.sorted(order.beyond(self.sort.narrowed(Change.objects.all()), place))
        if self.sort.name == "number":
            step = -WINDOW if order.is_descending else WINDOW
            # Added in Python: an address may name the largest key there is, to which SQL could not add.
            end: object = (
                place[0] + step if place else Subquery(after.values("pk")[:1], BigIntegerField()) + Value(step)
            )
            return Q(**{"pk__gt" if order.is_descending else "pk__lt": end})
        last = after[WINDOW : WINDOW + 1]
        ends = (Subquery(last.values_list(column.expression), column.kind.field()) for column in order.columns)
        return Q(order.turned.is_beyond(tuple(ends)))


def among_newest() -> Q:
    """The condition for changes whose keys are among the `WINDOW` latest ones."""
    return Q(pk__gt=Subquery(Change.objects.order_by("-pk").values("pk")[:1], BigIntegerField()) - Value(WINDOW))
