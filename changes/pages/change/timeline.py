"""The timeline of a change: events of every kind, newest first, filtered by kind, with keyset paging.

A page takes one query for the keys, a UNION over the kinds, and one query for each loader. The number of queries does
not depend on the number of rows. Another app adds its own kinds with `offer()`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from django.db.models import CharField, F, QuerySet, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, LPad
from django.utils.translation import gettext_lazy as _

from changes.models import Change
from changes.queries.keyset import MOMENT, TEXT, Column, Order, Page, Place, page

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

PAGE_SIZE = 30
# The filter that shows every kind.
ALL = ""

Loaded = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of event. Its name has lower-case letters only, because databases sort other characters differently.

    `rows` returns the rows of a change. `moment` and `key` name their columns for the time and the key. `state` is
    what may still alter in a row, so that an open page notices it. `load` returns the items with these keys, by key;
    None if the `Timeline` gets a loader for this kind.
    """

    name: str
    template: str
    rows: Callable[[Change], QuerySet[Any, Any]]
    load: Callable[[Change, list[str]], Loaded] | None = None
    moment: str = "created_at"
    key: str = "pk"
    state: Combinable | None = None


@dataclass
class Show:
    """A filter of the timeline: its name in the address, its label, and the kinds that it shows."""

    name: str
    label: StrOrPromise
    kinds: list[Kind] = field(default_factory=list)


SHOWS: dict[str, Show] = {ALL: Show(ALL, _("Everything"))}


def offer(show: str, label: StrOrPromise, *kinds: Kind, in_all: bool = True) -> None:
    """Adds kinds under a new filter and, with `in_all`, to the filter for everything. See changes/extensions.py."""
    SHOWS[show] = Show(show, label, [*kinds])
    if in_all:
        everything = SHOWS[ALL].kinds
        everything[:] = [*(kind for kind in everything if kind.name not in {new.name for new in kinds}), *kinds]


# The newest first; at one moment, the kinds in reverse order of their names.
_ORDER = Order(
    (
        Column(F("event_moment"), MOMENT, attrgetter("moment")),
        Column(F("event_kind"), TEXT, attrgetter("kind")),
        Column(F("event_key"), TEXT, attrgetter("key")),
    ),
    is_descending=True,
)


@dataclass(frozen=True)
class Entry:
    """One event of the timeline: `item` is what its kind loads."""

    kind: str
    key: str
    moment: datetime
    template: str
    item: Any

    @property
    def anchor(self) -> str:
        return f"{self.kind}-{self.key.lstrip('0')}"


@dataclass(frozen=True)
class _Key:
    moment: datetime
    kind: str
    key: str
    state: str


class Timeline:
    """One page of a change's timeline. `show` is a filter of `SHOWS`; the page begins after the place `after`.

    `loaders` load kinds without a `load` of their own, so that one query can load several kinds.
    """

    def __init__(
        self,
        change: Change,
        show: str = ALL,
        after: str = "",
        loaders: Mapping[str, Callable[[list[str]], Loaded]] | None = None,
    ) -> None:
        self.change = change
        self.show = show if show in SHOWS else ALL
        self.after = _ORDER.read(after)
        self.loaders = loaders or {}

    @cached_property
    def _page(self) -> Page[_Key]:
        return page(_ORDER, self._load_keys, PAGE_SIZE, after=self.after)

    def _load_keys(self, order: Order, place: Place | None, limit: int) -> list[_Key]:
        first, *others = (order.beyond(_keys(kind, self.change), place) for kind in SHOWS[self.show].kinds)
        rows = first.union(*others, all=True) if others else first
        return [_Key(*row) for row in order.sorted(rows)[:limit]]

    @property
    def keys(self) -> list[_Key]:
        return self._page.rows

    def keys_of(self, kind: str) -> list[str]:
        return [key.key for key in self.keys if key.kind == kind]

    @property
    def place(self) -> str:
        """The place after which this page begins; "" for the newest."""
        return _ORDER.write(self.after) if self.after else ""

    @property
    def older(self) -> str:
        """The place after which the next page begins; "" if there is none."""
        return self._page.next

    @cached_property
    def stamp(self) -> str:
        """A hash that differs whenever anything on this page of the timeline differs."""
        seen = "\n".join([*(f"{_ORDER.write(_ORDER.place_of(key))} {key.state}" for key in self.keys), self.older])
        return hashlib.sha256(seen.encode()).hexdigest()[:16]

    @cached_property
    def entries(self) -> list[Entry]:
        kinds = {kind.name: kind for kind in SHOWS[self.show].kinds}
        loaded = {name: self._load(kind, keys) for name, kind in kinds.items() if (keys := self.keys_of(name))}
        return [
            Entry(key.kind, key.key, key.moment, kinds[key.kind].template, loaded[key.kind][key.key])
            for key in self.keys
            if key.key in loaded[key.kind]
        ]

    def _load(self, kind: Kind, keys: list[str]) -> Loaded:
        if kind.load is None:
            return self.loaders[kind.name](keys)
        return kind.load(self.change, keys)


def _keys(kind: Kind, change: Change) -> QuerySet[Any, Any]:
    """The keys of one kind: (moment, kind, key, state)."""
    rows = kind.rows(change).order_by()
    # Keys are compared as text, so numbers are padded to the same length. UUIDs have the same length already.
    text = Cast(kind.key, CharField())
    key = text if kind.rows(change).model._meta.pk.get_internal_type() == "UUIDField" else LPad(text, 20, Value("0"))
    return rows.annotate(
        event_moment=F(kind.moment),
        event_kind=Value(kind.name, CharField()),
        event_key=key,
        event_state=kind.state or Value("", TextField()),
    ).values_list("event_moment", "event_kind", "event_key", "event_state")
