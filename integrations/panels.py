"""What the page of a change tells of its exchange, gathered with six queries whatever the number of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Case, CharField, Count, Exists, F, IntegerField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce, Concat
from django.utils import timezone

from changes.choices import CompletionCode
from changes.models import Change

from . import rules, wording
from .choices import SETTLED, Delivery, DeliveryStatus, Operation
from .models import ExternalReference, ExternalSystem, IncomingOperation, OutgoingOperation
from .outbox import Context, context_of
from .wording import State

LATEST = 50


def with_neighbours(operations: QuerySet[OutgoingOperation]) -> QuerySet[OutgoingOperation]:
    """Adds what an operation waits behind (`blocker`, as in `Assign 1`) and how many wait behind it (`behind`)."""
    same = OutgoingOperation.objects.filter(change=OuterRef("change"), system=OuterRef("system")).exclude(
        status__in=SETTLED
    )
    first = same.filter(sequence__lt=OuterRef("sequence")).order_by("sequence")
    name = Concat("operation", Value(" "), Cast("sequence", CharField()), output_field=CharField())
    behind = same.filter(sequence__gt=OuterRef("sequence")).order_by().values("change").annotate(n=Count("pk"))
    return operations.annotate(
        blocker=Coalesce(Subquery(first.annotate(name=name).values("name")[:1]), Value("")),
        behind=Coalesce(Subquery(behind.values("n")), Value(0)),
    ).select_related("system__control", "skipped_by")


@dataclass(frozen=True)
class OutgoingRow:
    """An outgoing operation with its state in words, and what a person may do with it now."""

    operation: OutgoingOperation
    state: State
    blocker: str
    behind: int

    @property
    def is_by_hand(self) -> bool:
        """Whether it waits or was refused, so that a person may skip it."""
        return self.operation.status in (DeliveryStatus.WAITING, DeliveryStatus.REFUSED)

    @property
    def can_retry(self) -> bool:
        """Whether trying it now would do something: it is its turn, and its system takes our calls."""
        system = self.operation.system
        return self.is_by_hand and not self.blocker and system.is_flowing and system.delivery == Delivery.PUSH

    @property
    def offers_all(self) -> bool:
        """Skipping an Assign that was never delivered offers to skip all that waits behind it."""
        return self.is_by_hand and self.operation.operation == Operation.ASSIGN and self.behind > 0


def outgoing_row(operation: Any, now: datetime | None = None) -> OutgoingRow:
    """The row of an operation that was read `with_neighbours()`."""
    state = wording.outgoing_state(operation, now or timezone.now(), operation.blocker)
    return OutgoingRow(operation, state, operation.blocker, operation.behind)


@dataclass(frozen=True)
class IncomingRow:
    operation: IncomingOperation
    state: State


def incoming_row(operation: IncomingOperation) -> IncomingRow:
    return IncomingRow(operation, wording.incoming_state(operation.status, operation.error))


@dataclass
class Partner:
    """How the change stands with one system. `messages` say what needs saying, what needs a person first."""

    system: ExternalSystem
    reference: ExternalReference | None
    holds: bool
    headline: State
    messages: list[State] = field(default_factory=list)


@dataclass
class ChangeExchange:
    """Everything of the exchange that the page of one change shows."""

    partners: list[Partner]
    recipients: list[str]
    outgoing: list[OutgoingRow]
    incoming: list[IncomingRow]
    has_more: bool

    @property
    def references(self) -> list[ExternalReference]:
        return [partner.reference for partner in self.partners if partner.reference]

    @property
    def operations(self) -> list[OutgoingRow | IncomingRow]:
        """Both directions in one list, the newest first."""
        return sorted([*self.outgoing, *self.incoming], key=lambda row: row.operation.pk, reverse=True)


def exchange_of(change: Change) -> ChangeExchange:
    """The exchange of one change. Reads only; nothing is locked."""
    context = context_of(change)
    outgoing = [outgoing_row(operation) for operation in _outgoing(change)]
    incoming = list(change.incoming_operations.select_related("system", "user").order_by("-id")[: LATEST + 1])
    situation = context.situation
    names = {*situation.exchanges, *situation.referenced, *([situation.owner] if situation.owner else [])}
    systems = _systems(names, outgoing)
    return ChangeExchange(
        partners=[_partner(change, systems[name], context, outgoing) for name in sorted(names) if name in systems],
        recipients=[system for _, system in rules.on_added(situation)],
        outgoing=outgoing[:LATEST],
        incoming=[incoming_row(operation) for operation in incoming[:LATEST]],
        has_more=len(outgoing) > LATEST or len(incoming) > LATEST,
    )


def _outgoing(change: Change) -> QuerySet[OutgoingOperation]:
    """The latest operations, and before them those at the head of a queue, however old."""
    earlier = OutgoingOperation.objects.filter(
        change=OuterRef("change"), system=OuterRef("system"), sequence__lt=OuterRef("sequence")
    ).exclude(status__in=SETTLED)
    is_head = Case(
        When(status__in=SETTLED, then=Value(1)),
        When(Exists(earlier), then=Value(1)),
        default=Value(0),
        output_field=IntegerField(),
    )
    return with_neighbours(change.outgoing_operations.all()).order_by(is_head, F("id").desc())[: LATEST + 1]


def _systems(names: set[str], outgoing: list[OutgoingRow]) -> Mapping[str, ExternalSystem]:
    """With what controls their delivery: those of the operations have it already."""
    known = {row.operation.system.system_id: row.operation.system for row in outgoing}
    if missing := names - {*known}:
        others = ExternalSystem.objects.filter(system_id__in=missing).select_related("control")
        known |= {system.system_id: system for system in others}
    return known


# --- In plain words ---


def _partner(change: Change, system: ExternalSystem, context: Context, outgoing: list[OutgoingRow]) -> Partner:
    name = system.system_id
    holds = context.situation.owner == name
    exchange = context.situation.exchange(name)
    rows = [row for row in outgoing if row.operation.system_id == system.pk]
    messages = []
    if exchange.is_rejected and holds:
        messages.append(
            State(
                wording.BAD,
                "Needs another group",
                f"{name} rejected this change, but {change.owning_group} still owns it, and nothing more is sent. "
                "Give the change to another group.",
            )
        )
    if exchange.is_cancelled and not exchange.is_rejected and change.completion_code != CompletionCode.WITHDRAWN:
        messages.append(
            State(
                wording.WAIT,
                "Cancelled there",
                f"{name} was told Cancel, and still holds the change for cancelled. Clearing Withdrawn sends nothing, "
                f"and no Update follows a Cancel. To begin anew, take the change back and give it to {name} again.",
            )
        )
    on_the_way = _on_the_way(rows)
    messages += on_the_way
    flow = wording.system_state(system, timezone.now())
    if not on_the_way and flow.tone != wording.OK:
        messages.append(State(wording.WAIT, flow.short, flow.detail, flow.next_try_at))
    return Partner(system, context.references.get(name), holds, _headline(change, name, holds, exchange), messages)


def _headline(change: Change, name: str, holds: bool, exchange: rules.ExchangeState) -> State:
    if exchange.is_rejected:
        return State(wording.BAD, "Rejected", f"{name} rejected this change.")
    if exchange.is_cancelled:
        return State(wording.IDLE, "Cancelled", f"{name} was told that this change is cancelled.")
    if holds:
        return State(wording.OK, "Holds it", f"{name} holds this change, through {change.owning_group}.")
    return State(wording.IDLE, "Linked", f"{name} is linked: it is told of public comments, attachments and Cancel.")


def _on_the_way(rows: list[OutgoingRow]) -> list[State]:
    """What is stuck or on its way: the head of the queue speaks for those behind it."""
    head = next((row for row in rows if not row.operation.is_settled and not row.blocker), None)
    if head is None:
        return []
    operation = head.operation
    title = f"{operation.operation} {operation.sequence}"
    behind = f" {head.behind} more {'waits' if head.behind == 1 else 'wait'} behind it." if head.behind else ""
    if operation.status == DeliveryStatus.REFUSED:
        return [State(wording.BAD, f"{title} was refused", f"{head.state.detail}{behind}")]
    if operation.status == DeliveryStatus.SENDING:
        verb = "is being sent"
    elif wording.system_state(operation.system, timezone.now()).tone != wording.OK:
        verb = "waits"
    else:
        verb = "is delayed" if operation.tries else "is on its way"
    return [State(head.state.tone, f"{title} {verb}", f"{head.state.detail}{behind}", head.state.next_try_at)]
