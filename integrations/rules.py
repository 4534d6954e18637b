"""Which operations follow from what happened on a change. Pure: no database, no clock, no settings.

The rules are those of the case exchange contract in docs/rules.md. Each function names the rules it implements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .choices import Operation

WITHDRAWN = "Withdrawn"
# Why an operation was skipped that its partner no longer wants. Pages translate it.
REJECTED_SINCE = "The partner rejected the change."


@dataclass(frozen=True)
class ExchangeState:
    """The state of the exchange of one change with one system.

    The numbers are positions in the outgoing sequence of this change and system. Comparing them needs no clock: an
    `Assign` came after a `Reject` if its sequence is higher than the last sequence at the time of the Reject.
    """

    last_sequence: int = 0
    assigned_sequence: int | None = None
    cancelled_sequence: int | None = None
    rejected_at_sequence: int | None = None

    @property
    def is_assigned(self) -> bool:
        """Whether an Assign was recorded (delivered or not) and no Reject came since."""
        return self.assigned_sequence is not None and self.assigned_sequence > _or(self.rejected_at_sequence, -1)

    @property
    def is_rejected(self) -> bool:
        """Whether the partner rejected the change and no Assign was recorded since."""
        return self.rejected_at_sequence is not None and not self.is_assigned

    @property
    def is_cancelled(self) -> bool:
        """Whether a Cancel was recorded and no Assign since."""
        return self.cancelled_sequence is not None and self.cancelled_sequence > _or(self.assigned_sequence, 0)

    def after(self, operation: Operation) -> ExchangeState:
        """The state after recording this outgoing operation."""
        sequence = self.last_sequence + 1
        if operation == Operation.ASSIGN:
            return replace(self, last_sequence=sequence, assigned_sequence=sequence)
        if operation == Operation.CANCEL:
            return replace(self, last_sequence=sequence, cancelled_sequence=sequence)
        return replace(self, last_sequence=sequence)

    def after_reject(self) -> ExchangeState:
        """The state after a Reject by the partner."""
        return replace(self, rejected_at_sequence=self.last_sequence)

    def was_sent_before_reject(self, sequence: int) -> bool:
        """Whether the partner rejected the change after the operation with this sequence was recorded."""
        return self.rejected_at_sequence is not None and sequence <= self.rejected_at_sequence


def _or(number: int | None, default: int) -> int:
    return default if number is None else number


class Pair(Protocol):
    """A change and a system, with the state of their exchange."""

    @property
    def state(self) -> ExchangeState: ...


@dataclass(frozen=True)
class Situation:
    """What the rules need to know of a change after a save. Systems are named by their `system_id`.

    `owner`: the system of the owning group, None if the group is ours or there is none.
    `referenced`: the systems to which the change has an external reference.
    `cause`: the system whose incoming operation made the save; nothing is sent back to it (rule 4). None for a person.
    """

    owner: str | None = None
    referenced: frozenset[str] = frozenset()
    exchanges: Mapping[str, ExchangeState] = field(default_factory=dict)
    cause: str | None = None

    @classmethod
    def of(
        cls, owner: str | None, references: Iterable[str], exchanges: Mapping[str, Pair], cause: str | None = None
    ) -> Situation:
        """Builds the situation from the systems of the change's references and from its exchanges by system."""
        states = {name: pair.state for name, pair in exchanges.items()}
        return cls(owner, frozenset(references), states, cause)

    def exchange(self, system: str) -> ExchangeState:
        return self.exchanges.get(system, ExchangeState())

    def is_linked(self, system: str) -> bool:
        """Whether the system's group owns the change, or a reference or an Assign links it, and no Reject came since.

        Section 3 of the contract.
        """
        exchange = self.exchange(system)
        if exchange.is_rejected:
            return False
        return system == self.owner or system in self.referenced or exchange.is_assigned

    def linked(self) -> list[str]:
        """The linked systems except the cause, sorted by name."""
        known = {*self.exchanges, *self.referenced, *([self.owner] if self.owner else [])}
        return sorted(system for system in known if system != self.cause and self.is_linked(system))

    def after(self, operation: Operation, system: str) -> Situation:
        return replace(self, exchanges={**self.exchanges, system: self.exchange(system).after(operation)})


Generated = list[tuple[Operation, str]]


def is_withdrawn_by(changed: Mapping[str, Any]) -> bool:
    """Whether a save with these field changes (each with `old` and `new`) sets the completion code to Withdrawn."""
    code = changed.get("completion_code")
    return code is not None and code.new == WITHDRAWN


def matters(changed: Mapping[str, Any]) -> bool:
    """Whether a save that changed these fields may generate any operation (rule 3)."""
    return "owning_group" in changed or is_withdrawn_by(changed)


def on_saved(before: str | None, withdrawn: bool, situation: Situation) -> Generated:
    """The operations of one save of a change, in order: Accept or Assign, then Cancel (rules 1, 3, 10).

    `before`: the system of the owning group before the save, None if the group was ours or there was none.
    `withdrawn`: whether the save set the completion code to Withdrawn.
    """
    generated: Generated = []
    after = situation.owner
    if before != after:
        if before and before != situation.cause and not situation.exchange(before).is_rejected:
            generated.append((Operation.ACCEPT, before))
        if after and after != situation.cause:
            generated.append((Operation.ASSIGN, after))
    for operation, system in generated:
        situation = situation.after(operation, system)
    if withdrawn:
        generated += [
            (Operation.CANCEL, system) for system in situation.linked() if not situation.exchange(system).is_cancelled
        ]
    return generated


def on_added(situation: Situation) -> Generated:
    """The operations of one new public comment or attachment (rules 2, 10).

    An Update to each linked system, except those to which a Cancel was sent since the last Assign.
    """
    return [(Operation.UPDATE, system) for system in situation.linked() if not situation.exchange(system).is_cancelled]
