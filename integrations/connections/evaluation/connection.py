"""A connection as it is after its document was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..templating.templates import Engine, Value, evaluated
from ..templating.values import Record, as_text
from .auth import Auth
from .shapes import PAUSE_ON, Inbox, Poll, Read, Step


@dataclass(frozen=True)
class Connection:
    """How to talk with one system. `outgoing` has the steps of the operations that the document names."""

    base_url: str
    auth: Auth
    engine: Engine = field(repr=False, compare=False)
    ca: Value = None
    pause_on: frozenset[int] = PAUSE_ON
    outgoing: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    poll: Poll | None = None
    inbox: Inbox | None = None
    read: Read | None = None
    secret_names: frozenset[str] = frozenset()

    def without_steps(self, operations: Iterable[str]) -> list[str]:
        """Those of the operations that the partner does not hear of."""
        return [operation for operation in operations if not self.outgoing.get(operation)]

    def ca_pem(self, secrets: Mapping[str, str]) -> str | None:
        """The certificates of the authority that signed the partner's certificate, if it is one of their own."""
        return as_text(evaluated(self.ca, {"secret": Record(secrets)}))
