"""What happened on a change, of every kind, in one timeline: the newest first, filtered by kind, paged by keyset.

A page takes one query for its keys, a UNION over the kinds, and one for each way to load them, whatever the number
of rows. Another app adds a kind of its own with `offer()`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db.models import CharField, F, Q, QuerySet, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, LPad
from django.utils.translation import gettext_lazy as _

from changes.models import Change

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

PAGE_SIZE = 30
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# The filter that shows every kind.
ALL = ""

Loaded = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of event. Names are lower-case letters only, so that every database sorts them alike.

    `rows`: those of a change. `moment`, `key`: their columns that say when, and which. `state`: what of a row may
    still alter, so that an open page notices. `load`: the items of a change with these keys, by key; None where who
    asks for the timeline brings it.
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
    """A filter of the timeline: its name in the address, its name for people, and the kinds that it shows."""

    name: str
    label: StrOrPromise
    kinds: list[Kind] = field(default_factory=list)


SHOWS: dict[str, Show] = {ALL: Show(ALL, _("Everything"))}


def offer(show: str, label: StrOrPromise, *kinds: Kind, in_all: bool = True) -> None:
    """Adds kinds under a filter of their own, and to everything. See changes/extensions.py."""
    SHOWS[show] = Show(show, label, [*kinds])
    if in_all:
        everything = SHOWS[ALL].kinds
        everything[:] = [*(kind for kind in everything if kind.name not in {new.name for new in kinds}), *kinds]


@dataclass(frozen=True)
class Cursor:
    """A place in the timeline. In the address: microseconds since 1970, kind, key."""

    moment: datetime
    kind: str
    key: str

    def __str__(self) -> str:
        return f"{(self.moment - EPOCH) // MICROSECOND}-{self.kind}-{self.key}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """None for what is no place: the timeline then begins with the newest."""
        number, _, rest = text.partition("-")
        kind, _, key = rest.partition("-")
        known = any(kind == other.name for other in SHOWS[ALL].kinds)
        if not (known and number.isascii() and number.isdigit() and len(number) < 18):
            return None
        if not (0 < len(key) <= 36 and key.isascii() and key.replace("-", "").isalnum()):
            return None
        return cls(EPOCH + int(number) * MICROSECOND, kind, key)


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

    @property
    def place(self) -> Cursor:
        return Cursor(self.moment, self.kind, self.key)


class Timeline:
    """One page of a change's timeline. `show` is a filter of `SHOWS`, `before` where the page begins.

    `loaders` load the kinds that have no `load` of their own, for who loads several kinds at once.
    """

    def __init__(
        self,
        change: Change,
        show: str = ALL,
        before: str = "",
        loaders: Mapping[str, Callable[[list[str]], Loaded]] | None = None,
    ) -> None:
        self.change = change
        self.show = show if show in SHOWS else ALL
        self.cursor = Cursor.parse(before)
        self.loaders = loaders or {}

    @cached_property
    def _found(self) -> list[_Key]:
        parts = [_keys(kind, self.change, self.cursor) for kind in SHOWS[self.show].kinds]
        first, *others = parts
        rows = first.union(*others, all=True) if others else first
        ordered = rows.order_by("-event_moment", "event_kind", "-event_key")
        return [_Key(*row) for row in ordered[: PAGE_SIZE + 1]]

    @property
    def keys(self) -> list[_Key]:
        return self._found[:PAGE_SIZE]

    def keys_of(self, kind: str) -> list[str]:
        return [key.key for key in self.keys if key.kind == kind]

    @property
    def older(self) -> str:
        """Where the next page begins; empty when there is none."""
        return str(self.keys[-1].place) if len(self._found) > PAGE_SIZE else ""

    @cached_property
    def stamp(self) -> str:
        """Differs when anything on this page of the timeline does."""
        seen = "\n".join(f"{key.place} {key.state}" for key in self._found)
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


def _keys(kind: Kind, change: Change, cursor: Cursor | None) -> QuerySet[Any, Any]:
    """The keys of one kind, older than the cursor: (moment, kind, key, state)."""
    rows = kind.rows(change).order_by()
    # Numbers of one length sort as text. UUIDs are longer, and of one length already.
    text = Cast(kind.key, CharField())
    key = text if kind.rows(change).model._meta.pk.get_internal_type() == "UUIDField" else LPad(text, 20, Value("0"))
    rows = rows.annotate(
        event_moment=F(kind.moment),
        event_kind=Value(kind.name, CharField()),
        event_key=key,
        event_state=kind.state or Value("", TextField()),
    )
    if cursor is not None:
        rows = rows.filter(_older(kind, cursor))
    return rows.values_list("event_moment", "event_kind", "event_key", "event_state")


def _older(kind: Kind, cursor: Cursor) -> Q:
    """The newest come first; at the same moment by kind, then the higher key."""
    if kind.name > cursor.kind:
        return Q(event_moment__lte=cursor.moment)
    older = Q(event_moment__lt=cursor.moment)
    if kind.name == cursor.kind:
        older |= Q(event_moment=cursor.moment, event_key__lt=cursor.key)
    return older
