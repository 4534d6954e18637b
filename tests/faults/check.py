"""The check after every fault: see `assert_nothing_lost`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .stack import FaultStack

SECONDS = 60
SHOWN = 20

_OPERATIONS = """
    SELECT o.id::text, c.number, s.system_id, o.sequence, o.operation, o.status, o.tries, o.claim,
           o.next_try_at - now(), o.last_error,
           EXISTS (SELECT FROM integrations_deliveryattempt a WHERE a.operation_id = o.id AND a.http_status / 100 = 2)
    FROM integrations_outgoingoperation o
    JOIN changes_change c ON c.id = o.change_id
    JOIN integrations_externalsystem s ON s.id = o.system_id
    WHERE c.id > %(since)s
    ORDER BY c.id, s.system_id, o.sequence
"""


@dataclass(frozen=True)
class Recorded:
    """An outgoing operation as it is in the database."""

    id: str
    change: str
    system_id: str
    sequence: int
    operation: str
    status: str
    tries: int
    claim: int
    due_in: Any
    last_error: str
    has_good_attempt: bool

    def __str__(self) -> str:
        about = f"{self.change} {self.system_id} {self.sequence} {self.operation} {self.status} {self.id}"
        return f"{about} tries={self.tries} claim={self.claim} due in {self.due_in}: {self.last_error}"


def recorded(exchange: FaultStack, since: int) -> list[Recorded]:
    """The operations of all changes after the one with the id `since`."""
    return [Recorded(*row) for row in exchange.query(_OPERATIONS, since=since)]


def assert_nothing_lost(exchange: FaultStack, since: int, answered: Iterable[str] = ()) -> int:
    """Waits until everything is delivered, and compares the database with the messages that the partners received.

    Checks all changes after the one with the id `since`. The set of delivered operations is the set of committed ones.
    For each change and system, the order of first arrivals is the order of `sequence`. Every repeat has the same id
    and content. No row is still claimed. Each comment whose request succeeded exists exactly once. Returns the number
    of operations.
    """
    _wait_until_all_is_delivered(exchange, since)
    committed = recorded(exchange, since)
    _check_rows(exchange, since, committed)
    _check_arrivals(committed, exchange.simulator.get("/api/received").json())
    _check_comments(exchange, since, answered)
    return len(committed)


def _wait_until_all_is_delivered(exchange: FaultStack, since: int) -> None:
    def undelivered() -> list[Recorded]:
        return [row for row in recorded(exchange, since) if row.status != "Delivered"]

    left = undelivered()
    while left:
        # The total time is not limited, since the machine may be busy. The check fails only when deliveries stop.
        count = len(left)
        try:
            exchange.until("more is delivered", lambda count=count: len(undelivered()) < count, SECONDS)
        except TimeoutError:
            left = undelivered()
            raise AssertionError(f"{len(left)} are not delivered, and none for {SECONDS} s:\n{_lines(left)}") from None
        left = undelivered()


def _check_rows(exchange: FaultStack, since: int, committed: list[Recorded]) -> None:
    claimed = "SELECT count(*) FROM integrations_outgoingoperation WHERE claimed_until IS NOT NULL"
    assert exchange.query(claimed) == [(0,)], "an operation is left claimed"
    without = [row for row in committed if not row.has_good_attempt]
    assert not without, f"delivered, but without the attempt that did it:\n{_lines(without)}"
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in committed:
        numbers[row.change, row.system_id].append(row.sequence)
    gaps = {key: found for key, found in numbers.items() if found != [*range(1, len(found) + 1)]}
    assert not gaps, f"sequences with gaps: {gaps}"


def _check_arrivals(committed: list[Recorded], received: list[dict[str, Any]]) -> None:
    changes = {row.change for row in committed}
    arrivals = [message for message in received if message["change_number"] in changes]
    forged = [message["id"] for message in arrivals if message["signature"] != "valid"]
    assert not forged, f"not signed: {forged}"

    taken = {message["id"]: message for message in arrivals if message["taken"]}
    expected = {row.id: row for row in committed}
    lost = [row for row in committed if row.id not in taken]
    assert not lost, f"{len(lost)} are delivered by the database, but the partner never took them:\n{_lines(lost)}"
    unknown = [message for message in arrivals if message["id"] not in expected]
    assert not unknown, f"arrived, but never committed:\n{_lines(map(_arrival, unknown))}"

    wrong = [
        message
        for message in arrivals
        for row in [expected[message["id"]]]
        if (row.change, row.system_id, row.sequence, row.operation)
        != (message["change_number"], message["system_id"], message["sequence"], message["operation"])
    ]
    assert not wrong, f"arrived otherwise than committed:\n{_lines(map(_arrival, wrong))}"
    _check_repeats(arrivals)
    _check_order(arrivals)


def _check_repeats(arrivals: list[dict[str, Any]]) -> None:
    """A repeat has the same content, except the external reference, which is that of the time of sending."""
    first: dict[tuple[str, str, int], dict[str, Any]] = {}
    different = []
    for message in arrivals:
        key = (message["change_number"], message["system_id"], message["sequence"])
        known = first.setdefault(key, message)
        if _said(known) != _said(message):
            different += [known, message]
    assert not different, f"repeats that differ:\n{_lines(map(_arrival, different))}"


def _said(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message["body"].items() if name != "external_reference"}


def _check_order(arrivals: list[dict[str, Any]]) -> None:
    """No operation arrives, accepted or not, before all operations before it were accepted."""
    by_sequence: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for message in arrivals:
        by_sequence[message["change_number"], message["system_id"]].append(message)
    early = []
    for messages in by_sequence.values():
        taken: set[int] = set()
        for message in messages:
            if not taken >= {*range(1, message["sequence"])}:
                early.append(f"{_arrival(message)} (taken before it: {sorted(taken)})")
            if message["taken"]:
                taken.add(message["sequence"])
        firsts = [message["sequence"] for message in messages if message["taken"] and not message["repeat"]]
        assert all(before < after for before, after in pairwise(firsts)) or early
    assert not early, f"{len(early)} arrived too early:\n{_lines(early)}"


def _check_comments(exchange: FaultStack, since: int, answered: Iterable[str]) -> None:
    rows = exchange.query(
        "SELECT body, count(*) FROM changes_comment WHERE change_id > %(since)s GROUP BY 1", since=since
    )
    counts: dict[str, int] = dict(rows)
    missing = [text for text in answered if text not in counts]
    assert not missing, f"answered well, and not there:\n{_lines(missing)}"
    twice = [text for text in answered if counts[text] > 1]
    assert not twice, f"sent once, and there more often:\n{_lines(twice)}"


def _arrival(message: dict[str, Any]) -> str:
    about = f"{message['change_number']} {message['system_id']} {message['sequence']} {message['operation']}"
    return f"no. {message['number']} at {message['at']}: {about} {message['id']} answered {message['answered']}"


def _lines(items: Iterable[object]) -> str:
    found = [str(item) for item in items]
    more = [f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "\n".join(found[:SHOWN] + more)
