"""The time that each hand-written SQL statement saves: its operation with the statement, and with the ORM instead."""

from __future__ import annotations

import json

from .figures import Figure
from .seeding import copy_ours, seed_operations
from .session import Session
from .stack import OURS
from .with_orm import CHANGES

_DATABASE = "measured"
_ROUNDS = 6
# Operations, each with a statement that it runs. A statement is only worth its SQL if it saves 5 % of its operation.
_PAIRS = (
    ("Create", "partner_of_token"),
    ("Create", "group_with_system"),
    ("Create", "write_recorded"),
    ("Create", "insert"),
    ("Create", "read"),
    ("comment", "token_with_user"),
    ("comment", "known_of"),
    ("comment", "write_recorded"),
    ("comment", "insert"),
    ("comment", "read"),
    ("comment", "prepared"),
    ("drain of one", "controls_of_due"),
    ("drain of one", "claim"),
    ("drain of one", "lock_exchanges"),
    ("drain of one", "lock_open"),
    ("drain of one", "references_of"),
    ("drain of one", "write_heard_of"),
    ("drain of one", "write_delivered"),
    ("drain of one", "lock_controls"),
    ("drain of one", "is_due"),
    ("drain of one", "read"),
    ("drain of one", "prepared"),
)


class HandMade:
    name = "statements"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seed = seed_operations(session.stack, session.partners, CHANGES, 0)
        self.figures = [
            Figure(f"{operation}: {statement} against what it replaces", "ms", 0.95, at_least=False)
            for operation, statement in _PAIRS
        ]

    def measure(self) -> None:
        stack, seed = self._session.stack, self._seed
        copy_ours(stack, seed, _DATABASE)
        # No worker runs: it would send the operations that the drains should send.
        wanted = {"tokens": seed.tokens, "pairs": _PAIRS, "rounds": _ROUNDS}
        printed = stack.run_module(
            "bench.with_orm", environment=stack.environment(OURS, _DATABASE), stdin=json.dumps(wanted)
        )
        for figure, (ours, with_orm) in zip(self.figures, json.loads(printed), strict=True):
            figure.add(ours, with_orm)
        stack.sink.take()
