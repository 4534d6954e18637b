"""What a save, a comment or an attachment would send. Uses the same `rules` and `payloads` as the real thing.

`Reading` fetches what the exchange knows of any number of changes with three queries; the rest is computed. Nothing is
locked or written. The save itself decides again, under the change's lock, what is sent.

    reading = Reading([change], groups=[group.pk])
    preview = reading.of_save(change, draft_of(change, owning_group=group))
    [(planned.operation, planned.system.system_id) for planned in preview.planned]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from changes import audit
from changes.choices import CompletionCode
from changes.models import Attachment, Change, Comment, FieldChange
from integrations import rules
from integrations.choices import DeliveryStatus, Operation
from integrations.models import Exchange, ExternalGroup, ExternalReference, ExternalSystem, OutgoingOperation
from integrations.querysets import operation_name
from integrations.standing import wording
from integrations.standing.state import State

from . import payloads


@dataclass(frozen=True)
class Planned:
    """One operation that would be recorded. `state` says when it would be sent, or why it would wait."""

    operation: Operation
    system: ExternalSystem
    state: State
    change: Change
    reference: ExternalReference | None = None
    changed: Mapping[str, FieldChange] = field(default_factory=dict)
    comment: Comment | None = None
    attachment: Attachment | None = None

    @property
    def system_id(self) -> str:
        return self.system.system_id

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The payload that would be recorded, without the ids and times that only the save assigns."""
        references = [self.reference] if self.reference else []
        changed = payloads.changed_fields(self.changed)
        return payloads.operation(self.change, references, changed, self.comment, self.attachment, settings.BASE_URL)

    @property
    def edits(self) -> list[audit.Edit]:
        """The changed fields that it names, with labels for people."""
        return edits_of(self.changed)


@dataclass(frozen=True)
class Silent:
    """A partner that has to do with the change but would be sent nothing, and the reason for people."""

    system_id: str
    why: str


@dataclass(frozen=True)
class Preview:
    """`planned`: the operations in the order of recording. `silent`: partners that would be sent nothing.
    `notes`: texts about what stays here."""

    planned: list[Planned] = field(default_factory=list)
    silent: list[Silent] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def operations(self) -> list[tuple[str, str]]:
        """The planned operations as pairs of operation and `system_id`."""
        return [(planned.operation.value, planned.system_id) for planned in self.planned]


def edits_of(changed: Mapping[str, FieldChange]) -> list[audit.Edit]:
    def word(value: Any) -> Any:
        return value if isinstance(value, datetime) else str(value)

    return [
        audit.Edit(name, audit.label(name), word(audit.in_word(name, edit.old)), word(audit.in_word(name, edit.new)))
        for name, edit in changed.items()
    ]


def draft_of(change: Change, **values: Any) -> Change:
    """A copy of the change with these values set, as a save would have it. `change` stays as it is.

    A value for `phase` makes the transition, after the others are set. This raises NoTransition or ConditionsUnmet.
    """
    draft = copy(change)
    target = values.pop("phase", None)
    for name, value in values.items():
        setattr(draft, name, value)
    if target is not None and target != draft.phase:
        draft.move_to(target)
    return draft


class Reading:
    """What the exchange knows of these changes now. `groups`: keys of further groups that may become owners."""

    def __init__(self, changes: Iterable[Change], groups: Iterable[int | None] = ()) -> None:
        changes = list(changes)
        keys = [change.pk for change in changes if change.pk is not None]
        self.now = timezone.now()
        self.groups = {*groups, *(change.owning_group_id for change in changes)} - {None}
        self.exchanges: dict[int, dict[str, Any]] = {}
        self.references: dict[int, dict[str, ExternalReference]] = {}
        self.owners: dict[int, str] = {}
        self.systems: dict[str, ExternalSystem] = {}
        for exchange in _with_head(Exchange.objects.filter(change__in=keys).with_control()) if keys else ():
            self.exchanges.setdefault(exchange.change_id, {})[self._seen(exchange)] = exchange
        for reference in ExternalReference.objects.filter(change__in=keys).with_control() if keys else ():
            self.references.setdefault(reference.change_id, {})[self._seen(reference)] = reference
        for external in ExternalGroup.objects.filter(group__in=self.groups).with_control() if self.groups else ():
            self.owners[external.group_id] = self._seen(external)

    def _seen(self, row: Any) -> str:
        system = self.systems.setdefault(row.system.system_id, row.system)
        row.system = system
        return system.system_id

    def owner_of(self, change: Change) -> str | None:
        """The `system_id` of the owning group's system, None for a group of ours or none.

        Raises LookupError if the group was neither an owner nor in `groups` when this was read.
        """
        if change.owning_group_id is None:
            return None
        if change.owning_group_id not in self.groups:
            raise LookupError(f"Group {change.owning_group_id} was not read.")
        return self.owners.get(change.owning_group_id)

    def situation(self, change: Change) -> rules.Situation:
        """The situation of the change as it is in memory."""
        references, exchanges = self.references.get(change.pk, {}), self.exchanges.get(change.pk, {})
        return rules.Situation.of(self.owner_of(change), references, exchanges)

    def known(self, change: Change) -> list[str]:
        """The names of all systems that have to do with the change, including those that rejected it, sorted."""
        return _known(self.situation(change))

    # --- What would be recorded ---

    def of_save(self, stored: Change | None, draft: Change) -> Preview:
        """Previews a save of `draft` over `stored` (None for a new change). Sets the priority of `draft`."""
        changed = draft.differences_from(stored)
        situation = self.situation(draft)
        before = self.owner_of(stored) if stored else None
        generated = rules.on_saved(before, rules.is_withdrawn_by(changed), situation)
        as_saved = copy(draft)
        if stored is None:
            as_saved.number = None  # the database gives it
        elif changed:
            as_saved.version = stored.version + 1
        planned = [self._planned(as_saved, *each, changed=changed) for each in generated]
        return Preview(planned, self._unsaid_of_save(changed, before, situation, generated), _notes(changed, planned))

    def of_comment(self, change: Change, comment: Comment) -> Preview:
        """Previews a new comment, public or private. A comment without a time gets that of this reading."""
        situation = self.situation(change)
        if comment.is_private:
            return Preview(notes=[wording.private_stays()])
        comment = copy(comment)
        comment.created_at = comment.created_at or self.now
        return self._of_addition(change, situation, comment=comment)

    def of_attachment(self, change: Change, attachment: Attachment) -> Preview:
        """Previews a new attachment. Attachments are never private."""
        return self._of_addition(change, self.situation(change), attachment=attachment)

    def _of_addition(self, change: Change, situation: rules.Situation, **added: Any) -> Preview:
        generated = rules.on_added(situation)
        silent = []
        for name in _known(situation):
            exchange = situation.exchange(name)
            if exchange.is_rejected:
                silent.append(Silent(name, wording.unsaid_rejected(name, situation.owner == name)))
            elif exchange.is_cancelled:
                silent.append(Silent(name, wording.unsaid_after_cancel(name)))
        return Preview([self._planned(change, *each, **added) for each in generated], silent)

    def _planned(self, change: Change, operation: Operation, name: str, **said: Any) -> Planned:
        exchange = self.exchanges.get(change.pk, {}).get(name)
        head, head_status = (exchange.head, exchange.head_status) if exchange else ("", None)
        system = self.systems[name]
        state = wording.planned_state(system, self.now, head or "", head_status == DeliveryStatus.REFUSED)
        reference = self.references.get(change.pk, {}).get(name)
        return Planned(operation, system, state, change, reference, **said)

    def _unsaid_of_save(
        self,
        changed: Mapping[str, FieldChange],
        before: str | None,
        situation: rules.Situation,
        generated: rules.Generated,
    ) -> list[Silent]:
        """Partners that one would expect to be sent something, but that are not, each with the reason."""
        code = changed.get("completion_code", FieldChange(None, None))
        withdrawn, cleared = (value == CompletionCode.WITHDRAWN for value in (code.new, code.old))
        told = {name for _, name in generated}
        assigned = {name for operation, name in generated if operation == Operation.ASSIGN}
        silent = []
        for name in sorted({*_known(situation), *([before] if before else [])}):
            exchange = situation.exchange(name)
            if cleared and exchange.is_cancelled and not exchange.is_rejected and name not in assigned:
                silent.append(Silent(name, wording.unsaid_clearing(name)))
            elif name in told:
                continue
            elif exchange.is_rejected:
                if withdrawn or name in (before, situation.owner):
                    silent.append(Silent(name, wording.unsaid_rejected(name, situation.owner == name)))
            elif changed and exchange.is_cancelled:
                silent.append(Silent(name, wording.unsaid_cancelled(name)))
            elif "owning_group" in changed and before == situation.owner == name:
                silent.append(Silent(name, wording.unsaid_same_system(name)))
            elif changed and situation.is_linked(name):
                silent.append(Silent(name, wording.unsaid_fields(name)))
        return silent


def _notes(changed: Mapping[str, FieldChange], planned: list[Planned]) -> list[str]:
    return [wording.not_sent_along()] if planned and changed else []


def _known(situation: rules.Situation) -> list[str]:
    """The names of all systems that have to do with the change, including those that rejected it, sorted."""
    owner = [situation.owner] if situation.owner else []
    return sorted({*situation.exchanges, *situation.referenced, *owner})


def _with_head(exchanges: QuerySet[Exchange]) -> QuerySet[Any]:
    """Adds each exchange's first unsettled operation, as `head` (its name, such as `Assign 1`), `head_id` and
    `head_status`, its last delivered one, as `told_id`, and as `skipped_assign` whether its latest Assign was skipped.

    Only keys are added: filtering on these subqueries would read all operations.
    """
    delivered = OutgoingOperation.objects.filter(status=DeliveryStatus.DELIVERED, exchange=OuterRef("pk"))
    unsettled = OutgoingOperation.objects.unsettled().filter(exchange=OuterRef("pk")).order_by("sequence")
    skipped = OutgoingOperation.objects.filter(status=DeliveryStatus.SKIPPED, exchange=OuterRef("pk"))
    return exchanges.annotate(
        head=Subquery(unsettled.annotate(name=operation_name()).values("name")[:1]),
        head_id=Subquery(unsettled.values("pk")[:1]),
        told_id=Subquery(delivered.order_by("-sequence").values("pk")[:1]),
        head_status=Subquery(unsettled.values("status")[:1]),
        skipped_assign=Exists(skipped.filter(sequence=OuterRef("assigned_sequence"))),
    )
