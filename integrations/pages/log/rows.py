"""Operations as rows of a file for auditors: one row for each operation, and behind it one for each attempt to send it.

Neither payloads nor answers are in it: the page of an operation shows them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from uuid import UUID

from changes.pages.csv_file import cell
from integrations.models import DeliveryAttempt, IncomingOperation, OutgoingOperation

from .exchange_log import Log

Row = tuple[object, ...]
NAMES = (
    "number",
    "row",
    "direction",
    "at",
    "system_id",
    "user",
    "operation",
    "sequence",
    "status",
    "tries",
    "step",
    "http_status",
    "seconds",
    "outcome",
    "settled_at",
    "error",
    "operation_id",
    "idempotency_key",
)
OPERATION, ATTEMPT = "operation", "attempt"
# The outcome of an attempt without a failure, if nothing else is known of it.
SUCCEEDED = "succeeded"
# So many operations are read at once: each may have many attempts.
AT_ONCE = 200
_NOT_SHOWN = ("answer", "answer_headers", "request")

Attempts = dict[UUID, list[DeliveryAttempt]]


def attempts_of(operations: Collection[OutgoingOperation]) -> Attempts:
    """The attempts of these operations by their keys, the first one first. One query."""
    found: Attempts = defaultdict(list)
    wanted = DeliveryAttempt.objects.filter(operation__in=[operation.pk for operation in operations])
    for attempt in wanted.defer(*_NOT_SHOWN).order_by("started_at", "pk"):
        found[attempt.operation_id].append(attempt)
    return found


def outgoing_rows(operation: OutgoingOperation, number: str, attempts: Iterable[DeliveryAttempt]) -> Iterator[Row]:
    system, user = operation.system.system_id, operation.skipped_by
    named = (system, user.get_username() if user else "", operation.operation, operation.sequence)
    result = (operation.status, operation.tries, "", operation.last_http_status, None, "", operation.settled_at)
    error = operation.skip_reason or operation.last_error
    yield number, OPERATION, "out", operation.created_at, *named, *result, error, operation.pk, ""
    for attempt in attempts:
        # Whoever skipped the operation did not make the attempt.
        named = (system, "", operation.operation, operation.sequence)
        outcome = attempt.confirmation or attempt.failure or SUCCEEDED
        tried = ("", None, attempt.step, attempt.http_status, f"{attempt.duration:.3f}", outcome, None)
        error = attempt.error or attempt.note
        yield number, ATTEMPT, "out", attempt.started_at, *named, *tried, error, operation.pk, ""


def incoming_row(operation: IncomingOperation, number: str) -> Row:
    """`operation.system` and `operation.user` are loaded."""
    system = operation.system.system_id if operation.system else ""
    named = (system, operation.user.get_username(), operation.operation, None)
    result = (operation.status, None, "", operation.http_status, None, "", None)
    error, key = operation.error or operation.note, operation.idempotency_key
    return number, OPERATION, "in", operation.received_at, *named, *result, error, operation.pk, key


# --- The whole log ---


def portions(log: Log) -> Iterator[list[list[str]]]:
    """The cells of all that the log has, newest first, in portions."""
    read = _received if log.is_incoming else _sent
    for keys in log.portions(AT_ONCE):
        yield [[cell(value) for value in row] for row in read(keys)]


def _sent(keys: Sequence[UUID]) -> Iterator[Row]:
    found = OutgoingOperation.objects.filter(pk__in=keys).with_system("skipped_by", "change")
    operations = {operation.pk: operation for operation in found.defer("payload", "change__description")}
    attempts = attempts_of([*operations.values()])
    for operation in (operations[key] for key in keys if key in operations):
        yield from outgoing_rows(operation, operation.change.number, attempts.get(operation.pk, ()))


def _received(keys: Sequence[UUID]) -> Iterator[Row]:
    found = IncomingOperation.objects.filter(pk__in=keys).with_system("user", "change")
    operations = {operation.pk: operation for operation in found.defer("payload", "result", "change__description")}
    for operation in (operations[key] for key in keys if key in operations):
        yield incoming_row(operation, operation.change.number if operation.change else "")
