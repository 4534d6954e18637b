"""The exchange as the page of a change shows it, read with five queries for any number of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from changes.choices import CompletionCode, Visibility
from changes.models import Change
from integrations import rules
from integrations.choices import DeliveryStatus, IncomingStatus, Operation
from integrations.models import ExternalReference, ExternalSystem, IncomingOperation, OutgoingOperation
from integrations.outgoing.preview import Reading
from integrations.standing import wording
from integrations.standing.flow import flow_of
from integrations.standing.state import WAIT, State

# Attribute of a change: its `ChangeExchange`, once read.
_READ = "_exchange_read"


@dataclass(frozen=True)
class OutgoingRow:
    """An outgoing operation with its state in words, and what a person may do with it now."""

    operation: OutgoingOperation
    state: State
    blocker: str
    behind: int

    @property
    def may_be_skipped(self) -> bool:
        """Whether a person may skip it: it waits or was refused, or its partner has collected it."""
        is_out = self.operation.status == DeliveryStatus.SENDING and self.operation.system.collects
        return is_out or self.operation.status in (DeliveryStatus.WAITING, DeliveryStatus.REFUSED)

    @property
    def can_retry(self) -> bool:
        """Whether retrying it now has an effect: it is the next one, and its system is not stopped.

        What waits for a partner that collects can be had already.
        """
        system = self.operation.system
        if system.collects and self.operation.status != DeliveryStatus.REFUSED:
            return False
        return self.may_be_skipped and not self.blocker and not flow_of(system, timezone.now()).is_stopped

    @property
    def offers_all(self) -> bool:
        """Whether skipping it should offer to skip all that wait behind it, as for an Assign that was not delivered."""
        return self.may_be_skipped and self.operation.operation == Operation.ASSIGN and self.behind > 0


def outgoing_row(operation: Any, now: datetime | None = None) -> OutgoingRow:
    """The row of an operation that was read by `with_neighbours()`."""
    state = wording.outgoing_state(operation, now or timezone.now(), operation.blocker)
    return OutgoingRow(operation, state, operation.blocker, operation.behind)


@dataclass(frozen=True)
class IncomingRow:
    operation: IncomingOperation
    state: State


def incoming_row(operation: IncomingOperation) -> IncomingRow:
    return IncomingRow(operation, wording.incoming_state(operation))


# --- The exchange of one change ---


@dataclass(frozen=True)
class Said:
    """The latest operation that a partner sent, with its last public comment, "" if it has none."""

    operation: IncomingOperation
    comment: str = ""


@dataclass
class Partner:
    """The state of the change with one system.

    `messages`: further states to show, those that need a person first. `holds`: a group of the system owns the change.
    `head`: the first unsettled operation, for which the others wait. `told`: the last delivered one.
    """

    system: ExternalSystem
    reference: ExternalReference | None
    holds: bool
    headline: State
    messages: list[State] = field(default_factory=list)
    head: OutgoingRow | None = None
    told: OutgoingOperation | None = None
    said: Said | None = None

    @property
    def summary(self) -> str:
        """The text that a screen reader announces when it changes. It has no numbers that change by themselves."""
        return " ".join([f"{self.system.system_id}: {self.headline.short}.", *(f"{m.short}." for m in self.messages)])


@dataclass
class ChangeExchange:
    """Everything of the exchange that the page of one change shows."""

    change: Change
    reading: Reading
    partners: list[Partner]

    @property
    def recipients(self) -> list[str]:
        """The systems that would get a public comment or an attachment now."""
        return [system for _operation, system in rules.on_added(self.reading.situation(self.change))]

    @property
    def references(self) -> list[ExternalReference]:
        return [partner.reference for partner in self.partners if partner.reference]

    @property
    def summary(self) -> str:
        return " ".join(partner.summary for partner in self.partners)

    @cached_property
    def version(self) -> str:
        """A version of what is shown. Its part before the first dot changes only if `summary` does.

        It also changes every minute, since the page shows ages such as "3 minutes ago".
        """
        shown = [self.summary, *self.recipients, *(_shown(partner) for partner in self.partners)]
        minute = int(self.reading.now.timestamp() // 60)
        summary, everything = (hashlib.sha256(text.encode()).hexdigest()[:12] for text in (shown[0], "\n".join(shown)))
        return f"{summary}.{everything}.{self.change.owning_group_id}.{minute}"


def _shown(partner: Partner) -> str:
    head = partner.head and (
        partner.head.state,
        partner.head.behind,
        partner.head.can_retry,
        partner.head.may_be_skipped,
    )
    reference = partner.reference and (partner.reference.external_id, partner.reference.updated_at)
    return repr((partner.headline, partner.messages, head, reference, partner.said, partner.told))


def already_read(change: Change) -> ChangeExchange | None:
    """The exchange of this change if the page has read it already, else None."""
    return getattr(change, _READ, None)


def exchange_of(change: Change) -> ChangeExchange:
    """The exchange of one change, read with five queries once per change object. Locks nothing."""
    exchange = already_read(change) or _read(change)
    setattr(change, _READ, exchange)
    return exchange


def _read(change: Change) -> ChangeExchange:
    reading = Reading([change])
    names = reading.known(change)
    exchanges = reading.exchanges.get(change.pk, {})
    operations = _heads_and_told(exchanges)
    said = _last_said(change, [reading.systems[name] for name in names])
    partners = [_partner(change, name, reading, operations.get(name, []), said.get(name)) for name in names]
    return ChangeExchange(change, reading, partners)


def _heads_and_told(exchanges: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The first unsettled and the last delivered operation of each exchange, by `system_id`. One query."""
    keys = [key for row in exchanges.values() for key in (row.head_id, row.told_id) if key]
    if not keys:
        return {}
    rows: Iterable[Any] = OutgoingOperation.objects.filter(pk__in=keys).with_neighbours().defer("payload")
    found: dict[str, list[Any]] = {}
    for operation in rows:
        found.setdefault(operation.system.system_id, []).append(operation)
    return found


def _last_said(change: Change, systems: list[ExternalSystem]) -> dict[str, Said]:
    """The latest operation of each system that was not ignored, by `system_id`. One query."""
    if not systems:
        return {}
    own = change.incoming_operations.exclude(status=IncomingStatus.IGNORED).filter(system=OuterRef("pk"))
    latest = own.order_by("-received_at", "-id").values("pk")[:1]
    by_system = ExternalSystem.objects.filter(pk__in=[system.pk for system in systems]).order_by()
    last = IncomingOperation.objects.filter(pk__in=by_system.annotate(said=Subquery(latest)).values("said"))
    known = {system.pk: system for system in systems}
    found: dict[str, Said] = {}
    rows: Iterable[Any] = last.defer("result")
    for row in rows:
        row.system = known[row.system_id]
        found[row.system.system_id] = Said(row, _comment_in(row.payload))
    return found


def _comment_in(payload: object) -> str:
    """The last public comment in a payload, "" if none. The payload is not validated: a partner may send anything."""
    # The names of our API, and those of an SMAX adapter.
    for comments, body, kind in (("comments", "body", "visibility"), ("Comments", "Body", "PrivacyType")):
        sent = payload.get(comments) if isinstance(payload, dict) else None
        for comment in reversed(sent if isinstance(sent, list) else []):
            visibility = (comment.get(kind) or Visibility.PUBLIC) if isinstance(comment, dict) else None
            if str(visibility).lower() == Visibility.PUBLIC:
                return str(comment.get(body, ""))
    return ""


# --- One partner ---


def _partner(change: Change, name: str, reading: Reading, operations: list[Any], said: Said | None) -> Partner:
    system, now = reading.systems[name], reading.now
    situation = reading.situation(change)
    exchange, holds = situation.exchange(name), situation.owner == name
    head = next((outgoing_row(row, now) for row in operations if not row.is_settled), None)
    told = next((row for row in operations if row.status == DeliveryStatus.DELIVERED), None)
    messages = []
    if exchange.is_rejected and holds:
        messages.append(wording.needs_another_group(name, change.owning_group))
    is_withdrawn = change.completion_code == CompletionCode.WITHDRAWN
    if exchange.is_cancelled and not exchange.is_rejected and not is_withdrawn:
        messages.append(wording.cancelled_there(name))
    if said is not None and said.operation.status == IncomingStatus.FAILED:
        messages.append(wording.failed_here(name, said.operation))
    if head is not None:
        messages.append(wording.on_the_way(head.operation, head.state, head.behind, now))
    else:
        flow = flow_of(system, now)
        if flow.is_holding:
            messages.append(State(WAIT, flow.word, flow.detail, flow.next_try_at))
    row = reading.exchanges.get(change.pk, {}).get(name)
    is_untold = holds and row is not None and row.skipped_assign
    headline = wording.standing(name, change.owning_group if holds else None, exchange, is_untold=is_untold)
    reference = reading.references.get(change.pk, {}).get(name)
    return Partner(system, reference, holds, headline, messages, head, told, said)
