"""The order in which operations are handed out to a partner that collects them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Func, IntegerField, Q, QuerySet
from django.db.models.functions import Coalesce

from integrations.choices import DeliveryStatus
from integrations.models import OutgoingOperation

# Of one call, far more than it can hand out: thousands may wait in one exchange.
_MOST_LOOKED_AT = 50_000


# Bytes of payloads in one answer. One operation is handed out whatever its size.
MOST_BYTES = 4 * 1024 * 1024


class Place(NamedTuple):
    """An operation that may be handed out."""

    operation: UUID
    exchange: int


class _Bytes(Func):
    """The size of a text in bytes, without reading a large one from where PostgreSQL keeps it."""

    function = "octet_length"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="length(CAST(%(expressions)s AS BLOB))", **context)


def open_to(system: int, own: Q, held: Q) -> QuerySet[OutgoingOperation]:
    """The unsettled operations of a system that satisfy `own`.

    Without those of an exchange in which one satisfies `held`, or was refused.
    """
    of_system = OutgoingOperation.objects.filter(system=system).order_by()
    # Sets that are made once, not looked up for each row.
    refused = of_system.filter(status=DeliveryStatus.REFUSED)
    return (
        OutgoingOperation.objects.unsettled()
        .filter(own, system=system)
        .exclude(exchange__in=of_system.filter(held).values("exchange"))
        .exclude(exchange__in=refused.values("exchange"))
    )


def in_order(operations: QuerySet[OutgoingOperation], skip: int, size: int) -> list[Place]:
    """So many of these operations, oldest first, and those of one exchange by their `sequence`.

    Their times may contradict the sequence, if the clock was set back: an exchange then gets
    the turns of its operations, and takes them in the order of the sequence.
    """
    turns = list(operations.order_by("created_at", "id").values_list("exchange_id", flat=True)[: skip + size])
    next_of = _by_exchange(operations, {*turns[skip:]})
    taken = Counter(turns[:skip])
    places = []
    for exchange in turns[skip:]:
        place, taken[exchange] = taken[exchange], taken[exchange] + 1
        if place < len(next_of[exchange]):
            places.append(next_of[exchange][place])
    return places


def _by_exchange(operations: QuerySet[OutgoingOperation], exchanges: set[int]) -> dict[int, list[Place]]:
    """The operations of these exchanges, by `sequence`."""
    rows = operations.filter(exchange__in=exchanges).order_by("exchange_id", "sequence")
    found = defaultdict(list)
    for pk, exchange in rows.values_list("pk", "exchange_id")[:_MOST_LOOKED_AT]:
        found[exchange].append(Place(pk, exchange))
    return found


def within_bytes(operations: Sequence[UUID]) -> list[UUID]:
    """The first of these operations whose payloads have at most `MOST_BYTES` together, and one in any case."""
    size_of, size = sizes(operations), 0
    for place, operation in enumerate(operations):
        size += size_of.get(operation, 0)
        if place and size > MOST_BYTES:
            return list(operations[:place])
    return list(operations)


def sizes(operations: Collection[UUID]) -> dict[UUID, int]:
    """The bytes of the payload of each of these operations."""
    size = _Bytes("payload") + Coalesce(_Bytes("snapshot_of__payload"), 0)
    return dict(OutgoingOperation.objects.filter(pk__in=operations).values_list("pk", size))
