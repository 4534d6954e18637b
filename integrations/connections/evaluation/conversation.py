"""The calls that one operation becomes, one after the other, and what their answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from changes.texts.timestamps import timestamp
from integrations.transports.base import Response
from integrations.transports.statuses import Outcome, outcome_of

from ..templating.faults import EvaluationFailed
from ..templating.templates import Value, bounded_together, evaluated, is_true
from ..templating.values import OMIT, Record, Unusable, as_json, as_text, wrapped
from .answers import TOO_LONG, beginning, head_of_answer, names_of_answer
from .calls import Call, Caller
from .connection import Connection
from .shapes import Expectation, Step

REFERENCE = ("external_id", "external_url", "external_status")


@dataclass(frozen=True)
class Verdict:
    """What an answer means. `outcome`: None if the step succeeded, and the next call follows.

    `result`: what of the reference the step names. `is_remembered`: whether a repeat goes on behind this step, so that
    `Conversation.done` must be kept.
    """

    outcome: Outcome | None
    error: str = ""
    result: Mapping[str, str] = field(default_factory=dict)
    is_remembered: bool = False
    note: str = ""


def names_of(message: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The names that templates of `outgoing` know, from the message that a partner with `push` would get."""
    reference = message.get("external_reference") or {}
    return {
        **{name: message.get(name) for name in ("operation", "change", "comment", "attachment", "origin")},
        "changed_fields": message.get("changed_fields") or {},
        "operation_id": message.get("id"),
        "system": message.get("system_id"),
        "now": timestamp(now),
        **{name: reference.get(name) or None for name in REFERENCE},
    }


class Conversation:
    """Steps with what they remember. Knows neither clock, database nor network.

    Call `next_call()`, make the call, pass the answer to `answered()`; again, until there is no call or an outcome.
    """

    def __init__(
        self,
        connection: Connection,
        operation: str,
        names: Mapping[str, Any],
        secrets: Mapping[str, str],
        done: Mapping[str, Any] | None = None,
    ) -> None:
        self._begin(connection, connection.outgoing[operation], names, secrets, done)

    def _begin(
        self,
        connection: Connection,
        steps: Sequence[Step],
        names: Mapping[str, Any],
        secrets: Mapping[str, str],
        done: Mapping[str, Any] | None = None,
    ) -> None:
        self._connection, self._steps = connection, steps
        self._caller = Caller(connection.base_url, secrets)
        self._names: dict[str, Any] = {name: wrapped(value) for name, value in names.items()}
        self._saved: dict[str, object] = {}
        self._place = 0
        self.done: dict[str, Any] = dict(done or {})

    def next_call(self) -> Call | None:
        """The next call; None if all steps are done. Raises EvaluationFailed. Asked twice, it is the same call."""
        while self._place < len(self._steps):
            step = self._steps[self._place]
            if step.once and step.name in self.done:
                self._take(step, self.done[step.name])
            elif is_true(step.when, self.names):
                return self._caller.call(step.request, step.name, self.names)
            self._place += 1
        return None

    @bounded_together()
    def answered(self, response: Response) -> Verdict:
        """What the answer to the last call means."""
        step = self._steps[self._place]
        try:
            verdict = self._verdict(step, response)
        except EvaluationFailed as error:
            cause = "" if response.is_complete else f" ({TOO_LONG})"
            verdict = Verdict(Outcome.REFUSED, f"{error}{cause}")
        return replace(verdict, error=self._caller.hidden(verdict.error)) if verdict.error else verdict

    @property
    def names(self) -> dict[str, Any]:
        """What templates may name now."""
        return {**self._names, "steps": Record(self._saved), "omit": OMIT}

    def _verdict(self, step: Step, response: Response) -> Verdict:
        refused = verdict_of_status(response, step.expectation, self._connection.pause_on, step.path)
        if refused:
            return refused
        names = self.names
        if _reads_answer(step):
            # A step may do without the body of an answer that is too long.
            read = (
                names_of_answer(response, step.path.rstrip(": ")) if response.is_complete else head_of_answer(response)
            )
            names |= read
        refused = verdict_of_rules(step.expectation, names, step.path)
        if refused:
            return refused
        result = {}
        for key, template in step.result.items():
            text = text_of(template, names, f"{step.path}result.{key}")
            if text:
                result[key] = text
        remembered = {"result": result, "saved": _saved(step, names)}
        self._take(step, remembered)
        if step.once:
            self.done[step.name] = remembered
        self._place += 1
        return Verdict(None, result=result, is_remembered=step.once)

    def _take(self, step: Step, remembered: Mapping[str, Any]) -> None:
        """The steps behind this one know what it found."""
        self._names |= remembered.get("result", {})
        self._saved[step.name] = wrapped(remembered.get("saved", {}))


def _reads_answer(step: Step) -> bool:
    expectation = step.expectation
    return bool(step.result or step.save) or expectation.refuse_if is not False or expectation.retry_if is not False


def text_of(template: Value, names: Mapping[str, Any], path: str) -> str | None:
    """A text or the digits of a number; None for none and `omit`. Raises EvaluationFailed."""
    value = evaluated(template, names)
    if isinstance(value, bool):
        raise EvaluationFailed(path, "true or false is no text")
    try:
        return as_text(value)
    except Unusable as error:
        raise EvaluationFailed(path, str(error)) from None


# What one step may remember: it is stored with the operation, and read with each try.
MOST_SAVED = 64 * 1024


def _saved(step: Step, names: Mapping[str, Any]) -> dict[str, object]:
    found = {key: evaluated(template, names) for key, template in step.save.items()}
    kept = {key: value for key, value in found.items() if value is not OMIT}
    if kept and len(as_json(kept)) > MOST_SAVED:
        raise EvaluationFailed(f"{step.path}save", f"more than {MOST_SAVED} characters cannot be remembered")
    return kept


def verdict_of_status(
    response: Response, expectation: Expectation, pause_on: frozenset[int], path: str
) -> Verdict | None:
    """What the status alone decides; None if the answer is one that was expected."""
    status = response.status
    named = f"{path.rstrip(':. ')}: the partner answered {status}"
    if outcome_of(status) is Outcome.RETRY:
        return Verdict(Outcome.RETRY, named)
    if status in pause_on:
        return Verdict(Outcome.PAUSE, named)
    expected = expectation.statuses
    if (200 <= status < 300) if expected is None else status in expected:
        return None
    wanted = "a status from 200 to 299" if expected is None else ", ".join(map(str, sorted(expected)))
    quoted = beginning(response)
    return Verdict(Outcome.REFUSED, f"{named}, not {wanted}" + (f": {quoted}" if quoted else ""))


def verdict_of_rules(expectation: Expectation, names: Mapping[str, Any], path: str) -> Verdict | None:
    """What `refuse_if` and `retry_if` decide. Raises EvaluationFailed."""
    if is_true(expectation.refuse_if, names):
        return Verdict(Outcome.REFUSED, f"{path}refuse_if is true for the partner's answer")
    if is_true(expectation.retry_if, names):
        return Verdict(Outcome.RETRY, f"{path}retry_if is true for the partner's answer")
    return None
