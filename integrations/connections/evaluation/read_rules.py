"""A record of the partner's, read by its id for reconciliation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.transports.base import Response

from ..templating.templates import is_true
from .answers import names_of_answer
from .connection import Connection
from .conversation import Conversation, Verdict, text_of


class Reading(Conversation):
    """The steps of `read`. When all are done, `gone` and `status` say how the record is."""

    def __init__(self, connection: Connection, names: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        if connection.read is None:
            raise ValueError("this connection has no read")
        self._read = connection.read
        self._answer: Response | None = None
        self._begin(connection, connection.read.steps, names, secrets)

    def answered(self, response: Response) -> Verdict:
        self._answer = response
        return super().answered(response)

    @property
    def gone(self) -> bool:
        """Whether the partner has no such record any more. Raises EvaluationFailed."""
        return is_true(self._read.gone, self._names_now())

    @property
    def status(self) -> str | None:
        """The status of the record; None if it has none, or is gone. Raises EvaluationFailed."""
        if self.gone:
            return None
        return text_of(self._read.status, self._names_now(), "read.status") or None

    def _names_now(self) -> dict[str, Any]:
        return self.names | (names_of_answer(self._answer, "read") if self._answer else {})


def reading(connection: Connection, names: Mapping[str, Any], secrets: Mapping[str, str]) -> Reading:
    return Reading(connection, names, secrets)
