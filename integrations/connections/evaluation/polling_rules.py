"""How the partner's news is asked for, and what becomes of each entry. The engine that does it is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from changes.texts.timestamps import timestamp
from integrations.transports.base import Response
from integrations.transports.statuses import Outcome

from ..templating.faults import EvaluationFailed
from ..templating.templates import Value, evaluated, is_true
from ..templating.values import OMIT, as_text, plain, wrapped
from .answers import names_of_answer
from .calls import Call, Caller
from .connection import Connection
from .conversation import Conversation, Verdict, verdict_of_rules, verdict_of_status
from .operations import Operation, operation_from, operation_key
from .shapes import Poll

_LIST = "poll.list."


def _poll(connection: Connection) -> Poll:
    if connection.poll is None:
        raise ValueError("this connection has no poll")
    return connection.poll


def _listing(cursor: object, page: int) -> dict[str, Any]:
    return {"cursor": wrapped(cursor), "page": page, "omit": OMIT}


def list_call(
    connection: Connection,
    secrets: Mapping[str, str],
    cursor: object,
    page: int,
    now: datetime,
    use_overlap: bool,
) -> Call:
    """The call that lists what is new. `cursor`: None before the first poll. Raises EvaluationFailed."""
    poll = _poll(connection)
    if use_overlap and poll.overlap:
        cursor = _earlier(cursor, poll.overlap)
    names = {**_listing(cursor, page), "now": timestamp(now)}
    return Caller(connection.base_url, secrets).call(poll.listed.request, "list", names)


def _earlier(cursor: object, seconds: int) -> object:
    """A cursor that is a time, in the form that it has: a number of seconds, or a text."""
    if cursor is None or cursor == "":
        return cursor
    if isinstance(cursor, int | float) and not isinstance(cursor, bool):
        return cursor - seconds
    try:
        moment = datetime.fromisoformat(str(cursor)) - timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise EvaluationFailed("poll.overlap", "the cursor is no time, as in 2026-11-24T09:30:00Z") from None
    text = str(cursor)
    if len(text) == len("2026-11-24"):
        return moment.date().isoformat()
    moved = moment.isoformat(sep=text[10])
    return moved.replace("+00:00", "Z") if text.endswith("Z") else moved


def list_verdict(connection: Connection, response: Response, cursor: object = None, page: int = 0) -> Verdict:
    """What the answer to `list_call()` means. With the outcome None, `items_of()` has the items."""
    poll = _poll(connection)
    refused = verdict_of_status(response, poll.listed.expectation, connection.pause_on, _LIST)
    if refused:
        return refused
    try:
        names = _listing(cursor, page) | names_of_answer(response, "poll.list")
        return verdict_of_rules(poll.listed.expectation, names, _LIST) or Verdict(None)
    except EvaluationFailed as error:
        return Verdict(Outcome.REFUSED, str(error))


def items_of(connection: Connection, response: Response, cursor: object, page: int) -> list[Any]:
    """The items that an answer lists, in its order. Raises EvaluationFailed."""
    names = _listing(cursor, page) | names_of_answer(response, "poll.list")
    return _list(_poll(connection).listed.items, names, "poll.list.items")


def _list(template: Value, names: Mapping[str, Any], path: str) -> list[Any]:
    value = evaluated(template, names)
    if not isinstance(value, list):
        raise EvaluationFailed(path, "the value is no list")
    return value


def _scalar(template: Value, names: Mapping[str, Any], path: str) -> object:
    value = evaluated(template, names)
    if isinstance(value, list | dict | bool) or value is OMIT:
        raise EvaluationFailed(path, "the value is no text and no number")
    return value


def _names(item: object, steps: Mapping[str, Any] | None, **more: object) -> dict[str, Any]:
    known = {"item": item, "steps": steps or {}, **more}
    return {**{name: wrapped(value) for name, value in known.items()}, "omit": OMIT}


def cursor_of(connection: Connection, item: object, now: datetime) -> object:
    """The cursor behind this item: a text or a number. Raises EvaluationFailed."""
    return _scalar(_poll(connection).cursor, _names(item, None, now=timestamp(now)), "poll.cursor")


def cursor_behind(connection: Connection, response: Response, cursor: object, page: int, now: datetime) -> object:
    """The cursor behind this answer, where `list` has one: a text or a number. Raises EvaluationFailed."""
    names = _listing(cursor, page) | names_of_answer(response, "poll.list") | {"now": timestamp(now)}
    return _scalar(_poll(connection).listed.cursor, names, "poll.list.cursor")


def external_id_of(connection: Connection, item: object, steps: Mapping[str, Any] | None = None) -> str:
    """The id of the partner's record that the item is about. Raises EvaluationFailed, also if there is none."""
    path = "poll.external_id"
    found = as_text(_scalar(_poll(connection).external_id, _names(item, steps), path))
    if not found:
        raise EvaluationFailed(path, "the value is empty")
    return found


class ItemReading(Conversation):
    """The requests of `poll.read` for one item. When all are done, `steps` has what they saved."""

    def __init__(
        self, connection: Connection, item: object, cursor: object, known: bool, secrets: Mapping[str, str]
    ) -> None:
        names = {"item": item, "cursor": cursor, "known": known}
        self._begin(connection, _poll(connection).read, names, secrets)

    @property
    def steps(self) -> dict[str, Any]:
        return {name: plain(saved) for name, saved in self._saved.items()}


class Acknowledging(Conversation):
    """The requests of `poll.acknowledge` for one item of which all entries are done. `names`: what they know."""

    def __init__(
        self, connection: Connection, saved: Mapping[str, Any], names: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> None:
        self._begin(connection, _poll(connection).acknowledge, names, secrets)
        self._saved = {name: wrapped(values) for name, values in saved.items()}


def entries_of(
    connection: Connection,
    item: object,
    steps: Mapping[str, Any] | None = None,
    *,
    known: bool = False,
    cursor: object = None,
) -> Sequence[Any]:
    """What is new in an item: the item itself unless the document says more. Raises EvaluationFailed."""
    template = _poll(connection).entries
    if template is None:
        return [item]
    return _list(template, _names(item, steps, known=known, cursor=cursor), "poll.entries")


def is_skipped(
    connection: Connection,
    item: object,
    entry: object,
    steps: Mapping[str, Any] | None,
    known: bool,
    *,
    cursor: object = None,
) -> bool:
    """Whether nothing becomes of an entry: what we did ourselves, private notes. Raises EvaluationFailed."""
    return is_true(_poll(connection).skip_if, _names(item, steps, entry=entry, known=known, cursor=cursor))


def key_of(
    connection: Connection,
    item: object,
    entry: object,
    steps: Mapping[str, Any] | None,
    known: bool,
    external_id: str,
    *,
    cursor: object = None,
) -> str | None:
    """The key of an entry; None if it has none. One that is skipped may have no value for it."""
    names = _names(item, steps, entry=entry, known=known, external_id=external_id, cursor=cursor)
    try:
        return operation_key(_poll(connection).operation, names)
    except EvaluationFailed:
        return None  # `operation_of()` says why


def operation_of(
    connection: Connection,
    item: object,
    entry: object,
    steps: Mapping[str, Any] | None,
    known: bool,
    external_id: str,
    *,
    cursor: object = None,
) -> Operation:
    """What becomes of an entry: its key, and the body of the operation. Raises EvaluationFailed."""
    names = _names(item, steps, entry=entry, known=known, external_id=external_id, cursor=cursor)
    return operation_from(_poll(connection).operation, names)
