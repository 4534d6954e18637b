"""Generates changes with everything that belongs to them. Each batch is committed on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from django.db import transaction
from django.utils import timezone

from changes.choices import Decision
from changes.models import Approval, Change, Comment
from integrations.models import DeliveryAttempt, Exchange, ExternalReference, IncomingOperation, OutgoingOperation

from .cast import Cast, gather
from .exchanges import Counters, Exchanges
from .lives import COLUMNS, Lives
from .tables import Table, quick, reserve, tidy
from .words import falling

_BATCH = 2_000
# The share of changes with a private comment, among those without an exchange.
_NOTED = 0.3
# The share of changes that the partner holds, among those with an exchange. The others were taken back.
_HELD = 0.6


@dataclass(frozen=True)
class Wanted:
    """How many changes and, in all, outgoing operations to generate.

    `partners`: system ids; if empty, ten new systems. `all_settled`: no operation waits or was refused. The same `seed`
    generates the same changes.
    """

    count: int
    operations: int
    partners: Sequence[str] = ()
    all_settled: bool = False
    seed: int = 1


def generate(wanted: Wanted, say: Callable[[str], None]) -> None:
    """Generates the changes and reports progress through `say`. Call outside a transaction."""
    cast = gather(wanted.partners)
    with quick():
        _Generator(wanted, cast).run(say)
        say("gathering statistics")
        written = (Change, Change.history.model, Comment, Approval, Exchange, ExternalReference)
        tidy((*written, IncomingOperation, OutgoingOperation, DeliveryAttempt))


class _Generator:
    def __init__(self, wanted: Wanted, cast: Cast) -> None:
        self._wanted, self._cast = wanted, cast
        self._chance = chance = Random(wanted.seed)
        now = timezone.now()
        self._lives = Lives(chance, wanted.count, now)
        # The most that can be needed: two comments per operation (ours and the partner's), and a note per change.
        comments = reserve(Comment, 2 * wanted.operations + wanted.count)
        counters = Counters(comments, reserve(Exchange, wanted.count))
        self._exchanges = Exchanges(chance, counters, now, wanted.all_settled)
        self._changes = Table(Change, *COLUMNS, "last_activity_at")
        recorded = ("history_date", "history_type", "history_user", "source_system")
        self._history = Table(Change.history.model, *COLUMNS, *recorded)
        self._approvals = Table(Approval, "change", "author", "created_at", "round", "decision")
        self._groups = falling([str(key) for key in cast.groups])
        self._given = 0

    def run(self, say: Callable[[str], None]) -> None:
        count = self._wanted.count
        first = reserve(Change, count)
        tables = (self._changes, self._history, self._approvals, *self._exchanges.tables)
        for begin in range(0, count, _BATCH):
            end = min(begin + _BATCH, count)
            for place in range(begin, end):
                self._add(place, first + place)
            with transaction.atomic():
                for table in tables:
                    table.write()
            if end * 10 // count > begin * 10 // count:
                say(f"{end:,} of {count:,} changes, {self._given:,} operations")

    def _add(self, place: int, pk: int) -> None:
        """Adds one change with everything that belongs to it."""
        chance, agents = self._chance, self._cast.agents
        count = self._operations(place)
        partner = chance.choice(self._cast.partners)
        is_held = count > 0 and chance.random() < _HELD
        group = chance.choice(partner.groups) if is_held else int(chance.choice(self._groups))
        author, requester = chance.choice(agents), chance.choice(agents)
        life = self._lives.life(place, pk, requester, group)
        self._changes.add(*life.row(), life.updated_at)
        self._history.add(*life.first_row(), life.created_at, "+", requester, None)
        self._history.add(*life.row(), life.updated_at, "~", author, None)
        if life.is_approved:
            approver = next(agent for agent in agents if agent != requester)
            self._approvals.add(pk, approver, life.created_at + timedelta(minutes=5), 1, Decision.APPROVED.value)
        if count:
            self._exchanges.add(life, partner, author, count)
        elif chance.random() < _NOTED:
            self._exchanges.note(life, author, life.updated_at)

    def _operations(self, place: int) -> int:
        """The number of operations of this change. Half of the changes have none; the total is as wanted."""
        due = self._wanted.operations * (place + 1) // self._wanted.count - self._given
        if place + 1 < self._wanted.count and self._chance.random() < 0.5:
            return 0
        self._given += due
        return due
